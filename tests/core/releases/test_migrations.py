"""Which files are migrations, which of them the target does not know, and what each is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.errors import UsageError
from rollback_lib.core.releases import migrations
from rollback_lib.core.releases.migrations import Candidate, Migration, between, brought_by, candidates, confirmed
from rollback_lib.core.settings import parameters
from rollback_lib.core.settings.model import Migrations, load

NOTHING = Migrations()
MAIN = "src/main/resources/db/migration"
ALEMBIC = b"revision = '2'\ndown_revision = '1'\n"
DJANGO = b"from django.db import migrations\n\nclass Migration(migrations.Migration):\n    pass\n"
XML = b"""<databaseChangeLog><changeSet id="1" author="a"><sql>select 1</sql></changeSet>
<include file="a.xml"/></databaseChangeLog>"""
YAML = b"""databaseChangeLog:
  - changeSet: {id: 1, author: a, changes: [{sql: {sql: select 1}}]}
  - include:
      file: a.yaml
      relativeToChangelogFile: true
"""


def found(
    current: dict[str, bytes], target: dict[str, bytes], settings: Migrations = NOTHING, **more: set[str]
) -> dict[str, Migration]:
    """What is found, by name; a file's blob is its own content."""
    trees = [{path: text.hex() for path, text in files.items()} for files in (current, target)]
    asked = candidates(*trees, settings)
    contents = {blob: bytes.fromhex(blob) for c in asked for blob in c.blobs}
    services, going = more.get("services", set()), more.get("going", set())
    known = between(confirmed(asked, contents), settings, services=services, going=going, trees=[("v2", trees[0])])
    assert len({m.name for m in known}) == len(known)
    return {m.name: m for m in known}


@pytest.mark.parametrize(
    ("path", "text", "tool", "name"),
    [
        (f"{MAIN}/V6__add_discount.sql", b"x", "Flyway", "V6__add_discount"),
        (f"{MAIN}/h2/V1.2.3__a.sql", b"x", "Flyway", "V1.2.3__a"),
        (f"{MAIN}/V2024_01_02__a b.sql", b"x", "Flyway", "V2024_01_02__a_b"),
        (f"{MAIN}/R__views.sql", b"x", "Flyway", "R__views"),
        ("src/main/java/db/migration/V7__Backfill.java", b"x", "Flyway", "V7__Backfill"),
        ("sql/V8__elsewhere.sql", b"x", "Flyway", "V8__elsewhere"),
        ("db/migrations/000003_orders.up.sql", b"x", "golang-migrate", "000003_orders"),
        ("prisma/migrations/20240101_init/migration.sql", b"x", "Prisma", "20240101_init"),
        ("db/migrate/20240101120000_add_x.rb", b"x", "Rails", "20240101120000_add_x"),
        ("db/animals_migrate/20240101120000_add_x.rb", b"x", "Rails", "20240101120000_add_x"),
        ("alembic/versions/1a2b_add_x.py", ALEMBIC, "Alembic", "1a2b_add_x"),
        ("migrations/versions/1a2b_add_x.py", ALEMBIC, "Alembic", "1a2b_add_x"),
        ("shop/orders/migrations/0003_auto.py", DJANGO, "Django", "orders/0003_auto"),
        ("migrations/0003_auto.py", DJANGO, "Django", "0003_auto"),
        ("src/main/resources/db/changelog/db.changelog-1.2.xml", XML, "Liquibase", "db.changelog-1.2"),
        ("src/main/resources/db/changelog/changes/002.yaml", YAML, "Liquibase", "002"),
        ("src/main/resources/db/changelog/changes/002.JSON", b'{"databaseChangeLog": []}', "Liquibase", "002"),
        (
            "src/main/resources/config/liquibase/changelog/20150805124838_added_A.xml",
            XML,
            "Liquibase",
            "20150805124838_added_A",
        ),
        ("liquibase/sql/002-add.sql", b"alter table a", "Liquibase", "002-add"),
        ("changelog.sql", b"--liquibase formatted sql", "Liquibase", "changelog"),
    ],
)
def test_what_each_tool_calls_a_migration(path: str, text: bytes, tool: str, name: str) -> None:
    new = found({path: text}, {})
    assert {(m.name, m.tool, m.path, m.edited, m.release) for m in new.values()} == {(name, tool, path, False, "v2")}
    edited = found({path: text}, {path: text + b"\nchangeSet 9"})
    assert [m.edited for m in edited.values()] == [True]
    assert found({path: text}, {path: text}) == {}
    assert found({}, {path: text}) == {}, "a squashed history leaves nothing that the target does not know"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{MAIN}/U6__undo.sql", b"x"),
        (f"{MAIN}/B6__baseline.sql", b"x"),
        (f"{MAIN}/afterMigrate.sql", b"x"),
        (f"{MAIN}/V6_one_underscore.sql", b"x"),
        (f"{MAIN}/README.md", b"x"),
        ("orders/src/test/resources/db/migration/V9__test.sql", b"x"),
        ("web/node_modules/a/prisma/migrations/1/migration.sql", b"x"),
        ("prisma/migrations/migration_lock.toml", b"x"),
        ("db/migrations/000003_orders.down.sql", b"x"),
        ("db/schema.rb", b"x"),
        ("api/versions/v2.py", b"class V2: ..."),
        ("orders/migrations/__init__.py", b""),
        ("orders/migrations/helpers.py", b"def fill(): ..."),
        ("CHANGELOG.md", b"x"),
        ("src/main/resources/config/liquibase/data/label.csv", b"x"),
        ("src/main/resources/liquibase/liquibase.yml", b"url: jdbc"),
        ("changelogs/changelog.yaml", b"releases: {1.0: {changes: {update it: x}}}"),
        ("k8s/orders/changelog.yml", b"kind: ConfigMap"),
    ],
)
def test_what_is_none(path: str, text: bytes) -> None:
    assert found({path: text}, {}) == {}
    assert found({path: text}, {path: text + b"x"}) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (XML, XML.replace(b'<include file="a.xml"/>', b'<include file="a.xml"/>\n  <include file="b.xml"/>')),
        (YAML, YAML + b"  - include:\n      file: b.yaml\n"),
        (YAML, YAML.replace(b"\n", b"\r\n") + b"  - include: {file: b.yaml}\r\n"),
        (b'{"databaseChangeLog": []}', b'{"databaseChangeLog": [{"include": {"file": "b.json"}}]}'),
    ],
    ids=["xml", "yaml", "yaml-crlf", "json"],
)
def test_a_changelog_that_only_includes_more_is_no_edit(before: bytes, after: bytes) -> None:
    suffix = "json" if before.startswith(b"{") else "xml" if before == XML else "yaml"
    master = f"db/changelog/master.{suffix}"
    assert found({master: after}, {master: before}) == {}
    assert found({master: after.replace(b"databaseChangeLog", b"databaseChangeLog id 2")}, {master: before})


def test_a_migration_that_only_moved_to_another_folder_is_none() -> None:
    assert found({"a/V1__x.sql": b"x"}, {"b/V1__x.sql": b"x"}) == {}


def test_a_renumbered_migration_is_new() -> None:
    assert list(found({"a/V2__x.sql": b"x"}, {"a/V1__x.sql": b"x"})) == ["V2__x"]


def test_a_copy_for_a_new_service_is_new() -> None:
    old = {"a/V1__x.sql": b"x"}
    assert list(found({**old, "b/V1__x.sql": b"x"}, old)) == ["V1__x"]


def test_of_two_with_one_name_each_has_its_path() -> None:
    both = {f"{service}/{MAIN}/V1__init.sql": service.encode() for service in ("cart", "user")}
    assert sorted(found(both, {})) == [f"cart/{MAIN}/V1__init.sql", f"user/{MAIN}/V1__init.sql"]


# Whose they are


def test_only_the_services_that_go_back_count_where_the_path_tells() -> None:
    both = {f"{service}/{MAIN}/V1__{service}.sql": b"x" for service in ("cart", "user")}
    known = found(both, {}, services={"cart", "user"}, going={"cart"})
    assert [(m.name, m.service) for m in known.values()] == [("V1__cart", "cart")]


def test_a_path_that_tells_no_service_always_counts() -> None:
    known = found({f"{MAIN}/V1__all.sql": b"x"}, {}, services={"cart", "user"}, going={"cart"})
    assert [(m.name, m.service) for m in known.values()] == [("V1__all", "")]


def test_a_services_folder_may_lie_anywhere_and_a_files_name_tells_nothing() -> None:
    files = {"services/user/db/V1__a.sql": b"x", "db/V2__user": b"x", "db/user.up.sql": b"x"}
    assert found(files, {}, services={"cart", "user"}, going={"cart"}) == {}


# Settings


def test_settings_say_where_else_and_whose() -> None:
    settings = Migrations(paths={"user": ("db/users/*.sql",), "*": ("common/**/*.sql",)})
    files = {"db/users/1.sql": b"x", "db/users/old/1.sql": b"x", "common/a/b/2.sql": b"x", "common/3.sql": b"x"}
    assert sorted(found(files, {}, settings, services={"cart"}, going={"cart"})) == ["2", "3"]
    assert found(files, {}, settings, services={"user"}, going={"user"})["1"].service == "user"


@pytest.mark.parametrize("pattern", ["V6__*", "db/**", "db/V6__x.sql", "**/V6__x.sql"])
def test_what_the_target_copes_with_is_not_named(pattern: str) -> None:
    files = {"db/V6__x.sql": b"x", "other/V7__y.sql": b"y"}
    assert list(found(files, {}, Migrations(copes=(pattern,)))) == ["V7__y"]


def test_what_is_ignored_is_no_migration() -> None:
    settings = Migrations(ignore=("legacy/**",), paths={"*": ("legacy/**/*.sql",)})
    assert found({"legacy/V1__x.sql": b"x"}, {}, settings) == {}
    assert not migrations.any_at({"legacy/V1__x.sql": "1"}, settings)


SMALL = "application: a\nmanifests: {path: k8s}\nenvironments: {p: {namespace: n}}\n"


def test_settings_are_read() -> None:
    read = load(SMALL + 'migrations: {paths: {user: ["db/*.sql"], "*": [x]}, ignore: [a], copes: ["V*"]}\n')
    assert read.migrations == Migrations(paths={"user": ("db/*.sql",), "*": ("x",)}, ignore=("a",), copes=("V*",))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{path: {}}", "migrations.path"),
        ("{paths: {User: [a]}}", "migrations.paths"),
        ("{paths: {user: [/abs]}}", "migrations.paths.user[0]"),
        ('{copes: ["../x"]}', "migrations.copes[0]"),
        ('{ignore: [""]}', "migrations.ignore[0]"),
        ("{copes: V6}", "migrations.copes"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(text: str, key: str) -> None:
    with pytest.raises(UsageError) as wrong:
        load(SMALL + f"migrations: {text}\n")
    assert [p.key.startswith(key) for p in wrong.value.problems] == [True]


# What is said


def test_the_release_that_brought_it_is_the_first_that_has_it_as_it_is_now() -> None:
    one = Candidate("a", "Flyway", "a", "2", "")
    trees = [("v1", {}), ("v2", {"a": "1"}), ("v3", {"a": "2"}), ("v4", {"a": "2"})]
    assert brought_by(one, trees) == "v3"
    assert brought_by(one, trees[:2]) == ""
    assert brought_by(one, [("v1", {"a": "2"}), ("v2", {}), ("v3", {"a": "2"})]) == "v3"


def test_a_refusal_names_release_file_and_what_to_do() -> None:
    new = Migration(name="V6__x", path="db/V6__x.sql", tool="Flyway", release="v1.2.0")
    said = str(migrations.refusal(new, "v1.3.0", "v1.1.0"))
    assert said.startswith("V6__x (Flyway, db/V6__x.sql) came with v1.2.0: v1.1.0 was not written for that schema.")
    assert said.endswith("[--accept schema:V6__x]")
    edited = Migration(name="V6__x", path="db/V6__x.sql", tool="Flyway", edited=True)
    assert "was edited in v1.3.0: v1.1.0 has another text" in str(migrations.refusal(edited, "v1.3.0", "v1.1.0"))


def test_where_nobody_knows_what_runs_the_warning_says_where_to_look() -> None:
    some = [Migration(name=f"V{n}", path="", tool="Flyway") for n in range(7)]
    said = migrations.unknown_warning(some, "v1", "v2")
    assert "Up to v2 there are new or edited migrations: V0, V1, V2, V3, V4 and 2 more." in said
    assert "migration table" in migrations.unknown_warning([], "v1", "v2")


paths = st.from_regex(
    r"([a-z ,:-]{1,4}/){0,3}(V[1-9]__[a-z ,:é-]{1,5}\.sql|[0-9]_[a-z ]{1,3}\.up\.sql|x\.txt)", fullmatch=True
)
trees = st.dictionaries(paths, st.sampled_from([b"1", b"2", b"3"]), max_size=8)


@given(current=trees, target=trees)
def test_every_name_is_unique_and_can_be_accepted(current: dict[str, bytes], target: dict[str, bytes]) -> None:
    known = found(current, target)
    for name, migration in known.items():
        parameters.validate({"accept": (f"schema:{name}",)})
        environ = {"ROLLBACK_ACCEPT": f"schema:{name}"}
        assert parameters.from_environment(environ) == {"accept": (f"schema:{name}",)}
        assert current[migration.path] != target.get(migration.path)
        assert migration.edited == (migration.path in target)


@given(tree=trees)
def test_a_release_has_no_migrations_beside_itself(tree: dict[str, bytes]) -> None:
    assert found(tree, tree) == {}
