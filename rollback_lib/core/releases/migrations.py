"""Which database migrations stand between two releases: what the target would meet and does not know.

A rollback brings the old program back, and not the old schema. In the real repositories an edited migration is as
likely as a new one, so both are found, by path and name as each tool has them, and by what git calls a file's content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.reasons import Reason
from rollback_lib.core.settings.model import Migrations
from rollback_lib.core.settings.places import as_glob
from rollback_lib.core.wording import some

Trees = Sequence[tuple[str, Mapping[str, str]]]  # releases, oldest first, each with its files' blobs
Blobs = Mapping[str, str]  # path → blob id

_NOT_OURS: Final = re.compile(r"(^|/)(src/test|node_modules|vendor|site-packages|\.venv|target|build)/")
_CHANGELOG: Final = r"(^|/)((changelogs?|liquibase)/(.*/)?[^/]*|[^/]*changelog[^/]*)\."
# What a changelog includes, in its XML, block YAML, flow YAML and JSON; then what the lists around it are written with.
_INCLUDES: Final = re.compile(
    rb"</?include(All)?\b[^>]*>"
    rb"|-\s*include(All)?:[ \t]*\r?\n([ \t]+(file|path|relativeToChangelogFile|errorIfMissing\w*):[^\n]*(\n|$))+"
    rb'|"?include(All)?"?\s*:\s*\{[^}]*\}'
)
_WRITING: Final = re.compile(rb"[\s{}\[\],-]+")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that current has and the target has not, or has with another content (``edited``).

    ``name`` is what ``--accept schema:NAME`` takes, unique among those found together. ``service`` is empty where no
    path tells it. ``release``: which one brought it, or edited it last.
    """

    name: str
    path: str
    tool: str
    edited: bool = False
    service: str = ""
    release: str = ""


class Candidate(NamedTuple):
    """A file that is a migration by its name; where ``proof`` is set, only if its content agrees."""

    path: str
    tool: str
    name: str
    new: str  # the blob at current
    old: str  # the blob at the target; empty where it has none
    proof: re.Pattern[bytes] | None = None

    @property
    def blobs(self) -> tuple[str, ...]:
        """What has to be read before `confirmed` can say whether it counts."""
        return tuple(b for b in (self.new, self.old) if b) if self.proof else ()


class _Tool(NamedTuple):
    name: str
    path: re.Pattern[str]
    called: Callable[[str], str]
    proof: re.Pattern[bytes] | None = None


def _stem(path: str) -> str:
    return re.sub(r"(\.up)?\.[^.]*$", "", path.rpartition("/")[2])


def _folder(path: str) -> str:
    return (path.split("/")[-2:-1] or [""])[0]


def _in_app(path: str) -> str:
    """Django's own name: its numbers begin anew in each app."""
    app = path.split("/")[-3:-2]
    return "/".join([*app, _stem(path)])


_TOOLS: Final = (
    # Flyway's own naming. U (undo), B (baseline) and callbacks change nothing on a database that is there already.
    _Tool("Flyway", re.compile(r"(^|/)(V[0-9][0-9._]*|R)__[^/]+\.(sql|java|kt|groovy)$"), _stem),
    _Tool("golang-migrate", re.compile(r"(^|/)[0-9]+_[^/]+\.up\.sql$"), _stem),
    _Tool("Prisma", re.compile(r"(^|/)migrations/[^/]+/migration\.sql$"), _folder),
    _Tool("Rails", re.compile(r"(^|/)db/(\w+_)?migrate/[0-9]+_\w+\.rb$"), _stem),
    _Tool("Alembic", re.compile(r"(^|/)versions/[^/]+\.py$"), _stem, re.compile(rb"^down_revision\b", re.M)),
    _Tool(
        "Django", re.compile(r"(^|/)migrations/(?!__init__)[^/]+\.py$"), _in_app,
        re.compile(rb"^class Migration\b", re.M),
    ),
    _Tool("Liquibase", re.compile(_CHANGELOG + r"(xml|ya?ml|json)$", re.I), _stem, re.compile(rb"databaseChangeLog")),
    _Tool("Liquibase", re.compile(_CHANGELOG + r"sql$", re.I), _stem),
)  # fmt: skip


def candidates(current: Blobs, target: Blobs, settings: Migrations) -> tuple[Candidate, ...]:
    """What may be a migration, and is not at the target as it is at current; what only moved is not among it."""
    gone = {(n.name, blob) for path, blob in target.items() if path not in current and (n := _named(path, settings))}
    found = []
    for path, blob in sorted(current.items()):
        if target.get(path) == blob or not (known := _named(path, settings)):
            continue
        if path not in target and (known.name, blob) in gone:
            continue
        if not _listed(path, known.name, settings.copes):
            found.append(Candidate(path, known.tool, known.name, blob, target.get(path, ""), known.proof))
    return tuple(found)


def any_at(blobs: Blobs, settings: Migrations) -> bool:
    """Whether a release may have any migration at all."""
    return any(_named(path, settings) for path in blobs)


def confirmed(found: Iterable[Candidate], contents: Mapping[str, bytes]) -> tuple[Candidate, ...]:
    """Those that are migrations by their content as well. ``contents`` has the `Candidate.blobs`."""
    return tuple(c for c in found if c.proof is None or (c.proof.search(contents[c.new]) and not _only(c, contents)))


def between(
    found: Sequence[Candidate], settings: Migrations, *, services: Collection[str], going: Collection[str], trees: Trees
) -> tuple[Migration, ...]:
    """The migrations of what goes back.

    ``services`` are all that a path may tell, ``going`` those that are rolled back: a path that tells another one does
    not count, a path that tells none does. ``trees``: where to look for the release that brought each.
    """
    counted = [(c, service) for c in found if not (service := _service(c.path, services, settings)) or service in going]
    names = _unique([c for c, _ in counted])
    return tuple(
        Migration(
            name=name, path=c.path, tool=c.tool, edited=bool(c.old), service=service, release=brought_by(c, trees)
        )
        for name, (c, service) in zip(names, counted, strict=True)
    )


def _unique(found: Sequence[Candidate]) -> list[str]:
    """A name each that `--accept` takes: the tool's own, the path where two have one name."""
    same = Counter(_plain(c.name) for c in found)
    names = [_plain(c.name) if same[_plain(c.name)] == 1 else _plain(c.path) for c in found]
    return [name if name not in names[:i] else f"{name}#{i + 1}" for i, name in enumerate(names)]


def brought_by(found: Candidate, trees: Trees) -> str:
    """The first release from which on the file is as it is at current; empty where none of them has it so."""
    since = ""
    for release, blobs in trees:
        if blobs.get(found.path) != found.new:
            since = ""
        elif not since:
            since = release
    return since


def refusal(migration: Migration, current: str, target: str) -> Refusal:
    """Why a rollback past this migration does not go ahead by itself."""
    by = migration.release or current
    what = f"{migration.name} ({migration.tool}, {migration.path})"
    copes = "list it under `migrations.copes` in rollback.yaml"
    if migration.edited:
        text = f"{what} was edited in {by}: {target} has another text of it."
        fix = f"Look at what the edit did to the database; if {target} starts and runs with that, {copes}."
    else:
        text = f"{what} came with {by}: {target} was not written for that schema."
        fix = f"If {target} runs on it, {copes}; else undo it in the database first."
    return Refusal(
        text, code=f"schema:{migration.name}", fix=fix,
        reason=Reason.UNKNOWN_MIGRATION, subject=migration.name,
        facts=("edited" if migration.edited else "new", migration.path),
    )  # fmt: skip


def unknown_warning(found: Sequence[Migration], target: str, newest: str) -> str:
    """What a person has to look at where nobody knows what runs, so nobody knows which migrations ran."""
    said = f"What runs is no release that we can name, so whether the schema moved since {target} is not known."
    if not found:
        return f"{said} Look at the database's own migration table."
    names = some([m.name for m in found], 5)
    return f"{said} Up to {newest} there are new or edited migrations: {names}. Look at the database before you go on."


class _Known(NamedTuple):
    tool: str
    name: str
    proof: re.Pattern[bytes] | None = None


def _named(path: str, settings: Migrations) -> _Known | None:
    if any(as_glob(g).fullmatch(path) for g in settings.ignore):
        return None
    if any(as_glob(g).fullmatch(path) for globs in settings.paths.values() for g in globs):
        return _Known("rollback.yaml", _stem(path))
    if _NOT_OURS.search(path):
        return None
    tool = next((t for t in _TOOLS if t.path.search(path)), None)
    return _Known(tool.name, tool.called(path), tool.proof) if tool else None


def _listed(path: str, name: str, patterns: Iterable[str]) -> bool:
    return any(as_glob(p).fullmatch(path) or as_glob(p).fullmatch(_plain(name)) for p in patterns)


def _service(path: str, services: Collection[str], settings: Migrations) -> str:
    for service, globs in settings.paths.items():
        if any(as_glob(g).fullmatch(path) for g in globs):
            return "" if service == "*" else service
    return next((part for part in path.split("/")[:-1] if part in services), "")


def _only(found: Candidate, contents: Mapping[str, bytes]) -> bool:
    """Whether an edited changelog only includes other files than before: those are named themselves."""
    if found.tool != "Liquibase" or not found.old:
        return False
    return _without_includes(contents[found.new]) == _without_includes(contents[found.old])


def _without_includes(text: bytes) -> bytes:
    return _WRITING.sub(b"", _INCLUDES.sub(b"", text))


def _plain(name: str) -> str:
    """A name that `--accept` takes: blanks and commas separate there, and it does not begin like an option."""
    return re.sub(r"[\s,]", "_", name).lstrip(":-") or "_"
