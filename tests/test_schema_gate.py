"""The schema gate in a real run: a git repository, every looking stage, and what preflight says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.git import GitRepository
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.plan import text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.settings import model
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from tests.fakes import FakeClock, FakeCluster, FakeRegistry, ports
from tests.git_repository import RepositoryBuilder
from tests.pipeline.test_loop import BAD, GOOD, SETTINGS, live, manifest

FOLDER = "src/main/resources/db/migration"


class Shop:
    """cart and user at v1 (good) and v3 (runs, bad); v2 in between is where the migrations of a test come from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = RepositoryBuilder(folder / "shop")
        self.cluster = FakeCluster(live("cart"), live("user"))
        self.tags = {
            f"team/{n}:{tag}": d for n in ("cart", "user") for tag, d in (("v1", GOOD), ("v3", BAD), ("prod", BAD))
        }

    def release(self, name: str, files: dict[str, str] | None = None) -> None:
        manifests = {f"k8s/{n}/d.yaml": manifest(n, name).decode() for n in ("cart", "user")}
        self.git.commit({**manifests, **(files or {})})
        self.git.tag(name)

    def releases(self, v1: dict[str, str], v2: dict[str, str]) -> None:
        for name, files in (("v1", v1), ("v2", v2), ("v3", {})):
            self.release(name, files)

    def plan(self, *, more: str = "", **values: Any) -> tuple[int, Plan, str]:
        run = RunDirectory(self.folder / f"run-{len(list(self.folder.iterdir()))}")
        made = model.load(SETTINGS + more)
        run.put(
            operation.request(
                {"to": "v1", "yes": True, **values}, made, "prod", run="r", by="me", origin="here",
                started=FakeClock().now(), repository=str(self.folder),
            )
        )  # fmt: skip
        git = GitRepository(self.git.folder)
        ending = loop.advance(
            run,
            ports(self.cluster, git, FakeRegistry(**self.tags)),
            until="preflight",  # type: ignore[arg-type]
        )
        return ending.code, run.get(Plan), ending.error


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_new_and_an_edited_migration_are_refused_by_name_with_their_release(shop: Shop) -> None:
    old, new = (
        {f"cart/{FOLDER}/V1__init.sql": "a"},
        {f"cart/{FOLDER}/V1__init.sql": "b", f"user/{FOLDER}/V2__x.sql": "c"},
    )
    shop.releases(old, new)
    code, plan, error = shop.plan()
    assert code == 3
    assert [r.code for r in plan.refusals] == ["schema:V1__init", "schema:V2__x"]
    assert f"V1__init (Flyway, cart/{FOLDER}/V1__init.sql) was edited in v2: v1 has another text of it." in error
    assert f"V2__x (Flyway, user/{FOLDER}/V2__x.sql) came with v2: v1 was not written for that schema." in error
    assert max(map(len, text.text(plan).splitlines())) <= 100  # a path is never broken
    assert shop.cluster.writes == []


def test_each_can_be_accepted_and_stands_in_the_plan(shop: Shop) -> None:
    shop.releases({}, {f"{FOLDER}/V1__a.sql": "a", f"{FOLDER}/V2__b.sql": "b"})
    assert shop.plan(accept=("schema:V1__a",))[0] == 3
    code, plan, _ = shop.plan(accept=("schema:V1__a", "schema:V2__b"))
    assert (code, plan.accepted) == (0, ("schema:V1__a", "schema:V2__b"))
    assert any(w.startswith("accepted: V1__a") for w in plan.warnings)


def test_settings_say_once_that_the_target_copes(shop: Shop) -> None:
    shop.releases({}, {f"{FOLDER}/V1__a.sql": "a"})
    assert shop.plan(more="migrations: {copes: ['V1__*']}\n")[0] == 0


def test_only_the_services_that_go_back_count(shop: Shop) -> None:
    shop.releases({}, {f"user/{FOLDER}/V1__a.sql": "a"})
    assert shop.plan(service=("cart",))[0] == 0
    assert shop.plan(service=("user",))[0] == 3


def test_a_django_app_and_a_python_file_beside_it(shop: Shop) -> None:
    migration = "class Migration(migrations.Migration):\n    pass\n"
    shop.releases({}, {"orders/migrations/0002_x.py": migration, "orders/migrations/tool.py": "x = 1\n"})
    assert [r.code for r in shop.plan()[1].refusals] == ["schema:orders/0002_x"]


def test_releases_without_migrations_say_nothing(shop: Shop) -> None:
    shop.releases({}, {})
    code, plan, _ = shop.plan()
    assert (code, [w for w in plan.warnings if "schema" in w]) == (0, [])


def test_where_what_runs_is_unknown_nothing_is_refused_and_the_warning_names_what_to_look_at(shop: Shop) -> None:
    shop.releases({f"{FOLDER}/V1__a.sql": "a"}, {f"{FOLDER}/V2__b.sql": "b"})
    shop.tags = {name: digest for name, digest in shop.tags.items() if ":v3" not in name}
    code, plan, error = shop.plan()
    assert (code, plan.current.release) == (0, "unknown"), error
    [said] = [w for w in plan.warnings if "schema" in w]
    assert "not known. Up to v3 there are new or edited migrations: V2__b." in said


def test_where_what_runs_is_unknown_and_there_are_no_migrations_nothing_is_said(shop: Shop) -> None:
    shop.releases({}, {})
    shop.tags = {name: digest for name, digest in shop.tags.items() if ":v3" not in name}
    assert [w for w in shop.plan()[1].warnings if "schema" in w] == []
