"""Which environments a repository has, what each holds, and its namespace: prod is never another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from rollback_lib.core import names
from rollback_lib.core.readouts import environments, paths
from rollback_lib.core.readouts.environments import is_prod, said_in
from rollback_lib.core.readouts.layout import Job, Manifest
from rollback_lib.core.readouts.paths import Section
from rollback_lib.core.wording import some

PROD: Final = "prod"
UNNAMED: Final = "Neither manifests nor a Jenkinsfile name one, so this is Kubernetes' own default: check it."


class Place(NamedTuple):
    """One environment. ``why``: the reason for its namespace."""

    name: str
    namespace: str
    why: tuple[str, ...]
    section: Section


def split(seen: Sequence[Manifest], every: Collection[str], never: Collection[str], job: Job) -> tuple[Place, ...]:
    """The environments, production first. ``every``, ``never``: see `paths.choose`."""
    placed = {m.path: found for m in seen if (found := environments.of_path(m.path, m.names))}
    whose = environments.names_of(placed)
    groups: dict[str, list[Manifest]] = {}
    for m in seen:
        if m.path in whose:
            groups.setdefault(whose[m.path], []).append(m)
    for_all = [m for m in seen if m.path not in whose]
    has_prod = any(is_prod(name) for name in groups)
    places: list[Place] = []
    for name, own in groups.items():
        joined = for_all if has_prod or not any(m.workloads for m in own) else []
        mine = [*own, *_beside(own, joined)]
        around = {_above(m.path, placed[m.path].part) for m in own}
        if section := paths.choose(mine, every, _others(mine, seen, never), around):
            namespace, why = _namespace(name, own, mine, job)
            places.append(Place(name, namespace, why, section))
    if not has_prod and (section := paths.choose(for_all, every, _others(for_all, seen, never), ())):
        taken = {place.name for place in places}
        for name, (namespace, why) in _spaces(for_all, job).items():
            if name not in taken:
                places.append(Place(name, namespace, why, section))
    return tuple(sorted(places, key=lambda place: (not is_prod(place.name), place.name)))


def _beside(own: Sequence[Manifest], for_all: Sequence[Manifest]) -> list[Manifest]:
    """What is for all environments, without what this one has a file of its own for."""
    mine = {w for m in own for w in m.workloads}
    return [m for m in for_all if not mine & set(m.workloads)]


def _others(mine: Iterable[Manifest], seen: Iterable[Manifest], never: Collection[str]) -> set[str]:
    return {*never, *(m.path for m in seen)} - {m.path for m in mine}


def _above(path: str, part: str) -> str:
    return f"/{path}".partition(f"/{part}")[0].removeprefix("/")


def fits(word: str, environment: str) -> bool:
    """Whether a word for an environment may speak of this one; none speaks of any."""
    return not word or word == said_in(environment) or (is_prod(word) and is_prod(environment))


def _namespace(
    name: str, own: Sequence[Manifest], mine: Sequence[Manifest], job: Job
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """Of an environment that files are for: never one that is called as another environment."""
    for files in (own, mine):
        counted = Counter(n for m in files for n in m.namespaces if names.is_label(n) and fits(said_in(n), name))
        if counted:
            return min(counted, key=lambda n: (not said_in(n), -counted[n], n)), ("As the manifests name it.",)
    if named := [n for n in job.namespaces if said_in(n) and fits(said_in(n), name)]:
        return named[0], ("As the Jenkinsfile names it.",)
    if is_prod(name) and (named := [n for n in job.namespaces if not said_in(n)]):
        return named[0], ("As the Jenkinsfile names it.",)
    others = sorted({n for m in mine for n in m.namespaces})
    also = f" They name {some(others)}, of another environment." if others else ""
    return "default", (f"{UNNAMED}{also}" if not others else f"Check it.{also}",)


def _spaces(files: Sequence[Manifest], job: Job) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Environments by their namespaces, where one set of files is for all: the Jenkinsfile's, else the files' own."""
    counted = Counter(n for m in files for n in m.namespaces if names.is_label(n))
    most = max((counted[n] for n in counted if said_in(n)), default=0)
    theirs = [n for n in counted if said_in(n) or counted[n] >= most]  # else what is beside it, such as monitoring
    ordered = job.namespaces or sorted(theirs, key=lambda n: (-counted[n], n))
    if not ordered:
        return {PROD: ("default", (UNNAMED,))}
    found: dict[str, list[str]] = {}
    for namespace in ordered:
        word = said_in(namespace)
        found.setdefault(PROD if not word or is_prod(word) else _label(word), []).append(namespace)
    how = "As the Jenkinsfile names it" if job.namespaces else "As the manifests name it"
    spaces = {}
    for name, those in found.items():
        first = next((n for n in those if said_in(n)), those[0])
        others = [n for n in those if n != first]
        also = f"; it also names {some(others, 6)}" if others and job.namespaces else ""
        spaces[name] = (first, (f"{how}{also}.",))
    return spaces


def _label(word: str) -> str:
    return word.replace("_", "-").replace(".", "-")
