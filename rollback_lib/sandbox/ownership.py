"""Who owns which field (managedFields): what an update takes over, and server-side apply."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any, Final

from rollback_lib.sandbox.field_paths import Path, compare, fields_of, from_fields_v1, item_key, shown, to_fields_v1
from rollback_lib.sandbox.schema import Object, Resource, Shape, child, shape_of
from rollback_lib.sandbox.status import ApiError

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_UNOWNED_METADATA: Final = frozenset(
    {
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
        "deletionTimestamp", "deletionGracePeriodSeconds",
    }
)  # fmt: skip
# What exists in every object as the server decodes it, so that nobody comes to own it by creating the object.
_SKELETON: Final[Object] = {
    "metadata": {},
    "spec": {"template": {"metadata": {}, "spec": {}}, "strategy": {}, "updateStrategy": {}, "jobTemplate": {}},
    "status": {},
}
Owner = tuple[str, str, str]  # manager, operation, subresource


@dataclass
class _Entry:
    paths: set[Path]
    time: str
    api_version: str


def updated(
    resource: Resource, before: Object | None, after: Object, manager: str, stamp: str, subresource: str = ""
) -> Object:
    """The object with managedFields as they are after this write."""
    entries = _entries(after) or (_entries(before) if before else {})
    if before is None:
        entries = {}
    base = _bare(before) if before is not None else {}
    difference = compare(_with_skeleton(base, after), _bare(after), shape_of(resource.type))
    owner = (manager, "Update", subresource)
    for other, entry in list(entries.items()):
        if other != owner:
            entry.paths -= difference.written
        entry.paths -= difference.removed
        if not entry.paths:
            del entries[other]
    if written := difference.written:
        mine = entries.setdefault(owner, _Entry(set(), stamp, resource.api_version))
        mine.paths |= written
        mine.time = stamp
    return _with_entries(after, entries)


def applied(
    resource: Resource, live: Object | None, config: Object, manager: str, stamp: str, *, force: bool
) -> Object:
    """Server-side apply: the merged object with managedFields. Raises the conflict."""
    shape = shape_of(resource.type)
    wanted = _bare(config)
    mine = fields_of(wanted, shape) - {("f:metadata",), ("f:spec",), ("f:status",)}
    owner = (manager, "Apply", "")
    entries = _entries(live) if live else {}
    last = entries.pop(owner, None)
    base = live if live is not None else {"metadata": {"name": config["metadata"]["name"]}}
    merged: Object = _merge(base, config, shape)
    others = set().union(*(e.paths for e in entries.values())) if entries else set()
    if last is not None:
        held = others | mine
        prefixes = {p[:n] for p in held for n in range(len(p) + 1)}
        for path in sorted(last.paths - mine, key=len, reverse=True):
            if path not in prefixes:
                _remove(merged, path, shape)
    merged["metadata"]["managedFields"] = []
    difference = compare(_bare(base), _bare(merged), shape)
    conflicts = {o: e.paths & difference.written for o, e in entries.items()}
    conflicts = {o: paths for o, paths in conflicts.items() if paths}
    if conflicts and not force and not _only_last_applied(live, conflicts, manager, shape):
        raise _conflict(conflicts, {o: entries[o] for o in conflicts})
    for other, entry in list(entries.items()):
        entry.paths -= difference.written | difference.removed
        if not entry.paths:
            del entries[other]
    changed = bool(difference.written or difference.removed) or last is None or last.paths != mine
    time = stamp if changed or last is None else last.time
    entries[owner] = _Entry(mine, time, resource.api_version)
    if manager == "kubectl" and live and LAST_APPLIED in (live["metadata"].get("annotations") or {}):
        kept = {k: v for k, v in config.items() if k != "status"}
        text = json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n"
        notes = merged["metadata"].get("annotations") or {}
        merged["metadata"]["annotations"] = {**notes, LAST_APPLIED: text}
    return _with_entries(merged, entries)


def _only_last_applied(
    live: Object | None, conflicts: dict[Owner, set[Path]], manager: str, shape: Shape
) -> bool:  # fmt: skip
    """kubectl may take over by server-side apply what it has written by client-side apply."""
    text = ((live or {}).get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    if manager != "kubectl" or not text:
        return False
    try:
        known = fields_of(_bare(json.loads(text)), shape)
    except ValueError:
        return False
    return set().union(*conflicts.values()) <= known | {("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")}


def _conflict(conflicts: dict[Owner, set[Path]], entries: dict[Owner, _Entry]) -> ApiError:
    causes = []
    told = []
    for owner, paths in sorted(conflicts.items()):
        manager, operation, sub = owner
        using = entries[owner].api_version
        name = json.dumps(manager) + (f" with subresource {json.dumps(sub)}" if sub else "")
        name += f" using {using}" if operation == "Update" else ""
        fields = [shown(p) for p in sorted(paths)]
        causes += [{"reason": "FieldManagerConflict", "message": f"conflict with {name}", "field": f} for f in fields]
        single = len(fields) == 1
        told.append(f"conflict with {name}: {fields[0]}" if single else f"conflicts with {name}:" +
                    "".join(f"\n- {f}" for f in fields))  # fmt: skip
    count = len(causes)
    text = f"Apply failed with {count} conflict{'' if count == 1 else 's'}: " + (
        told[0] if len(told) == 1 else "\n".join(told)
    )
    return ApiError(409, text, details={"causes": causes})


def _bare(found: Object) -> Object:
    metadata = {k: v for k, v in (found.get("metadata") or {}).items() if k not in _UNOWNED_METADATA}
    return {**{k: v for k, v in found.items() if k not in ("apiVersion", "kind")}, "metadata": metadata}


def _with_skeleton(base: Object, after: Object) -> Object:
    """The base with those structs that every decoded object has, as far as the other state has them."""

    def fit(found: Object, plain: Object, whole: Object) -> Object:
        structs = {k: v for k, v in plain.items() if isinstance(whole.get(k), dict)}
        return {**found, **{k: fit(found.get(k) or {}, v, whole[k]) for k, v in structs.items()}}

    return fit(base, _SKELETON, after)


def _entries(found: Object | None) -> dict[Owner, _Entry]:
    listed = ((found or {}).get("metadata") or {}).get("managedFields") or []
    result: dict[Owner, _Entry] = {}
    for entry in listed:
        if not isinstance(entry, dict) or not entry.get("manager"):
            continue
        owner = (entry["manager"], entry.get("operation", "Update"), entry.get("subresource", ""))
        paths = from_fields_v1(entry.get("fieldsV1"))
        result[owner] = _Entry(paths, entry.get("time", ""), entry.get("apiVersion", ""))
    return result


def _with_entries(found: Object, entries: dict[Owner, _Entry]) -> Object:
    # The order of a real one: applied ones first, then by time.
    ordered = sorted(entries.items(), key=lambda p: (p[0][1] != "Apply", p[1].time, p[0]))
    listed = [
        {
            "manager": manager, "operation": operation, "apiVersion": entry.api_version, "time": entry.time,
            "fieldsType": "FieldsV1", "fieldsV1": to_fields_v1(entry.paths),
            **({"subresource": sub} if sub else {}),
        }
        for (manager, operation, sub), entry in ordered
    ]  # fmt: skip
    metadata = {k: v for k, v in found["metadata"].items() if k != "managedFields"}
    return {**found, "metadata": {**metadata, **({"managedFields": listed} if listed else {})}}


def _merge(live: Any, config: Any, shape: Shape | None) -> Any:
    if shape is None or shape.atomic:
        return copy.deepcopy(config)
    if shape.kind in ("struct", "map") and isinstance(config, dict):
        result = dict(live) if isinstance(live, dict) else {}
        for name, value in config.items():
            result[name] = _merge(result.get(name), value, child(shape, name))
        return result
    if shape.kind == "list" and isinstance(config, list):
        # The applied order for what is applied; what only others have keeps its place after it.
        olds = {item_key(i, shape): i for i in live or []}
        mine = {item_key(i, shape): i for i in config}
        names = _interleaved(list(olds), list(mine))
        return [_merge(olds.get(n), mine[n], shape.item) if n in mine else olds[n] for n in names]
    return copy.deepcopy(config)


def _interleaved(olds: list[str], mine: list[str]) -> list[str]:
    known = set(mine)
    result: list[str] = []
    rest = list(olds)
    for name in mine:
        if name in rest:
            at = rest.index(name)
            result += [o for o in rest[:at] if o not in known]
            rest = [o for o in rest[:at] if o in known] + rest[at + 1 :]
        result.append(name)
    return result + [o for o in rest if o not in known]


def _remove(found: Any, path: Path, shape: Shape | None) -> None:
    """Take the field away, and maps and lists that are empty then. `found` is changed where it was copied by _merge."""
    trail: list[tuple[Any, str]] = []
    node = found
    for element in path[:-1]:
        trail.append((node, element))
        at = _at(node, element, shape)
        if at is None:
            return
        shape = _inner(shape, element)
        node[at] = copy.copy(node[at])
        node = node[at]
    at = _at(node, path[-1], shape)
    if at is not None:
        del node[at]
        if trail and not node and shape is not None and shape.kind in ("map", "list"):
            parent, element = trail[-1]
            if element.startswith("f:"):
                parent.pop(element[2:], None)


def _inner(shape: Shape | None, element: str) -> Shape | None:
    if shape is None:
        return None
    return child(shape, element[2:]) if element.startswith("f:") else shape.item


def _at(node: Any, element: str, shape: Shape | None) -> Any:
    if element.startswith("f:"):
        return element[2:] if isinstance(node, dict) and element[2:] in node else None
    if isinstance(node, list) and shape is not None:
        return next((i for i, item in enumerate(node) if item_key(item, shape) == element), None)
    return None
