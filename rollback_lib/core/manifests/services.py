"""Which services a release has, which files are theirs, and in which wave each is applied.

Everything is worked out from the names of the files at that release, so that a service which was added or removed
later is neither missed nor invented.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import Problem, UsageError
from rollback_lib.core.manifests.tree import Unread

SERVICE: Final = "{service}"
Patterns = str | Sequence[str]  # `manifests.path`: of several, the first that fits a file says whose it is
MANIFEST_ENDINGS: Final = (".yaml", ".yml", ".json")  # what `kubectl apply -f FOLDER` reads; it, too, minds the case


class ServiceFiles(msgspec.Struct, frozen=True):
    """A service's manifests, in the order in which kubectl reads a folder. Waves count from 1.

    ``name`` is "" where ``manifests.path`` does not name services: then all manifests are one group, and the
    services are told apart later, by the workloads in them.
    """

    name: str
    wave: int
    files: tuple[str, ...]


class Discovery(msgspec.Struct, frozen=True):
    """What a release consists of.

    ``services`` by wave, then by name; ``shared`` is applied before all of them; ``ignored`` names the services that
    settings leave out; ``left`` are the manifests below the roots that belong to no service and are not applied.
    """

    services: tuple[ServiceFiles, ...]
    shared: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def tidy(path: str) -> str:
    """A path inside the repository as git writes it; "" is the whole tree. Raises UsageError if it leads out of it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\x00" in path or "\\" in path:
        raise UsageError(
            Problem(f"{path!r} is not a path inside the repository", fix="write it from the repository's root, with /")
        )
    return "/".join(parts)


def is_manifest(path: str) -> bool:
    """Whether kubectl would read the file when given its folder."""
    return path.endswith(MANIFEST_ENDINGS)


def each(patterns: Patterns) -> Sequence[str]:
    """The paths of `manifests.path`, in their order."""
    return (patterns,) if isinstance(patterns, str) else patterns


def roots(patterns: Patterns, shared: Sequence[str]) -> tuple[str, ...]:
    """The folders and files to read from git: sorted, none inside another. ``("",)`` is the whole tree.

    Raises UsageError for a pattern or path that cannot be.
    """
    wanted = {*map(_root, each(patterns)), *(tidy(path) for path in shared)}
    return tuple(sorted(path for path in wanted if not any(o != path and _within(path, o) for o in wanted)))


def once(found: Discovery, links: Mapping[str, str]) -> Discovery:
    """Without what is only another name of a file that is read anyway (``links``: names behind a link → real ones)."""
    read = {*found.shared, *(f for s in found.services for f in s.files)}

    def own(files: Sequence[str]) -> tuple[str, ...]:
        return tuple(f for f in files if links.get(f) not in read)

    services = (ServiceFiles(s.name, s.wave, own(s.files)) for s in found.services)
    return msgspec.structs.replace(found, services=tuple(s for s in services if s.files), shared=own(found.shared))


def concerns(unread: Unread, patterns: Patterns, shared: Sequence[str], ignore: Sequence[str]) -> bool:
    """Whether manifests could be there, of a service that is not left out, in a place that cannot be read."""
    if unread.link and re.search(r"\.[A-Za-z]{1,5}$", unread.path) and not is_manifest(unread.path):
        return False  # a link to a README
    place = unread.path.split("/")
    for wanted in (*map(tidy, each(patterns)), *map(tidy, shared)):
        parts = wanted.split("/") if wanted else []
        matched = [re.fullmatch(_segment(part), there) for part, there in zip(parts, place, strict=False)]
        services = {m["service"] for m in matched if m and "service" in m.re.groupindex}
        if all(matched) and not services & set(ignore):
            return True
    return False


def _segment(part: str) -> str:
    before, *rest = (re.escape(p) for p in part.split(SERVICE))
    return before + (f"(?P<service>[^/]+){'(?P=service)'.join(rest)}" if rest else "")


def discover(
    paths: Sequence[str],
    patterns: Patterns,
    shared: Sequence[str] = (),
    order: Sequence[Sequence[str]] = (),
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Discovery:
    """Sort the files of a release (``paths``: as git names them) into services, shared files and what is left.

    ``patterns`` are ``manifests.path``: ``k8s/{service}`` (a folder each), ``k8s/{service}.yaml`` (a file each), or a
    plain folder or file; the first that fits a file says whose it is. A shared file is never a service's as well.
    Wave N is the Nth entry of ``order``, at every release alike; what is not named comes last, together. ``only`` keeps
    those services; where a path names no service it is for the caller to apply, once the workloads are read.

    Raises UsageError for a service that is twice in ``order``, and for one in ``only`` that the release does not have.
    """
    whose = owner(patterns)
    first = _shared(paths, shared)
    found: dict[str, list[str]] = {}
    left: list[str] = []
    below = [_root(pattern) for pattern in each(patterns)]
    for path in sorted(set(paths)):
        if not is_manifest(path) or path in first or not any(_within(path, root) for root in below):
            continue
        name = whose(path)
        if name is None:
            left.append(path)
        elif name not in ignore:
            found.setdefault(name, []).append(path)
    ignored = sorted({name for path in paths if is_manifest(path) and (name := whose(path)) and name in ignore})
    waves = _waves(order)
    all_named = "" not in found
    warnings = [*_missing_shared(paths, shared)]
    if not found:
        warnings.append(f"this release has no manifests of services at {', '.join(each(patterns))}")
    elif all_named:
        _check_only(only, found, ignored)
        warnings += [
            f"services.order names {name}, which {'is ignored' if name in ignored else 'this release does not have'}"
            for name in waves
            if name not in found
        ]
    services = [
        ServiceFiles(name, waves.get(name, len(order) + 1), tuple(files))
        for name, files in found.items()
        if not all_named or not only or name in only
    ]
    services.sort(key=lambda service: (service.wave, service.name))
    return Discovery(tuple(services), first, tuple(left), tuple(ignored), tuple(warnings))


def owner(patterns: Patterns) -> Callable[[str], str | None]:
    """Answers which service a file belongs to: None for none, "" where its path names none."""
    every = [_Owner(pattern) for pattern in each(patterns)]
    return lambda path: next((name for one in every if (name := one(path)) is not None), None)


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _root(pattern: str) -> str:
    path = tidy(pattern)
    return path.split(SERVICE)[0].rpartition("/")[0] if SERVICE in path else path


class _Owner:
    """Answers which service a file belongs to: None for none, "" for the one group of a plain pattern."""

    def __init__(self, pattern: str) -> None:
        self._path = tidy(pattern)
        if re.search(r"[{}]", self._path.replace(SERVICE, "")):
            raise UsageError(
                Problem(f"{pattern!r} has braces that mean nothing here", key="manifests.path", fix=f"only {SERVICE}")
            )
        self._compiled: re.Pattern[str] | None = None
        if SERVICE in self._path:
            before, *rest = (re.escape(part) for part in self._path.split(SERVICE))
            inside = "" if is_manifest(self._path) else "/.+"
            self._compiled = re.compile(
                f"{before}(?P<service>[^/]+){'(?P=service)'.join(rest)}{inside}", flags=re.DOTALL
            )

    def __call__(self, path: str) -> str | None:
        if self._compiled is None:
            return "" if _within(path, self._path) else None
        found = self._compiled.fullmatch(path)
        return found["service"] if found else None


def _shared(paths: Sequence[str], shared: Sequence[str]) -> tuple[str, ...]:
    files = sorted(path for path in set(paths) if is_manifest(path))
    return tuple(dict.fromkeys(file for wanted in shared for file in files if _within(file, tidy(wanted))))


def _missing_shared(paths: Sequence[str], shared: Sequence[str]) -> Iterable[str]:
    for wanted in shared:
        path = tidy(wanted)
        if any(is_manifest(file) and _within(file, path) for file in paths):
            continue
        # A name typed here and one made on a Mac can look alike and differ in their bytes (NFC, NFD).
        same = unicodedata.normalize("NFC", path)
        twins = [file for file in paths if _within(unicodedata.normalize("NFC", file), same)]
        twin = f": git has {twins[0]!r}, whose accents are encoded differently" if twins else ""
        yield f"manifests.shared names {path!r}, which this release does not have{twin}"


def _waves(order: Sequence[Sequence[str]]) -> dict[str, int]:
    waves: dict[str, int] = {}
    for number, names in enumerate(order, start=1):
        for name in names:
            if name in waves:
                raise UsageError(Problem(f"{name} is named twice", key="services.order", fix="name it once"))
            waves[name] = number
    return waves


def _check_only(only: Sequence[str], found: Iterable[str], ignored: Sequence[str]) -> None:
    names = sorted(found)
    problems = []
    for name in only:
        if name in ignored:
            problems.append(Problem(f"service {name} is in services.ignore", fix="take it out there"))
        elif name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            problems.append(Problem(f"this release has no service {name!r}", fix=fix))
    if problems:
        raise UsageError(*problems)
