"""What is told of the API server's and kubectl's own words: the cause, never the object.

A server that refuses a value quotes it, or the whole object that it stands in, with every password of its environment.
Whatever is told of an answer goes through `told` first: field, reason and the server's explanation stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollback_lib.core.redact import HIDDEN, redact

# `field.Error` of apimachinery: what the server calls a value that it quotes next.
_QUOTES: Final = re.compile(
    r"(?:(?P<field>[\w.\[\]()*/-]+): )?(?P<what>Invalid value|Unsupported value|Duplicate value|Not found): "
)
# Where an object or list begins in a text: JSON, JSON within a text, or as Go prints a map, a struct or a list.
_OBJECT: Final = re.compile(
    r'\{\s*\\*"|\[\s*\{\s*\\*"|\bmap\[\w+\][\w.*]+\{|\bmap\[(?!string\]\w)|&?\b[a-z]\w*\.[A-Z]\w*\{|\[\][\w.*]+\{'
)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.S)
_PLAIN: Final = re.compile(r"(?:-?[0-9][0-9.eE+-]{0,24}|true|false|null|<nil>)(?![^\s:,\]])")
_BRACKETS: Final = {"{": "}", "[": "]", "(": ")"}
# Fields whose values are names: to know which one is wrong helps, and no secret stands there in this form.
_NAMES: Final = frozenset(
    ("apiVersion", "imagePullPolicy", "kind", "name", "namespace", "operator", "pathType", "port", "protocol",
     "restartPolicy", "serviceName", "targetPort", "type")
)  # fmt: skip
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9./]{0,61}[a-z0-9])?|[A-Za-z]{1,24}")
_LEAST: Final = 4  # characters of a value that is looked for where the explanation repeats it
_WHOLE: Final = "patch"  # what the server calls the whole object that a patch would make


def told(said: str) -> str:
    """What a server or kubectl said, `without_quotes`, and with what looks like a credential hidden wherever it is."""
    return redact(without_quotes(said))


def without_quotes(said: str) -> str:
    """The text without what it quotes: values are hidden unless they are plainly names or numbers, objects are cut."""
    parts: list[str] = []
    repeated: list[str] = []
    at = 0
    while found := _QUOTES.search(said, at):
        end, text = _value(said, found.end())
        parts.append(said[at : found.start()])
        field = found["field"] or ""
        if field == _WHOLE:
            end += len(said[end:]) - len(said[end:].removeprefix(": "))
            parts.append("")  # the object as a whole is no field: only why it does not read is told
        elif _is_harmless(field, text):
            parts.append(said[found.start() : end])
        else:
            repeated.append(text)
            parts.append(f"{said[found.start() : found.end()]}{HIDDEN}")
        at = end
    parts.append(said[at:])
    rest = "".join(parts)
    for text in repeated:
        if len(text) >= _LEAST:
            rest = rest.replace(text, HIDDEN)
    return _without_objects(rest).strip()


def _is_harmless(field: str, text: str) -> bool:
    if not text or _PLAIN.fullmatch(text):
        return True
    return re.sub(r"\[\d+\]$", "", field).rpartition(".")[2] in _NAMES and bool(_NAME.fullmatch(text))


def _value(said: str, at: int) -> tuple[int, str]:
    """Where the value that begins here ends, and what it says, without its quotes."""
    if quoted := _STRING.match(said, at):
        text = quoted[0]
        try:
            return quoted.end(), str(json.loads(text))
        except ValueError:  # cut in the middle, or Go's own escapes
            return quoted.end(), text.strip('"')
    if plain := _PLAIN.match(said, at):
        return plain.end(), plain[0]
    found = _OBJECT.match(said, at)
    if found or said[at : at + 1] in _BRACKETS:
        end = _closed(said, _opening(found) if found else at)
        return end, said[at:end]
    end = said.find(": ", at)
    end = len(said) if end < 0 else end
    return end, said[at:end]


def _opening(found: re.Match[str]) -> int:
    """Where the bracket stands that opens the object: behind a type's name, else at once."""
    return found.end() - 1 if found[0][-1] in _BRACKETS else found.start()


def _closed(said: str, at: int) -> int:
    """Behind the bracket that closes the first one from here; the end of the text where none does."""
    open_: list[str] = []
    while at < len(said):
        char = said[at]
        if char == '"' and (quoted := _STRING.match(said, at)):
            at = quoted.end()
            continue
        if char in _BRACKETS:
            open_.append(_BRACKETS[char])
        elif open_ and char == open_[-1]:
            open_.pop()
            if not open_:
                return at + 1
        at += 1
    return len(said)


def _without_objects(said: str) -> str:
    parts, at = [], 0
    while found := _OBJECT.search(said, at):
        parts += [said[at : found.start()], HIDDEN]
        at = _closed(said, _opening(found))
    return "".join((*parts, said[at:]))


# -- where a manifest says a number and text is meant

Path = tuple[str | int, ...]
_TEXTS: Final = ("labels", "annotations", "matchLabels", "nodeSelector", "data")  # their values are texts
_LISTS: Final = ("command", "args")
_KINDS: Final = {bool: "true or false", int: "a number", float: "a number"}


def not_text(obj: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Where the object has a number, or true or false, and only text is taken: (path, what it is instead).

    That is a value without quotes: ``v: 12e3``, ``enabled: true``.
    """
    return [(path, _KINDS[type(value)]) for path, value in _texts(obj, ()) if type(value) in _KINDS]


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = (*path, str(key))
            if isinstance(inner, Mapping) and (key in _TEXTS or where == ("spec", "selector")):
                yield from (((*where, str(name)), one) for name, one in inner.items() if not isinstance(one, Mapping))
            if isinstance(inner, list) and key in _LISTS:
                yield from (((*where, number), one) for number, one in enumerate(inner))
            if key == "value" and len(path) > 1 and path[-2] == "env":
                yield where, inner
            yield from _texts(inner, where)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _texts(one, (*path, number))


def dotted(path: Path) -> str:
    """A path as the server writes it: ``spec.containers[0].env[1].value``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
