"""A text as the nodes of one YAML document, or one problem: never a traceback, whatever the bytes are.

The parser's events are looked at first, which needs no stack: what could hurt (depth, length) or means nothing in a
settings file (a second document, tags) is refused before nodes are made.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from rollback_lib.core.errors import Problem

MAX_CHARACTERS: Final = 512 * 1024
MAX_DEPTH: Final = 30

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class UnreadableError(Exception):
    """Nothing after this point means anything."""

    def __init__(self, text: str, mark: Any = None, fix: str = "") -> None:
        line, column = (0, 0) if mark is None else (mark.line + 1, mark.column + 1)
        self.problem = Problem(text, line=line, column=column, fix=fix)


def compose(text: str) -> yaml.Node:
    """The one document of ``text`` as nodes; an empty file is an empty mapping."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError(f"too long: more than {MAX_CHARACTERS} characters")
    try:
        _look_at_events(text)
        root = yaml.compose(text, _LOADER)
    except yaml.MarkedYAMLError as e:
        raise UnreadableError(*_syntax(e, text)) from None
    except UnicodeEncodeError:
        raise UnreadableError("not UTF-8: it holds half a character (a lone surrogate)") from None
    except yaml.YAMLError as e:  # the reader's: characters that YAML does not allow
        said = str(e).splitlines()[0]
        raise UnreadableError(f"not readable as YAML: {said}") from None
    except (ValueError, OverflowError):  # PyYAML without libyaml: an escape that is no character
        raise UnreadableError("not readable as YAML: an escape that is no character") from None
    if root is None or is_null(root):
        mark = yaml.Mark("", 0, 0, 0, None, 0)
        return yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)
    return root


def _look_at_events(text: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise UnreadableError("a second document begins here", event.start_mark, "keep one, without '---'")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UnreadableError("nested too deeply", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.ScalarEvent):
            event.value.encode()  # without libyaml an escape can make half a character, which nothing can write again
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise UnreadableError(f"the tag {tag!r} means nothing here", event.start_mark, "leave it out")


def _syntax(e: yaml.MarkedYAMLError, text: str) -> tuple[str, Any, str]:
    mark = e.problem_mark or e.context_mark
    said = f"not YAML: {e.problem or e.context}"
    if e.context and e.problem:
        said += f", {e.context}"
    fix = ""
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if line[: len(line) - len(line.lstrip())].count("\t"):
        fix = "indent with spaces, not with tabs"
    elif re.search(r"[:\-]\s+\{\w+\}\S", line):
        fix = 'put quotes around a text that begins with a brace: "{service}/…"'
    elif re.search(r"[:\-]\s+[*&!@`%]", line):
        fix = "put quotes around a text that begins with a special sign"
    return said, mark, fix


def is_plain(node: yaml.Node) -> bool:
    """Whether a scalar is written without quotes (libyaml says so with an empty style, PyYAML with None)."""
    return isinstance(node, yaml.ScalarNode) and not node.style


def is_null(node: yaml.Node) -> bool:
    """Whether nothing is written there (`key:`), or nothing on purpose (`~`, `null`)."""
    return is_plain(node) and node.value in _NULLS
