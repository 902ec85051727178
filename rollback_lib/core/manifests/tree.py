"""A commit's tree as a checkout would show it: links inside it are followed, and what cannot be read is said.

A submodule's files, a Git LFS object and what a link finds outside of the repository are not in it. Of those nothing
is known: they never count as empty, or as taken away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

LINK: Final = "120000"
SUBMODULE: Final = "160000"
MOST_HOPS: Final = 40  # links on one way, as Linux has it
MOST_FILES: Final = 200_000  # links to folders of links multiply
MOST_BYTES: Final = 64 << 20  # of text in one commit; a shop of ten services has about 10 MiB with its code
# Never manifests, and what makes a repository large.
_NO_TEXT: Final = re.compile(
    r".*[^/]\.(png|jpe?g|gif|webp|ico|bmp|tiff?|psd|mp[34]|mov|avi|webm|ogg|wav|woff2?|ttf|otf|eot|pdf|zip|t?gz|bz2|xz|zst|7z|"
    r"rar|tar|[jwe]ar|class|so|dll|exe|dylib|a|o|pyc|whl|bin|iso|img|db|sqlite|parquet|onnx|pt)",
    re.IGNORECASE | re.DOTALL,
)
_POINTER: Final = b"version https://git-lfs.github.com/spec/"


class Entry(msgspec.Struct, frozen=True):
    """One file, link or submodule of a commit."""

    path: str
    mode: str
    object: str


class Unread(msgspec.Struct, frozen=True):
    """A place in a commit of which nothing is known. ``why`` goes on after "it", ``fix`` is what to do."""

    path: str
    why: str
    fix: str
    link: bool = False


class Found(msgspec.Struct, frozen=True):
    """Files by the name that a checkout has for them. ``links``: those behind a link, with their real names."""

    files: Mapping[str, Entry] = {}
    links: Mapping[str, str] = {}
    unread: tuple[Unread, ...] = ()


class Files(msgspec.Struct, frozen=True):
    """What a commit holds below some folders: contents by name, and what could not be read."""

    texts: Mapping[str, bytes] = {}
    links: Mapping[str, str] = {}
    unread: tuple[Unread, ...] = ()

    def without(self, left_out: Callable[[str], bool]) -> Files:
        """As if these files were not there."""
        return Files(
            {path: data for path, data in self.texts.items() if not left_out(path)}, self.links,
            tuple(u for u in self.unread if not left_out(u.path)),
        )  # fmt: skip


def is_pointer(data: bytes) -> bool:
    """Whether a file's content is in Git LFS, and here is only a note of it."""
    return data.startswith(_POINTER)


def may_be_text(path: str) -> bool:
    """Whether a file of this name can hold text: everything but pictures, archives, programs and the like."""
    return not _NO_TEXT.fullmatch(path)


def submodule(path: str) -> Unread:
    return Unread(
        path, "is a submodule: its files are not in this repository",
        "Keep these manifests in the repository itself, or leave the service out (`services.ignore`).",
    )  # fmt: skip


def pointer(path: str) -> Unread:
    return Unread(
        path, "is in Git LFS: its text is not in this repository",
        "Take it out of LFS (`git lfs untrack`), or leave the service out (`services.ignore`).",
    )  # fmt: skip


def _link(path: str, why: str) -> Unread:
    fix = "Have it name something in the repository, or put the files in its place."
    return Unread(path, f"is a link that {why}", fix, link=True)


def below(entries: Iterable[Entry], targets: Mapping[str, str], prefixes: Sequence[str]) -> Found:
    """The files below these folders, or these very files, of all ``entries`` of a commit.

    ``targets``: what each link says, by its object. ``""`` is the whole tree; a prefix that is not there gives nothing.
    """
    walk = _Walk(entries, targets)
    for prefix in prefixes:
        walk.take(prefix)
    return Found(walk.files, walk.links, tuple(walk.unread.values()))


class _Stopped(Exception):
    """A way ends at something that cannot be read."""

    def __init__(self, unread: Unread | None) -> None:
        self.unread = unread


class _Walk:
    def __init__(self, entries: Iterable[Entry], targets: Mapping[str, str]) -> None:
        self._root: dict[str, Any] = {}
        self._targets = targets
        self.files: dict[str, Entry] = {}
        self.links: dict[str, str] = {}
        self.unread: dict[str, Unread] = {}
        for entry in entries:
            *folders, last = entry.path.split("/")
            place = self._root
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = entry

    def take(self, prefix: str) -> None:
        try:
            place, node = self._find(prefix.split("/") if prefix else [], prefix)
        except _Stopped as stopped:
            if stopped.unread:
                self.unread[stopped.unread.path] = stopped.unread
            return
        for name, found in self._all(prefix, place, node, (place,)):
            self.files[name] = found
            if name != found.path:
                self.links[name] = found.path
            if len(self.files) > MOST_FILES:
                self.unread[prefix] = _link(prefix or ".", f"leads to more than {MOST_FILES} files")
                return

    def _all(
        self, name: str, place: str, node: dict[str, Any] | Entry, ways: tuple[str, ...]
    ) -> Iterator[tuple[str, Entry]]:
        """The files at and below a node: ``name`` as a checkout shows it, ``place`` where it really is."""
        if isinstance(node, Entry):
            if node.mode == SUBMODULE:
                self.unread[name] = submodule(name)
            else:
                yield name, node
            return
        for child in sorted(node):
            shown, real = f"{name}/{child}".lstrip("/"), f"{place}/{child}".lstrip("/")
            below = node[child]
            if not (isinstance(below, Entry) and below.mode == LINK):
                yield from self._all(shown, real, below, ways)
                continue
            try:
                real, below = self._find(real.split("/"), shown)
            except _Stopped as stopped:
                self.unread[shown] = stopped.unread or _link(shown, "names nothing")
                continue
            if isinstance(below, dict) and any(way == real or way.startswith(f"{real}/") or not real for way in ways):
                self.unread[shown] = _link(shown, "leads back to where it is")
                continue
            yield from self._all(shown, real, below, (*ways, real))

    def _find(self, parts: Sequence[str], shown: str) -> tuple[str, dict[str, Any] | Entry]:
        """Where a way leads, each link in it followed. Raises `_Stopped`."""
        ahead = list(reversed(parts))
        way: list[str] = []
        hops = 0
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not way:
                    raise _Stopped(_link(shown, "leads out of the repository"))
                way.pop()
                continue
            node = self._at(way).get(part)
            if node is None:
                raise _Stopped(_link(shown, "names nothing") if hops else None)
            if isinstance(node, Entry) and node.mode == LINK:
                target = self._targets[node.object]
                hops += 1
                if hops > MOST_HOPS:
                    raise _Stopped(_link(shown, f"leads in a circle, or over more than {MOST_HOPS} others"))
                if target.startswith("/"):
                    raise _Stopped(_link(shown, "leads out of the repository"))
                ahead += reversed(target.split("/"))
                continue
            way.append(part)
            if isinstance(node, Entry) and any(p not in ("", ".") for p in ahead):
                if node.mode == SUBMODULE:
                    raise _Stopped(submodule(shown if hops else node.path))
                raise _Stopped(_link(shown, "names nothing") if hops else None)
        *folders, last = way or [""]
        return "/".join(way), self._at(folders)[last] if way else self._root

    def _at(self, way: Sequence[str]) -> dict[str, Any]:
        node: Any = self._root
        for part in way:
            node = node[part]
        return node if isinstance(node, dict) else {}
