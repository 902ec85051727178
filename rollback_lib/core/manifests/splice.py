"""Image scalars replaced in the text of a manifest, and every other byte left as it was.

Places come from YAML node marks. After every edit the file is read again: its values must be the old ones with the
chosen images and nothing else, or the edit is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from rollback_lib.core.encoding import encode
from rollback_lib.core.errors import Problem
from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import kind_of, ref_of
from rollback_lib.core.manifests import scalars
from rollback_lib.core.manifests.documents import Chunk, Node, Source, compose, refused
from rollback_lib.core.manifests.manifest_objects import Document, Manifest, Reader, documents, dump, parse

# Of other kinds too: an image is an image, whoever runs it.
POD_SPECS: Final[dict[str, tuple[str, ...]]] = {
    "Pod": ("spec",), "PodTemplate": ("template", "spec"), "Rollout.argoproj.io": ("spec", "template", "spec"),
    **{k.kind: (*k.template, "spec") for k in KINDS.values() if k.template},
}  # fmt: skip
_BLOCK_HEADER: Final = re.compile(r"[|>][^\s#]*([ \t]+#[^\r\n]*)?")
_PROPERTY: Final = re.compile(r"[&!]\S*\s+")
_REWRITE_BY_HAND: Final = "Write the image as a plain value of its own container."


class ImageAt(msgspec.Struct, frozen=True):
    """One image of one container or volume, where it stands. ``document`` and ``part`` are those of `Document`.

    ``line`` (from 1) is where the image's text is used; ``image`` is "" where the file has ``image:`` without a value.
    """

    file: str
    document: int
    line: int
    ref: ContainerRef
    image: str
    part: int = -1


class _Found(msgspec.Struct, frozen=True):
    at: ImageAt
    node: Node  # the scalar or alias that holds the image
    path: tuple[str | int, ...]  # from the root of the document's value
    chunk: Chunk


def images(manifest: Manifest) -> tuple[ImageAt, ...]:
    """The images of containers, initContainers and image volumes of every pod template of a file, in this order.

    Raises `RefusedError` for an image that is a mapping or a list.
    """
    return tuple(found.at for found in _images(manifest))


def splice(manifest: Manifest, choose: Callable[[ImageAt], str | None]) -> Manifest:
    """The file with each image that ``choose`` gives; None leaves an image as it is.

    An alias gets a value of its own where it must differ from its anchor. Raises `RefusedError` with file and line for
    an image that cannot be changed without changing anything else (shared by a merge key, for one).
    """
    source = manifest.source
    found = _images(manifest)
    wanted = [(f, new) for f in found if (new := choose(f.at)) is not None and (new != f.at.image or not _is_text(f))]
    if not wanted:
        return manifest
    edits = _edits(source, found, {id(f): new for f, new in wanted})
    text = source.text
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    after = encode(msgspec.structs.replace(source.decoded, text=text))
    return _confirmed(source, after, wanted)


def keep_documents(manifest: Manifest, keep: Callable[[Document], bool]) -> Manifest:
    """The same file without the objects for which ``keep`` is false (a Secret must never be written to disk).

    The other documents stay byte for byte; a List that loses an item is written anew. Comments go with their document.
    """
    source, found = manifest.source, manifest.documents
    dropped = [d for d in found if not keep(d)]
    if not dropped:
        return manifest
    text = source.text
    for chunk in reversed(source.chunks):
        gone = [d.part for d in dropped if d.index == chunk.index]
        if not gone or chunk.root is None:
            continue
        if gone == [-1] or len(gone) == sum(d.index == chunk.index for d in found):
            text = text[: chunk.separator] + text[chunk.end :]
            continue
        value = Reader(source).value(chunk.root)
        value["items"] = [item for part, item in enumerate(value["items"]) if part not in gone]
        new = json.dumps(value, indent=2, ensure_ascii=False) + "\n" if chunk.json else dump([value])
        text = text[: chunk.start] + new + text[chunk.end :]
    after = encode(msgspec.structs.replace(source.decoded, text=text))
    now = parse(after, source.file)
    if not same([d.object for d in now.documents], [d.object for d in found if d not in dropped]):
        raise refused([Problem("an object cannot be left out of this file without changing another", file=source.file)])
    return now


def same(a: Any, b: Any) -> bool:
    """Equal as JSON: 1 is not true, and 1 is not 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def _images(manifest: Manifest) -> list[_Found]:
    source = manifest.source
    problems: list[Problem] = []
    found: list[_Found] = []
    readers: dict[int, Reader] = {}
    for document in manifest.documents:
        chunk = source.chunks[document.index]
        reader = readers.setdefault(document.index, Reader(source))
        path: tuple[str | int, ...] = () if document.part < 0 else ("items", document.part)
        found.extend(_of_document(source, document, chunk, reader, path, problems))
    if problems:
        raise refused(problems)
    return found


def _at(reader: Reader, node: Node | None, path: tuple[str | int, ...]) -> Node | None:
    for step in path:
        node = reader.target(node) if node else None
        if node is None:
            return None
        if isinstance(step, int):
            node = node.items[step] if step < len(node.items) else None
        else:
            node = reader.pairs(node)[step][1] if node.kind == "map" and step in reader.pairs(node) else None
    return node


def image_paths(document: Document) -> Iterator[tuple[ContainerRef, Any, tuple[str | int, ...]]]:
    """(which one, its image, the path of that) for each container of the object's pod template that has an ``image``,
    and each volume that is one."""
    pod: Any = document.object
    steps = POD_SPECS.get(kind_of(document.object))
    for step in steps or ():
        pod = pod.get(step) if isinstance(pod, dict) else None
    if steps is None or not isinstance(pod, dict):
        return
    workload = ref_of(document.object)
    for field in ("initContainers", "containers", "volumes"):
        listed, volume = pod.get(field), field == "volumes"
        inner = ("image", "reference") if volume else ("image",)
        for i, one in enumerate(listed if isinstance(listed, list) else ()):
            holder = one.get("image") if volume and isinstance(one, dict) else one
            if isinstance(holder, dict) and inner[-1] in holder:
                name = one.get("name")
                ref = ContainerRef(workload, name if isinstance(name, str) else "", field == "initContainers", volume)
                yield ref, holder[inner[-1]], (*steps, field, i, *inner)


def _of_document(
    source: Source,
    document: Document,
    chunk: Chunk,
    reader: Reader,
    prefix: tuple[str | int, ...],
    problems: list[Problem],
) -> Iterator[_Found]:
    for ref, value, path in image_paths(document):
        node = _at(reader, chunk.root, prefix + path)
        scalar = reader.target(node) if node else None
        if node is None or scalar is None or scalar.kind != "scalar":
            at = node.start if node else chunk.start
            problems.append(source.problem(at, "the image is not text", "Write it as registry/name:tag."))
            continue
        image = value if isinstance(value, str) else "" if value is None else scalar.text
        at_image = ImageAt(
            file=source.file,
            document=document.index,
            line=source.line(node.start),
            ref=ref,
            image=image,
            part=document.part,
        )
        yield _Found(at_image, node, prefix + path, chunk)


def _is_text(found: _Found) -> bool:
    node = found.node.target if found.node.kind == "alias" else found.node
    return node is not None and isinstance(scalars.resolve(node.text, node.tag, node.style is None), str)


def _edits(source: Source, found: list[_Found], new: dict[int, str]) -> dict[tuple[int, int], str]:
    """Span → text. Two containers that share one node must want the same."""
    want: dict[int, str] = {}
    holder: dict[int, _Found] = {}
    problems: list[Problem] = []
    for f in found:
        image = new.get(id(f), f.at.image)
        if want.setdefault(id(f.node), image) != image:
            said = f"one text is the image of two containers that need {want[id(f.node)]} and {image}"
            problems.append(source.problem(f.node.start, said, _REWRITE_BY_HAND, key=f"container {f.at.ref.name}"))
        holder[id(f.node)] = f
    if problems:
        raise refused(problems)
    chosen = {id(f.node) for f in found if id(f) in new}
    edits: dict[tuple[int, int], str] = {}
    for node_id, image in want.items():
        f = holder[node_id]
        if f.node.kind == "alias":
            target = f.node.target
            if target is None or want.get(id(target), target.text) == image:
                continue
            edits[(f.node.start, f.node.end)] = _written(source, f.chunk, f.node, image, None)
        elif image != f.at.image or (node_id in chosen and not _is_text(f)):
            edits.update([_scalar_edit(source, f.chunk, f.node, image)])
    return edits


def _after_properties(source: Source, node: Node) -> int:
    """Where a scalar's own text begins, behind its anchor and tag."""
    at = node.start
    for _ in filter(None, (node.anchor, node.tag)):
        found = _PROPERTY.match(source.text, at, node.end)
        if found is None:
            raise refused([source.problem(at, "this image cannot be replaced alone", _REWRITE_BY_HAND)])
        at = found.end()
    return at


def _written(source: Source, chunk: Chunk, node: Node, image: str, style: str | None) -> str:
    if style not in ("'", '"') and not chunk.json and scalars.is_text_plain(image, flow=True):
        return image
    return scalars.quoted(image, None if chunk.json else style)


def _scalar_edit(source: Source, chunk: Chunk, node: Node, image: str) -> tuple[tuple[int, int], str]:
    text = source.text
    written = _written(source, chunk, node, image, node.style)
    start, end = node.start, node.end
    if node.style is None and not node.text and (node.anchor or node.tag or start == end):
        end = start + len(text[start:end].rstrip()) if start < end else len(text[:start].rstrip())
        after = text[end : end + 1]
        return (end, end), " " + written + ("" if not after or after.isspace() or after in ",}]" else " ")
    start = _after_properties(source, node)
    if node.style in ("|", ">"):
        raw = text[start:end]
        header = _BLOCK_HEADER.match(raw)
        comment = header[1] if header and header[1] else ""
        body = raw.rstrip()
        if comment and body.endswith(comment.rstrip()) and "\n" not in body:
            body = raw
        return (start, start + len(body)), written + comment
    return (start, end), written


def _confirmed(source: Source, after: bytes, wanted: list[tuple[_Found, str]]) -> Manifest:
    """The file after the change. Refused unless the file's values are the old ones with the wanted images."""
    now = compose(after, source.file)
    places = [source.problem(f.node.start, "this image cannot be replaced alone", _REWRITE_BY_HAND) for f, _ in wanted]
    if len(now.chunks) != len(source.chunks):
        raise refused(places)
    wrong: list[Problem] = []
    for old, new in zip(source.chunks, now.chunks, strict=True):
        if old.root is None or new.root is None:
            if (old.root is None) != (new.root is None):
                raise refused(places)
            continue
        reader = Reader(now)
        expected, value = Reader(source).value(old.root), reader.value(new.root)
        mine = [(f, image) for f, image in wanted if f.chunk is old]
        for f, image in mine:
            at = expected
            for step in f.path[:-1]:
                at = at[step]
            at[f.path[-1]] = image
        if reader.problems or not same(expected, value):
            wrong += [p for p, (f, _) in zip(places, wanted, strict=True) if f.chunk is old]
    if wrong:
        raise refused(wrong)
    return Manifest(after, now, documents(now))
