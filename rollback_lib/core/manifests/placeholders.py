"""Names that a deploy job was to fill in (``${TAG}``, ``$NAME``, ``{{NAME}}``, ``__TAG__``) and nobody has.

An image scalar is replaced whole, so a placeholder in it does not matter; anywhere else it must be given a value or the
release is refused. Text that only looks alike is left alone: scripts and templates in ConfigMap and Secret data,
``command``/``args``, values of several lines, Kubernetes' own ``$(VAR)``, ``$1``, a template's ``{{ end }}`` and
``{{ else }}``, and CustomResourceDefinitions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from rollback_lib.core.encoding import encode
from rollback_lib.core.errors import Problem
from rollback_lib.core.manifests.documents import Chunk, Node, Source, compose, refused
from rollback_lib.core.manifests.manifest_objects import Document, Manifest, Reader, documents
from rollback_lib.core.manifests.splice import image_paths

_PLACEHOLDER: Final = re.compile(
    r"\$\{(?P<braced>[A-Za-z_]\w*)(?::?[-+?=][^{}]*)?\}"
    r"|\$(?P<bare>[A-Z_][A-Z0-9_]+)\b"
    r"|\{\{-?[ \t]*(?!(?:end|else)\b)(?P<curly>[A-Za-z_]\w*)[ \t]*-?\}\}"
    r"|(?<![A-Za-z0-9_])__(?P<under>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__(?![A-Za-z0-9_])",
    re.ASCII,
)
# Of tools that fill in whatever they meet: no program reads these, so a value for one counts in data and scripts too.
_EVERYWHERE: Final = re.compile(
    r"#\{(?P<hash>[A-Za-z_]\w*)\}#|@@(?P<at>[A-Za-z_]\w*)@@|%%(?P<percent>[A-Za-z_]\w*)%%"
    r"|\[\[-?[ \t]*\.(?P<square>[A-Za-z_]\w*)[ \t]*-?\]\]",
    re.ASCII,
)
_SCRIPTS: Final = frozenset({"command", "args"})
_DATA: Final = frozenset({"data", "stringData", "binaryData"})


class Found(msgspec.Struct, frozen=True):
    """A placeholder: its text as written, the name in it, and the field where it stands."""

    text: str
    name: str
    file: str
    line: int
    column: int
    document: int
    path: str

    def problem(self) -> Problem:
        """The refusal's words for it."""
        fix = f"Give {self.name} a value under substitute:, or keep the text with {self.name}: '{self.text}'"
        said = f"placeholder {self.text} has no value"
        return Problem(said, file=self.file, line=self.line, column=self.column, key=self.path, fix=fix)


def find(
    manifest: Manifest, values: Mapping[str, str] = {}, wanted: Callable[[Document], bool] = lambda _: True
) -> tuple[Found, ...]:
    """Every placeholder outside images, in the order of the file, of the objects that are ``wanted``.

    What is in ``values`` was filled in: where its name still stands, the value is that text.
    """
    source = manifest.source
    found = [
        Found(
            text=match[0],
            name=_name(match),
            file=source.file,
            line=source.line(node.start),
            column=source.column(node.start),
            document=chunk.index,
            path=path,
        )
        for chunk, node, path in _scalars(manifest, wanted)
        for match in _PLACEHOLDER.finditer(node.text)
        if _name(match) not in values
    ]
    return tuple(sorted(found, key=lambda f: (f.line, f.column)))


def substitute(manifest: Manifest, values: Mapping[str, str]) -> Manifest:
    """The file with the placeholders that have a value filled in as the deploy job would: as text, then read as YAML.

    ``replicas: ${N}`` thus becomes a number. Every other byte stays. Raises `RefusedError` with file and line where the
    value would change the structure of the file.
    """
    if not values:
        return manifest
    source = manifest.source
    edits: dict[tuple[int, int], str] = {}
    nodes: dict[int, Node] = {}

    def fill(match: re.Match[str]) -> str:
        return values.get(next(filter(None, match.groups()), ""), match[0])

    known = {id(node) for _, node, _ in _scalars(manifest)}

    def filled(node: Node, text: str) -> str:
        text = _PLACEHOLDER.sub(fill, text) if id(node) in known else text
        return _EVERYWHERE.sub(fill, text)

    for _, node, _ in _scalars(manifest, everywhere=True):
        if filled(node, node.text) != node.text:
            edits[node.start, node.end] = filled(node, source.text[node.start : node.end])
            nodes[id(node)] = node
    if not edits:
        return manifest
    text = source.text
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    after = encode(msgspec.structs.replace(source.decoded, text=text))
    now = compose(after, source.file)
    problems: list[Problem] = []
    if len(now.chunks) != len(source.chunks):
        problems = [_breaks(source, node) for node in nodes.values()]
    else:
        for old, new_chunk in zip(source.chunks, now.chunks, strict=True):
            bad = _differs(old.root, new_chunk.root, {i: filled(n, n.text) for i, n in nodes.items()})
            if bad:
                problems.append(_breaks(source, bad))
    if problems:
        raise refused(problems)
    return Manifest(after, now, documents(now))


def _breaks(source: Source, node: Node) -> Problem:
    fix = "Use a value of letters, digits and . - _ / :, or put the placeholder in double quotes."
    return source.problem(node.start, "the value given for this placeholder would change the file's structure", fix)


def _name(match: re.Match[str]) -> str:
    return str(match["braced"] or match["bare"] or match["curly"] or match["under"])


def _differs(old: Node | None, new: Node | None, filled: Mapping[int, str]) -> Node | None:
    """The first node that became another, apart from the filled ones."""
    if old is None or new is None:
        return old or new
    if old.kind != new.kind or len(old.items) != len(new.items) or len(old.pairs) != len(new.pairs):
        return old
    if old.kind == "scalar":
        if id(old) in filled:
            expected = filled[id(old)]
            return None if new.text == expected and (old.style in (None, "{{") or old.style == new.style) else old
        kept = old.text == new.text and old.style == new.style and old.tag == new.tag
        return None if kept else old
    inner = [*zip(old.items, new.items, strict=True)]
    for before, after in zip(old.pairs, new.pairs, strict=True):
        inner += zip(before, after, strict=True)
    return next((bad for a, b in inner if (bad := _differs(a, b, filled))), None)


def _scalars(
    manifest: Manifest, wanted: Callable[[Document], bool] = lambda _: True, *, everywhere: bool = False
) -> Iterator[tuple[Chunk, Node, str]]:
    """The scalars, keys too, that a deploy job may have templated; each node once. ``everywhere``: in scripts too."""
    source = manifest.source
    seen: set[int] = set()
    readers: dict[int, Reader] = {}
    for document in manifest.documents:
        chunk = source.chunks[document.index]
        reader = readers.setdefault(document.index, Reader(source))
        root = chunk.root
        if root is not None and document.part >= 0:
            items = reader.target(reader.pairs(root)["items"][1])
            root = reader.target(items.items[document.part]) if items else None
        if root is None or document.object["kind"] == "CustomResourceDefinition" or not wanted(document):
            continue
        images = {path for _, _, path in image_paths(document)}
        for node, path in _fields(document, reader, root, (), images, everywhere):
            if id(node) not in seen:
                seen.add(id(node))
                yield chunk, node, _shown(document, path)


def _fields(
    document: Document,
    reader: Reader,
    node: Node,
    path: tuple[str | int, ...],
    images: set[tuple[str | int, ...]],
    everywhere: bool,
) -> Iterator[tuple[Node, tuple[str | int, ...]]]:
    target = reader.target(node)
    if target is None or path in images:
        return
    if target.kind == "scalar":
        if everywhere or "\n" not in target.text.rstrip("\n"):
            yield target, path
        return
    for i, item in enumerate(target.items):
        yield from _fields(document, reader, item, (*path, i), images, everywhere)
    if target.kind != "map":
        return
    for name, (key, value) in reader.pairs(target).items():
        of_data = not path and name in _DATA and document.object["kind"] in ("ConfigMap", "Secret")
        if not everywhere and (name in _SCRIPTS or of_data):
            continue
        if key.kind == "scalar":
            yield key, (*path, name)
        yield from _fields(document, reader, value, (*path, name), images, everywhere)


def _shown(document: Document, path: tuple[str | int, ...]) -> str:
    kind, name = document.object["kind"], document.object["metadata"]["name"]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"{kind}/{name} {steps.lstrip('.')}"
