"""JSON patches (RFC 6902) as the API server takes them: doing one, and making one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.kube import go_json
from rollback_lib.core.kube.objects import Object


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation of a JSON patch. ``path`` is a JSON pointer."""

    op: str
    path: str
    value: Any = msgspec.UNSET


def pointer(path: Sequence[str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + p.replace("~", "~0").replace("/", "~1") for p in path)


def covers(live: Any, asked: Any) -> bool:
    """Whether ``live`` has all that ``asked`` names; what the server added by default does not count."""
    if isinstance(asked, Mapping):
        if not isinstance(live, Mapping):
            return not asked and live in (None, _NOTHING)
        return all(covers(live.get(k), v) for k, v in asked.items() if v is not None)
    if isinstance(asked, list):
        if not isinstance(live, list):
            return not asked and live in (None, _NOTHING)
        return len(live) == len(asked) and all(covers(a, b) for a, b in zip(live, asked, strict=True))
    return bool(live == asked) or str(live) == str(asked)


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING: Final = _Missing()


_OF_STATE: Final = ("/metadata/uid", "/metadata/generation", "/metadata/resourceVersion")


def done(obj: Mapping[str, Any], operations: Sequence[Operation]) -> Object | None:
    """The object after ``add``, ``replace``, ``remove`` and ``test``; None where the server would refuse (422).

    As the API server's library has it, a member that is not there equals null, and ``replace`` adds it.
    """
    result: Any = copy.deepcopy(dict(obj))
    for operation in operations:
        *way, last = [p.replace("~1", "/").replace("~0", "~") for p in operation.path.split("/")[1:]]
        parent: Any = result
        try:
            for part in way:
                parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
        try:
            if isinstance(parent, list):
                _in_list(parent, last, operation)
            elif isinstance(parent, dict):
                _in_mapping(parent, last, operation)
            else:
                return None
        except (LookupError, ValueError):
            return None
    return dict(result)


def _in_mapping(parent: dict[str, Any], key: str, operation: Operation) -> None:
    if operation.op == "test":
        if parent.get(key) != operation.value:
            raise LookupError(key)
    elif operation.op == "remove":
        del parent[key]
    else:
        parent[key] = copy.deepcopy(operation.value)


def _in_list(parent: list[Any], key: str, operation: Operation) -> None:
    at = len(parent) if key == "-" else int(key)
    if operation.op == "test":
        if parent[at] != operation.value:
            raise LookupError(key)
    elif operation.op == "remove":
        del parent[at]
    elif operation.op == "add":
        parent.insert(at, copy.deepcopy(operation.value))
    else:
        parent[at] = copy.deepcopy(operation.value)


def change(now: Mapping[str, Any], wanted: Mapping[str, Any], places: Sequence[tuple[str, ...]]) -> list[Operation]:
    """From ``now`` to ``wanted`` at these places, each behind a ``test`` of the whole value that is there now."""
    tests: list[Operation] = []
    writes: list[Operation] = []
    for place in places:
        before, after = _at(now, place), _at(wanted, place)
        if before == after:
            continue
        tests.append(Operation("test", pointer(place), before))
        if after is None:
            writes.append(Operation("remove", pointer(place)))
        else:
            writes.append(Operation("add" if before is None else "replace", pointer(place), after))
    return portable(tests + writes, now)


def portable(operations: Sequence[Operation], live: Mapping[str, Any]) -> list[Operation]:
    """The same operations for whatever Go the server and kubectl were made with.

    A ``test`` of a value that versions of Go write in other bytes would fail though nothing has changed: it becomes one
    of the object's uid and generation (of its resourceVersion where it has no generation).
    """
    unsure = [o for o in operations if o.op == "test" and go_json.varies(o.value)]
    if not unsure:
        return list(operations)
    meta = live["metadata"]
    state = [name for name in ("generation", "resourceVersion") if name in meta][:1]
    tests = [Operation("test", pointer(("metadata", name)), meta[name]) for name in ("uid", *state)]
    return tests + [o for o in operations if o not in unsure]


def of_content(operations: Sequence[Operation]) -> list[Operation]:
    """The operations without those tests of the object's state, which closing its traffic changes as well."""
    return [o for o in operations if o.op != "test" or o.path not in _OF_STATE]


def labels_in(operations: Sequence[Operation]) -> frozenset[str]:
    """The labels of the object itself that the operations speak of."""
    found: set[str] = set()
    for operation in operations:
        way = [p.replace("~1", "/").replace("~0", "~") for p in operation.path.split("/")[1:]]
        if way[:2] == ["metadata", "labels"]:
            found |= {way[2]} if way[2:] else {*operation.value} if isinstance(operation.value, Mapping) else set()
    return frozenset(found)


def _at(obj: Any, place: Sequence[str]) -> Any:
    for part in place:
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return obj
