"""The one place that turns the text of manifests into Kubernetes objects, with kubectl's meaning, and back.

Refused, each with file and line: what kubectl refuses, and a second document after ``...``, which it does not read. Of
a key that stands twice the last one counts, as for kubectl; `doubled` says which they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from rollback_lib.core.errors import Problem
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.manifests import scalars
from rollback_lib.core.manifests.documents import HELM_FIX, MAX_DEPTH, Chunk, Node, Source, compose, refused
from rollback_lib.core.manifests.shapes import misshapen

MAX_NODES: Final = 2_000_000
_MERGE: Final = scalars.TAG + "merge"
_RENDER: Final = "Kustomize is not supported: render it first (kubectl kustomize) and keep the result in git."
_MOVE: Final = "Keep only Kubernetes objects where manifests.path points."


class Document(msgspec.Struct, frozen=True):
    """One object of a file.

    ``index`` is the document's position in the file, ``line`` (from 1) where the object starts, ``part`` its position
    in ``items`` if it came out of a List, else -1. ``object`` is JSON-like: what ``kubectl … -o json`` shows.
    """

    file: str
    index: int
    line: int
    object: dict[str, Any]
    part: int = -1


class Reader:
    """Values of the nodes of one document, as kubectl has them; what is wrong with them collects in ``problems``."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.doubled: list[Problem] = []
        self.count = 0
        self.aliased = 0
        self._too_much = False  # said once
        self._depth = 0  # of aliases
        self._level = 0  # of everything
        self._keyed: dict[int, dict[str, tuple[Node, Node]]] = {}

    def say(self, node: Node, text: str, fix: str = "") -> None:
        self.problems.append(self.source.problem(node.start, text, fix))

    def target(self, node: Node) -> Node | None:
        """The node an alias stands for; the node itself if it is none; None for an alias inside itself."""
        return node.target if node.kind == "alias" else node

    def pairs(self, node: Node) -> dict[str, tuple[Node, Node]]:
        """Key → (key node, value node) of a mapping, merge keys applied in goyaml v2's order: the later wins.

        That is not YAML's own rule: ``{image: own, <<: *base}`` takes the base's image (seen with kubectl).
        """
        known = self._keyed.get(id(node))
        if known is not None:
            return known
        self._keyed[id(node)] = {}  # ends a merge that comes back to itself
        found: dict[str, tuple[Node, Node]] = {}
        own: dict[str, tuple[Node, type]] = {}
        for key, value in node.pairs:
            if key.kind == "scalar" and key.text == "<<" and (key.tag == _MERGE or (not key.tag and key.style is None)):
                for base in self._merged(value):
                    found.update(self.pairs(base))
                continue
            known_as = self._key(key)
            if known_as is None:
                continue
            name, of_type = known_as
            if name in own:
                first = self.source.line(own[name][0].start)
                said = f"the key {name!r} stands on line {first} too: this one counts, as for kubectl"
                if own[name][1] is of_type:
                    self.doubled.append(self.source.problem(key.start, said))
                else:  # 1 and "1" become one key only in JSON, in whichever order Go's map has them
                    said = (
                        f"the key {name!r} stands on line {first} too, as another type: kubectl takes either, by chance"
                    )
                    self.say(key, said, "Keep the one that is meant.")
            own[name] = (key, of_type)
            found[name] = (key, value)
        self._keyed[id(node)] = found
        return found

    def _merged(self, value: Node) -> list[Node]:
        target = self.target(value)
        bases = [value] if value.kind != "seq" else value.items[::-1]
        resolved = [self.target(base) for base in bases]
        if target is None or not all(base is not None and base.kind == "map" for base in resolved):
            self.say(value, "<< needs a mapping or a list of mappings")
            return []
        return [base for base in resolved if base is not None]

    def _key(self, key: Node) -> tuple[str, type] | None:
        node = self.target(key)
        if node is None or node.kind != "scalar":
            template = self.source.text.startswith("{", key.start) and "{{" in self.source.text
            self.say(key, "a mapping key must be text", HELM_FIX if template else "")
            return None
        try:
            value = scalars.resolve(node.text, node.tag, node.style is None)
            return scalars.key(value), type(value)
        except scalars.NotReadError as error:
            self.say(key, str(error))
            return None

    def value(self, node: Node) -> Any:
        """The value of a node. What cannot be read is None and stands in ``problems``."""
        self.count += 1
        self.aliased += self._depth > 0
        if self.count > MAX_NODES or (self.aliased > 100_000 and self.aliased > 0.9 * self.count):
            if not self._too_much:
                self._too_much = True
                self.say(node, "document contains excessive aliasing")
            return None
        if node.kind == "scalar":
            return self._scalar(node)
        if self._level >= MAX_DEPTH:
            self.say(node, f"nested more than {MAX_DEPTH} levels deep")
            return None
        self._level += 1
        try:
            if node.kind == "map":
                return {name: self.value(value) for name, (_, value) in self.pairs(node).items()}
            if node.kind == "seq":
                return [self.value(item) for item in node.items]
            return self._alias(node)
        finally:
            self._level -= 1

    def _alias(self, node: Node) -> Any:
        if node.target is None:
            self.say(node, "an anchor's value contains itself")
            return None
        self._depth += 1
        try:
            return self.value(node.target)
        finally:
            self._depth -= 1

    def _scalar(self, node: Node) -> Any:
        try:
            return scalars.as_json(scalars.resolve(node.text, node.tag, node.style is None))
        except scalars.NotReadError as error:
            self.say(node, str(error))
            return None


class Manifest(msgspec.Struct, frozen=True):
    """A file that was read: its bytes, the nodes that they are made of, and the Kubernetes objects that it holds."""

    data: bytes
    source: Source
    documents: tuple[Document, ...]

    @property
    def file(self) -> str:
        return self.source.file


def parse(data: bytes, file: str) -> Manifest:
    """A file, Lists flattened; empty and comment-only documents give no objects.

    Raises `RefusedError` with every problem of the file.
    """
    source = compose(data, file)
    return Manifest(data, source, documents(source))


def read(data: bytes, file: str) -> tuple[Document, ...]:
    """The Kubernetes objects of a file. Raises `RefusedError` as `parse`."""
    return parse(data, file).documents


def documents(source: Source) -> tuple[Document, ...]:
    """The objects of a file that is composed already. Raises `RefusedError` as `parse`."""
    found: list[Document] = []
    problems: list[Problem] = []
    for chunk, reader, value in _values(source, problems):
        assert chunk.root is not None
        _objects(source, chunk, reader, chunk.root, value, found, problems)
    if problems:
        raise refused(problems)
    return tuple(found)


def doubled(manifest: Manifest) -> tuple[Problem, ...]:
    """The keys that stand twice in one mapping, with their places."""
    readers = [Reader(manifest.source) for _ in manifest.source.chunks]
    for reader, chunk in zip(readers, manifest.source.chunks, strict=True):
        if chunk.root is not None:
            reader.value(chunk.root)
    return tuple(problem for reader in readers for problem in reader.doubled)


def line_of(manifest: Manifest, ref: ObjectRef, path: Sequence[str | int], home: str = "") -> int:
    """The line, from 1, of a value within one object of a file; 0 where it is not there. ``home``: see `ref_of`."""
    source = manifest.source
    chunks = {chunk.index: chunk for chunk in source.chunks}
    for document in manifest.documents:
        if ref_of(document.object, home) != ref:
            continue
        reader, node = Reader(source), chunks[document.index].root
        for part in (*(("items", document.part) if document.part >= 0 else ()), *path):
            there = reader.target(node) if node is not None else None
            if there is None:
                break
            if isinstance(part, int):
                node = there.items[part] if part < len(there.items) else None
            else:
                node = reader.pairs(there).get(part, (None, None))[1]
        if node is not None:
            return source.line(node.start)
    return 0


def values(data: bytes, file: str) -> tuple[Any, ...]:
    """What each document of a YAML file says, be it a Kubernetes object or not. Raises `RefusedError` as `read`."""
    source, problems = compose(data, file), list[Problem]()
    found = tuple(value for _, _, value in _values(source, problems))
    if problems:
        raise refused(problems)
    return found


def _values(source: Source, problems: list[Problem]) -> Iterator[tuple[Chunk, Reader, Any]]:
    """Each document that holds something; what cannot be read goes to ``problems``."""
    for chunk in source.chunks:
        if chunk.root is None:
            continue
        reader = Reader(source)
        try:
            value = reader.value(chunk.root)
        except RecursionError:
            reader.say(chunk.root, "nested too deep")
            value = None
        if reader.problems:
            problems.extend(reader.problems)
        elif value is not None:
            yield chunk, reader, value


def _objects(
    source: Source,
    chunk: Chunk,
    reader: Reader,
    root: Node,
    value: Any,
    found: list[Document],
    problems: list[Problem],
) -> None:
    listed = isinstance(value, dict) and ("items" in value and isinstance(value["items"], list | None))
    if not listed or not isinstance(value.get("kind"), str) or not isinstance(value.get("apiVersion"), str):
        _add(Document(source.file, chunk.index, source.line(root.start), value), source, root, found, problems)
        return
    target = reader.pairs(root)["items"][1]
    items = reader.target(target)
    kind = value["kind"].removesuffix("List")
    for part, item in enumerate(value["items"] or []):
        node = items.items[part] if items else root
        if isinstance(item, dict) and isinstance(item.get("items"), list):
            problems.append(source.problem(node.start, "a List inside a List", "Flatten it."))
            continue
        if isinstance(item, dict) and kind:  # a typed list need not repeat itself
            item = {"apiVersion": value["apiVersion"], "kind": kind} | item
        _add(Document(source.file, chunk.index, source.line(node.start), item, part), source, node, found, problems)


def _add(document: Document, source: Source, node: Node, found: list[Document], problems: list[Problem]) -> None:
    value: Any = document.object
    if not isinstance(value, dict):
        problems.append(source.problem(node.start, "not a Kubernetes object: a mapping is needed", _MOVE))
        return
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind in ("Kustomization", "Component") and "kustomize" in str(version or "kustomize"):
        problems.append(source.problem(node.start, f"kind {kind}", _RENDER))
        return
    missing = [name for name in ("apiVersion", "kind") if not value.get(name) or not isinstance(value[name], str)]
    if missing:
        kustomize = source.file.rpartition("/")[2].removesuffix(".yml").removesuffix(".yaml") == "kustomization"
        said = f"not a Kubernetes object: it has no {' and no '.join(missing)}"
        problems.append(source.problem(node.start, said, _RENDER if kustomize else _MOVE))
        return
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not name or not isinstance(name, str):
        said = f"{kind} has no metadata.name" + ("" if name in (None, "") else " that is text: put it in quotes")
        problems.append(source.problem(node.start, said))
        return
    if wrong := list(misshapen(value)):
        problems.extend(source.problem(node.start, f"{str(kind)[:63]}: {said}") for said in wrong)
        return
    found.append(document)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    lines = text.split("\n")
    if scalars.is_text_plain(text):
        style = None
    elif (
        len(lines) > 1
        and text.strip()
        and not text.startswith((" ", "\n", "\t", "#"))
        and all(line.isprintable() and line == line.rstrip() and "\ufeff" not in line for line in lines)
    ):
        style = "|"
    else:
        style = '"'
    return dumper.represent_scalar(scalars.TAG + "str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(objects: Sequence[Mapping[str, Any]]) -> str:
    """Multi-document YAML that kubectl reads back as exactly these objects; text of several lines as a block."""
    parts = (
        yaml.dump(_plain(o), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30, default_flow_style=False)
        for o in objects
    )
    return "---\n".join(parts)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
