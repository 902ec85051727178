"""Bytes of a manifest file → its text, its documents, and the YAML nodes of each with their exact places.

Documents are split as kubectl splits them (``YAMLOrJSONDecoder``: lines that begin with ``---``, or JSON objects one
after the other), nodes are composed from PyYAML's events rather than by its composer, which refuses a doubly defined
anchor and loses where an alias stands.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec
import yaml

from rollback_lib.core import encoding
from rollback_lib.core.encoding import Text
from rollback_lib.core.errors import Problem, Refusal, RefusedError
from rollback_lib.core.reasons import Reason

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH: Final = 150
HELM_FIX: Final = "This is a template, not a manifest: render it first (helm template) and keep the result in git."

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_CONFLICT: Final = re.compile(r"^(?:<{7}|={7}|>{7})(?:[ \r]|$)", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"^---([^\n]*)(?:\n|\Z)", re.MULTILINE)
_TEMPLATE: Final = re.compile(r"^[^#\n]*?\{\{", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"(?<=[ \t])\{\{[ \t]{0,8}[A-Za-z_]\w*[ \t]{0,8}\}\}")


class Node:
    """A YAML node. ``start``/``end`` are offsets in the whole text and take in anchor and tag.

    ``kind``: ``scalar`` (``text``), ``map`` (``pairs``), ``seq`` (``items``) or ``alias`` (``target``, None while the
    anchored node is still open, that is for an alias inside itself).
    """

    __slots__ = ("anchor", "end", "items", "kind", "pairs", "start", "style", "tag", "target", "text")

    def __init__(self, kind: str, start: int, end: int, anchor: str | None = None, tag: str | None = None) -> None:
        self.kind, self.start, self.end, self.anchor, self.tag = kind, start, end, anchor, tag
        self.text = ""
        self.style: str | None = None  # None for plain, else ' " | >
        self.pairs: list[tuple[Node, Node]] = []
        self.items: list[Node] = []
        self.target: Node | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One YAML document, or one object of a JSON stream.

    ``separator`` is where its ``---`` line begins (equal to ``start`` if it has none). ``root`` is None where nothing
    but blanks and comments is there.
    """

    index: int
    separator: int
    start: int
    end: int
    json: bool
    root: Node | None


class Source(msgspec.Struct, frozen=True):
    """A decoded file and its documents."""

    file: str
    decoded: Text
    chunks: tuple[Chunk, ...]
    breaks: list[int]

    @property
    def text(self) -> str:
        return self.decoded.text

    def line(self, offset: int) -> int:
        """The 1-based line, as editors count, of an offset in the text."""
        return bisect.bisect_right(self.breaks, offset) + 1

    def column(self, offset: int) -> int:
        """The 1-based column of an offset in the text."""
        at = bisect.bisect_right(self.breaks, offset)
        return offset - (self.breaks[at - 1] if at else 0) + 1

    def problem(self, offset: int, text: str, fix: str = "", key: str = "") -> Problem:
        return Problem(text, file=self.file, line=self.line(offset), key=key, fix=fix)


def refused(problems: list[Problem]) -> RefusedError:
    """One refusal a problem, each with its place and its way out, in the order of the file and without repeats."""
    seen = dict.fromkeys(sorted(problems, key=lambda p: p.line))
    return RefusedError(
        *(
            Refusal(
                str(msgspec.structs.replace(p, fix="")) + ("." if p.fix else ""), fix=p.fix,
                reason=Reason.BAD_MANIFEST, subject=p.place, facts=(p.key,),
            )
            for p in seen
        )
    )  # fmt: skip


def decode(data: bytes, file: str) -> Text:
    """The text of a manifest file. Raises `RefusedError` naming the file for bytes that are none."""
    try:
        return encoding.decode(data)
    except encoding.NotTextError as error:
        raise refused([Problem(error.text, file=file, line=error.line, fix=error.FIX)]) from None


def compose(data: bytes, file: str) -> Source:
    """Every document of a file as nodes. Raises `RefusedError` with every document that kubectl could not parse.

    A placeholder such as ``{{IMAGE_NAME}}`` alone in the place of a value, which YAML itself cannot read, is a scalar.
    """
    decoded = decode(data, file)
    text = decoded.text
    source = Source(file, decoded, (), [m.end() for m in _BREAK.finditer(text)])
    bad = _FORBIDDEN.search(text)
    if bad:
        raise refused([source.problem(bad.start(), f"control character U+{ord(bad[0]):04X} is not allowed in YAML")])
    problems: list[Problem] = []
    chunks: list[Chunk] = []
    for separator, start, end, is_json in _split(text):
        rest = text[separator + 3 : start].strip() if separator < start else ""
        if rest and not rest.startswith("#"):
            fix = "kubectl allows only a comment after ---: put the content on the next line."
            problems.append(source.problem(separator, f"invalid document separator ---{rest[:40]}", fix))
            continue
        try:
            root = _parse(source, start, end, is_json)
        except _ParseError as error:
            conflict = _CONFLICT.search(text, start, end)
            said = "a merge was committed with its conflict"
            problems.append(source.problem(conflict.start(), said) if conflict else error.problem)
            continue
        chunks.append(Chunk(len(chunks), separator, start, end, is_json, root))
    if problems:
        raise refused(problems)
    return msgspec.structs.replace(source, chunks=tuple(chunks))


def _split(text: str) -> Iterator[tuple[int, int, int, bool]]:
    """(separator, start, end, json) of each document."""
    at = 0
    if text.lstrip().startswith("{"):
        decoder = json.JSONDecoder(parse_int=str, parse_float=str)
        while True:
            begin = len(text) - len(text[at:].lstrip())
            if begin == len(text):
                return
            try:
                _, end = decoder.raw_decode(text, begin)
            except (ValueError, RecursionError):
                break
            yield at, at, end, True
            at = end
    separator = start = at
    for match in _SEPARATOR.finditer(text, at):
        if match.start() > separator or match.start() > at:
            yield separator, start, match.start(), False
        separator, start = match.start(), match.end()
    yield separator, start, len(text), False


class _ParseError(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _parse(source: Source, start: int, end: int, is_json: bool) -> Node | None:
    text = source.text[start:end]
    if text.startswith("\ufeff"):  # kubectl reads each document on its own, so each may have one
        start, text = start + 1, text[1:]
    if is_json:  # valid JSON has tabs between values only, and YAML does not like them everywhere
        return _nodes(source, text.replace("\t", " "), start)
    template = _TEMPLATE.search(text)
    try:
        root = _nodes(source, text, start)
        if template is None or not _has_template_key(root, source.text):
            return root
    except _ParseError:
        if template is None:
            raise
    masks = [(start + m.start(), start + m.end()) for m in _PLACEHOLDER.finditer(text) if _is_value(text, m.start())]
    while masks:
        masked = list(text)
        for a, b in masks:
            masked[a - start : b - start] = "x" * (b - a)
        try:
            root = _nodes(source, "".join(masked), start)
        except _ParseError:
            break
        if root is None or _has_template_key(root, source.text):
            break
        wrong = _unmask(root, source.text, masks)
        if not wrong:
            return root
        masks = [m for m in masks if m not in wrong]  # inside a quoted or block scalar: plain text there
    raise _ParseError(source.problem(start + template.end() - 2, "{{ … }} is not YAML", HELM_FIX))


def _is_value(text: str, at: int) -> bool:
    """Whether what stands there is the whole beginning of a plain value: after ``key:`` or after dashes."""
    before = text[text.rfind("\n", 0, at) + 1 : at].strip()
    return before.endswith(":") and before[0] not in "#'\"{[" if before.strip("- ") else before.endswith("-")


def _has_template_key(root: Node | None, text: str) -> bool:
    return any(n.kind == "map" and text.startswith("{{", n.start) for n in _walk(root))


def _walk(root: Node | None) -> Iterator[Node]:
    stack = [root] if root else []
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.items)
        for pair in node.pairs:
            stack.extend(pair)


def _unmask(root: Node, text: str, masks: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Give plain scalars their own text back; return the masks that lie in any other scalar."""
    starts = [a for a, _ in masks]
    wrong: set[tuple[int, int]] = set()
    for node in _walk(root):
        if node.kind != "scalar":
            continue
        inside = masks[bisect.bisect_left(starts, node.start) : bisect.bisect_left(starts, node.end)]
        if inside and node.style is None and "\n" not in text[node.start : node.end]:
            node.text = text[inside[0][0] : node.end]
            node.style = "{{"
        else:
            wrong.update(inside)
    return wrong


def _nodes(source: Source, text: str, base: int) -> Node | None:
    """The first document of ``text`` as nodes. Raises `_ParseError`."""
    limit = base + len(text)
    # kubectl ends every line it reads: a block at the end of a file without a last newline has one all the same.
    loader = LOADER(text if text.endswith("\n") else text + "\n")
    root: Node | None = None
    stack: list[tuple[Node, list[Node]]] = []
    anchors: dict[str, Node] = {}
    open_nodes: set[int] = set()
    began = False
    try:
        while loader.check_event():
            event = loader.get_event()
            start, end = min(base + event.start_mark.index, limit), min(base + event.end_mark.index, limit)
            node: Node | None = None
            if isinstance(event, yaml.DocumentStartEvent):
                if began:
                    said = "kubectl reads nothing after ... : what follows would silently vanish"
                    raise _ParseError(source.problem(start, said, "Begin each document with a line ---."))
                began = True
                if event.version and tuple(event.version) != (1, 1):
                    raise _ParseError(source.problem(start, "kubectl reads YAML 1.1 only", "Remove the %YAML line."))
            elif isinstance(event, yaml.ScalarEvent):
                node = Node("scalar", start, end, event.anchor, event.tag)
                node.text = event.value
                node.style = event.style or None
            elif isinstance(event, yaml.AliasEvent):
                node = Node("alias", start, end)
                target = anchors.get(str(event.anchor))
                if target is None:
                    raise _ParseError(source.problem(start, f"unknown anchor '{event.anchor}' referenced"))
                node.target = target if id(target) not in open_nodes else None
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
                container = Node(kind, start, end, event.anchor, event.tag)
                if container.anchor:
                    anchors[container.anchor] = container
                stack.append((container, []))
                open_nodes.add(id(container))
                if len(stack) > MAX_DEPTH:
                    raise _ParseError(source.problem(start, f"nested more than {MAX_DEPTH} levels deep"))
                continue
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                node, children = stack.pop()
                open_nodes.discard(id(node))
                node.end = end
                if node.kind == "seq":
                    node.items = children
                else:
                    node.pairs = list(zip(children[::2], children[1::2], strict=True))
            if node is None:
                continue
            if node.anchor and node.kind == "scalar":
                anchors[node.anchor] = node
            if stack:
                stack[-1][1].append(node)
            else:
                root = node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = base + (min(mark.index, len(text)) if mark else 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise _ParseError(source.problem(at, f"not YAML: {said}")) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _ParseError(source.problem(base, f"not YAML: {str(error).splitlines()[0]}")) from None
    finally:
        loader.dispose()
    return root
