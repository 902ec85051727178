"""The patches that change an object by what they say: JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

from rollback_lib.sandbox.status import ApiError

_MISSING = object()


class _Written(NamedTuple):
    """A string or number as it stands in the body."""

    text: str


def _reader() -> json.JSONDecoder:
    def text(found: str, begin: int, strict: bool) -> tuple[_Written, int]:
        _, end = scanstring(found, begin, strict)
        return _Written(found[begin - 1 : end]), end

    made: Any = json.JSONDecoder(parse_int=_Written, parse_float=_Written, parse_constant=_Written)
    made.parse_string = text
    made.scan_once = py_make_scanner(made)
    return made  # type: ignore[no-any-return]


_READER: Final = _reader()
# What Go's encoder escapes beside what JSON asks for, so that it is safe in HTML and JavaScript.
_ESCAPED: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def refused() -> ApiError:
    """What a server says of a JSON patch that it cannot do; it does not say which operation."""
    return ApiError(422, "the server rejected our request due to an error in our request", details={})


def json_patch(document: Any, body: bytes) -> Any:
    """The document after the operations of the body, in order; all or nothing."""
    try:
        operations = json.loads(body)
        written: Any = _READER.decode(body.decode())
    except ValueError as error:
        raise ApiError(400, f"error decoding patch: {error}") from None
    if not isinstance(operations, list):
        why = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        raise ApiError(400, f"error decoding patch: {why}")
    result = copy.deepcopy(document)
    for operation, as_written in zip(operations, written, strict=True):
        result = _operate(result, operation, as_written)
    return result


def _is(found: Any, written: Any) -> bool:
    """Whether a ``test`` holds, as in the library that a real API server uses (evanphx/json-patch): containers are
    compared entry by entry, a string or number by its bytes against what Go writes for the value that is there."""
    match found:
        case dict():
            return (
                isinstance(written, dict)
                and found.keys() == written.keys()
                and all(_is(value, written[key]) for key, value in found.items())
            )
        case list():
            return (
                isinstance(written, list)
                and len(found) == len(written)
                and all(_is(one, other) for one, other in zip(found, written, strict=True))
            )
        case None | bool():
            return found is written
    return isinstance(written, _Written) and written.text == _as_go_writes(found)


def _as_go_writes(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False)
    return "".join(_ESCAPED.get(c, c) for c in text) if isinstance(found, str) else text


def _operate(document: Any, operation: Any, written: Any) -> Any:
    if not isinstance(operation, dict) or "path" not in operation:
        raise refused()
    what, path = operation.get("op"), _split(operation["path"])
    if what == "test":
        found = _look(document, path)
        # A missing member equals null.
        if not _is(None if found is _MISSING else found, written.get("value")):
            raise refused()
        return document
    if what in ("add", "replace"):
        value = copy.deepcopy(operation.get("value"))
        # `replace` adds a member that is not there, as in the library that a real API server uses.
        return _set(document, path, value, insert=what == "add")
    if what == "remove":
        _remove(document, path)
        return document
    if what in ("move", "copy"):
        source = _split(operation.get("from", ""))
        value = _look(document, source)
        if value is _MISSING:
            raise refused()
        value = copy.deepcopy(value)
        if what == "move":
            _remove(document, source)
        return _set(document, path, value, insert=True)
    raise refused()


def _split(path: Any) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise refused()
    return [p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]


def _index(items: list[Any], part: str, *, end: bool = False) -> int:
    if end and part == "-":
        return len(items)
    try:
        at = int(part)
    except ValueError:
        raise refused() from None
    if at < 0:
        at += len(items)
    if not 0 <= at < len(items) + (1 if end else 0):
        raise refused()
    return at


def _look(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        if isinstance(document, dict):
            if part not in document:
                return _MISSING
            document = document[part]
        elif isinstance(document, list):
            try:
                document = document[_index(document, part)]
            except ApiError:
                return _MISSING
        else:
            return _MISSING
    return document


def _set(document: Any, path: Sequence[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent = _look(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        if insert:
            parent.insert(_index(parent, path[-1], end=True), value)
        else:
            parent[_index(parent, path[-1])] = value
    else:
        raise refused()
    return document


def _remove(document: Any, path: Sequence[str]) -> None:
    if not path or _look(document, path) is _MISSING:
        raise refused()
    parent = _look(document, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: null removes, lists are replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
