"""Strategic merge: Kubernetes' own patch, which merges lists by the keys that the kinds' shapes name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from rollback_lib.sandbox.schema import Shape, child
from rollback_lib.sandbox.status import ApiError

_ORDER = "$setElementOrder/"
_PRIMITIVES = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"
_PATCH = "$patch"


def strategic_merge(document: Any, patch: Any, shape: Shape | None) -> Any:
    """The object after the patch."""
    if not isinstance(patch, dict):
        raise ApiError(400, "error decoding patch: a strategic merge patch must be an object")
    return _merge_map(document if isinstance(document, dict) else {}, patch, shape)


def _merge_map(document: dict[str, Any], patch: dict[str, Any], shape: Shape | None) -> Any:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise ApiError(400, f"unknown patch type: {directive}")
    result = dict(document)
    retained = patch.get(_RETAIN)
    if retained is not None:
        result = {k: v for k, v in result.items() if k in retained}
    orders = {k.removeprefix(_ORDER): v for k, v in patch.items() if k.startswith(_ORDER)}
    for name, values in patch.items():
        if name.startswith(_PRIMITIVES):
            field = name.removeprefix(_PRIMITIVES)
            if isinstance(result.get(field), list):
                result[field] = [v for v in result[field] if v not in values]
    for name, value in patch.items():
        if name in (_PATCH, _RETAIN) or name.startswith((_ORDER, _PRIMITIVES)):
            continue
        inner = child(shape, name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and (inner is None or inner.kind in ("struct", "map", "any")):
            before = result.get(name)
            result[name] = _merge_map(before if isinstance(before, dict) else {}, value, inner)
        elif isinstance(value, list) and inner is not None and inner.merge_key is not None:
            before = result.get(name)
            result[name] = _merge_list(before if isinstance(before, list) else [], value, inner, orders.get(name))
        else:
            result[name] = copy.deepcopy(value)
    for name, order in orders.items():
        inner = child(shape, name)
        if name not in patch and isinstance(result.get(name), list) and inner is not None and inner.merge_key:
            result[name] = _ordered(result[name], [], result[name], order, inner.merge_key)
    return result


def _merge_list(before: list[Any], patch: list[Any], shape: Shape, order: Sequence[Any] | None) -> list[Any]:
    key = shape.merge_key
    if not key:
        merged = [*before, *(v for v in patch if v not in before)]
        return _ordered_values(merged, order) if order else merged
    if any(isinstance(p, dict) and p.get(_PATCH) == "replace" for p in patch):
        return [copy.deepcopy(p) for p in patch if _PATCH not in p]
    result = list(before)
    for item in patch:
        if not isinstance(item, dict):
            raise ApiError(400, "invalid patch: a list of objects got something else")
        if key not in item:
            raise ApiError(400, f"map: {item} does not contain declared merge key: {key}", reason="")
        matches = [i for i, o in enumerate(result) if isinstance(o, dict) and o.get(key) == item[key]]
        if item.get(_PATCH) == "delete":
            result = [o for i, o in enumerate(result) if i not in matches]
        elif matches:
            # Two items may have one merge key (a port in TCP and in UDP); a real server patches the first.
            result[matches[0]] = _merge_map(result[matches[0]], item, shape.item)
        else:
            result.append(_merge_map({}, item, shape.item))
    return _ordered(result, patch, before, order, key)


def _ordered(
    items: list[Any], patch: Sequence[Any], before: Sequence[Any], order: Sequence[Any] | None, key: str
) -> list[Any]:
    """The patch's order for what it names; what only the server has stays where it was among its neighbours."""
    names = [o.get(key) if isinstance(o, dict) else o for o in order or ()]
    if not names:
        return items
    named = {n: i for i, n in enumerate(names)}
    mine = sorted((o for o in items if o.get(key) in named), key=lambda o: named[o.get(key)])
    theirs = [o for o in items if o.get(key) not in named]
    place = {o.get(key): i for i, o in enumerate(before) if isinstance(o, dict)}
    result: list[Any] = []
    while mine and theirs:
        there = place.get(mine[0].get(key))
        # An item that is new to the list goes before the server's own ones.
        first = there is None or there < place.get(theirs[0].get(key), len(place))
        result.append((mine if first else theirs).pop(0))
    return result + mine + theirs


def _ordered_values(items: list[Any], order: Sequence[Any]) -> list[Any]:
    named = [v for v in order if v in items]
    return named + [v for v in items if v not in order]
