"""The patches that change an object by what they say: JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from rollback_lib.sandbox.status import ApiError

_MISSING = object()


def refused() -> ApiError:
    """What a server says of a JSON patch that it cannot do; it does not say which operation."""
    return ApiError(422, "the server rejected our request due to an error in our request", details={})


def json_patch(document: Any, operations: Any) -> Any:
    """The document after the operations, in order; all or nothing."""
    if not isinstance(operations, list):
        why = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        raise ApiError(400, f"error decoding patch: {why}")
    result = copy.deepcopy(document)
    for operation in operations:
        result = _operate(result, operation)
    return result


def _operate(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict) or "path" not in operation:
        raise refused()
    what, path = operation.get("op"), _split(operation["path"])
    if what == "test":
        found = _look(document, path)
        # A missing member equals null, as in the library that a real API server uses.
        if (None if found is _MISSING else found) != operation.get("value"):
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
