"""Which paths hold an environment's manifests: those that leave the fewest workloads out, then the neatest.

Guesses only: a person reads them in rollback.yaml, and what they leave out is named.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from rollback_lib.core import names
from rollback_lib.core.kube.kinds import WRITTEN
from rollback_lib.core.manifests import services
from rollback_lib.core.manifests.services import SERVICE
from rollback_lib.core.readouts.layout import Manifest, patterns, sound
from rollback_lib.core.releases.left_out import RUNS, within
from rollback_lib.core.settings.model import Manifests

_MOST: Final = 12  # paths
_SAMPLES: Final = re.compile(
    r"(?i)(^|/)[_.]?(examples?|samples?|docs?|tutorials?|tests?|testdata|e2e|fixtures|archived?|old|backups?|deprecated|legacy)/"
)


class Section(NamedTuple):
    """`manifests` of an environment. ``services``: what `{service}` takes; ``doubled``: files whose workloads stand
    elsewhere; ``no_services``: names that the path would take for services; ``objects`` (Kind/name) and
    ``files``: what it holds.
    """

    manifests: Manifests
    services: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    no_services: tuple[str, ...] = ()
    objects: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


class _Fit(NamedTuple):
    pattern: str
    mine: tuple[Manifest, ...]
    junk: tuple[str, ...]
    votes: int


def choose(
    mine: Sequence[Manifest], every: Collection[str], never: Collection[str], around: Collection[str]
) -> Section | None:
    """The paths of one environment; None where it has no workloads.

    ``mine``: its files; ``every``: all files that kubectl would read; ``never``: those that belong to another
    environment, or to another tool, so that no path may hold them; ``around``: the folders that environments lie in,
    whose files without workloads are for each of them.
    """
    real = [m for m in mine if not _SAMPLES.search(m.path)]
    if any(m.workloads for m in real):
        never = {*never, *(m.path for m in mine if m not in real)}
        mine = real
    mine = [m for m in mine if sound(m.path)]
    working = [m for m in mine if m.workloads]
    if not working:
        return None
    total = {w for m in working for w in m.workloads}
    fits = [f for p in _candidates(working) if (f := _fit(p, mine, every, never, total))]
    have: set[str] = set()
    chosen: list[_Fit] = []
    while len(chosen) < _MOST and (left := [f for f in fits if _new(f, have)]):
        best = min(left, key=lambda f: (-len(_new(f, have)), *_neat(f)))
        inner = [f for f in fits if f.pattern == f"{best.pattern}/{SERVICE}" and f.votes > 1]
        chosen += [f for f in (*inner, best) if f not in chosen]
        have |= _new(best, have)
    return _section(chosen, mine, around)


def _candidates(working: Sequence[Manifest]) -> Iterator[str]:
    seen: dict[str, None] = {}
    for m in working:
        for name in m.names:
            seen.update(dict.fromkeys(patterns(m.path, name)))
        folder = m.path
        while folder:
            seen[folder] = None
            folder = posixpath.dirname(folder)
    yield from seen


def _fit(
    pattern: str, mine: Sequence[Manifest], every: Collection[str], never: Collection[str], total: Collection[str]
) -> _Fit | None:
    """What a path would hold; None where it would hold what is not this environment's, or misname it."""
    owner = services.owner(pattern)
    held = {path: name for path in every if (name := owner(path)) is not None}
    if any(path in never for path in held):
        return None
    found = tuple(m for m in mine if m.path in held)
    votes = len({held[m.path] for m in found if held[m.path] in m.names})
    if SERVICE in pattern:
        single = services.is_manifest(pattern)
        if votes < 2 and (votes < 1 or len(total) > 1):
            return None
        if single and any(not m.workloads and "ConfigMap" not in m.kinds for m in found):
            return None  # more than one file a service: its neighbours would be services of their own
        if not all(names.is_label(held[m.path]) for m in found):
            return None
    known = {m.path for m in mine}
    return _Fit(pattern, found, tuple(p for p in sorted(held) if p not in known), votes)


def _new(fit: _Fit, have: Collection[str]) -> set[str]:
    return {w for m in fit.mine for w in m.workloads if w not in have}


def _neat(fit: _Fit) -> tuple[object, ...]:
    named, deep = SERVICE in fit.pattern, fit.pattern.count("/")
    return (not named, -fit.votes, len(fit.junk) - len(fit.mine), deep if named else -deep, fit.pattern)


def _section(chosen: Sequence[_Fit], mine: Sequence[Manifest], around: Collection[str]) -> Section:
    paths = [f.pattern for f in chosen]
    owner = services.owner(paths)
    held = [m for m in mine if owner(m.path) is not None]
    kept = set[tuple[str, str, str]]()
    doubled = []
    for m in sorted((m for m in held if m.objects), key=lambda m: (not m.workloads, len(m.objects), m.path)):
        if kept.issuperset(o for o in m.objects if not m.workloads or o[0] in RUNS):
            doubled.append(m.path)
        kept.update(m.objects)
    shared = []
    for m in mine:
        if m.path in doubled or m.workloads or not any(kind in WRITTEN for kind in m.kinds):
            continue
        folder = posixpath.dirname(m.path)
        if owner(m.path) is None:
            if any(SERVICE not in f.pattern and posixpath.dirname(f.pattern) == folder for f in chosen):
                paths.append(m.path)
            elif any(_home(f.pattern) == folder for f in chosen) or any(a and within(m.path, a) for a in around):
                shared.append(m.path)
        elif owner(m.path) and any(services.is_manifest(f.pattern) and _home(f.pattern) == folder for f in chosen):
            shared.append(m.path)
    names_of = {path: name for f in chosen for path in f.junk if (name := owner(path))}
    no_services: tuple[str, ...] = ()
    if any(services.is_manifest(f.pattern) for f in chosen):
        no_services = tuple(sorted({n for n in names_of.values() if n == "kustomization"}))
    junk = {p for f in chosen for p in f.junk if names_of.get(p) not in no_services}
    inside = [m for m in mine if m in held or m.path in shared]
    return Section(
        Manifests(
            path=paths[0] if len(paths) == 1 else tuple(paths), shared=tuple(shared),
            ignore=(*_globs(junk, {m.path for m in held}), *(d for d in sorted(doubled) if sound(d))),
        ),
        tuple(sorted({owner(m.path) or name for m in held if m.workloads for name in m.names})),
        tuple(sorted(doubled)), no_services, frozenset(f"{o[0]}/{o[1]}" for m in inside for o in m.objects),
        frozenset(m.path for m in held),
    )  # fmt: skip


def _home(pattern: str) -> str | None:
    """The folder whose files belong to the services beside them."""
    return posixpath.dirname(pattern.partition(SERVICE)[0]) if SERVICE in pattern else None


def _globs(junk: Collection[str], held: Collection[str]) -> tuple[str, ...]:
    """As few globs as name these files and none that is held."""
    found: dict[str, None] = {}
    for path in sorted(junk):
        folders = path.split("/")[:-1]
        whole = ("/".join(folders[: i + 1]) for i in range(len(folders)))
        glob = next((f"{f}/**" for f in whole if not any(h.startswith(f"{f}/") for h in held)), path)
        if sound(glob.removesuffix("/**")):
            found[glob] = None
    return tuple(found)
