"""Get, list and watch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from rollback_lib.sandbox.requests import Answer, Request, Target
from rollback_lib.sandbox.schema import Object, Resource
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.tables import partial, table, wants_partial, wants_table
from rollback_lib.sandbox.validation import query_matches

_TICK = 0.5  # seconds between two looks at whether the server is being closed


def get(store: Store, request: Request, target: Target) -> Answer:
    """One object."""
    return shown(request, target.resource, store.get(target.resource, target.namespace, target.name))


def shown(request: Request, resource: Resource, found: Object, status: int = 200) -> Answer:
    """An object in the form that the client asks for."""
    if wants_table(request.accept):
        return Answer.of(table(resource, [found], found["metadata"].get("resourceVersion", "")), status)
    if wants_partial(request.accept):
        return Answer.of(partial(found), status)
    return Answer.of(found, status)


def list_(store: Store, request: Request, target: Target) -> Answer:
    """All objects that are chosen."""
    resource = target.resource
    with store.lock:
        version = str(store.version)
        found = [o for o in store.all(resource, target.namespace) if _chosen(request, o)]
    metadata: dict[str, Any] = {"resourceVersion": version}
    after = request.query.get("continue", "")
    if after:
        found = [o for o in found if _place(o) > after]
    limit = int(request.query.get("limit") or 0)
    if 0 < limit < len(found):
        metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _place(found[-1])
    if wants_table(request.accept):
        made = table(resource, found, version)
        made["metadata"] = metadata
        return Answer.of(made)
    if wants_partial(request.accept):
        items = [partial(o) for o in found]
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return Answer.of({**kind, "metadata": metadata, "items": items})
    items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in found]
    kind = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
    return Answer.of({**kind, "metadata": metadata, "items": items})


def _place(found: Object) -> str:
    return f"{found['metadata'].get('namespace', '')}/{found['metadata']['name']}"


def _chosen(request: Request, found: Object, name: str = "") -> bool:
    if name and found["metadata"]["name"] != name:
        return False
    labels = request.query.get("labelSelector", "")
    if labels and not query_matches(labels, found["metadata"].get("labels") or {}):
        return False
    fields = request.query.get("fieldSelector", "")
    return not fields or all(_field_matches(part, found) for part in fields.split(",") if part)


def _field_matches(part: str, found: Object) -> bool:
    path, sign, value = part.partition("!=")
    if not sign:
        path, sign, value = part.partition("=")
        value = value.removeprefix("=")
    if not sign:
        raise ApiError(400, f"invalid selector: {part!r}; can't understand {part!r}")
    node: Any = found
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    same = ("" if node is None else str(node)) == value
    return same != (sign == "!=")


def watch(store: Store, request: Request, target: Target) -> Answer:
    """What happens, from a version on or from now on."""
    asked = request.query.get("resourceVersion", "")
    initial = request.flag("sendInitialEvents")
    if initial and request.query.get("resourceVersionMatch") != "NotOlderThan":
        raise ApiError(
            422,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires '
            "setting resourceVersionMatch to NotOlderThan",
        )
    with store.lock:
        start = store.version
        first: list[Object] = []
        if initial or asked in ("", "0"):
            first = [o for o in store.all(target.resource, target.namespace) if _chosen(request, o, target.name)]
        else:
            if not asked.isdecimal():
                raise ApiError(400, f'Invalid value: "{asked}": strconv.ParseUint: parsing: invalid syntax')
            start = int(asked)
        gone = store.since(start) is None
    limit = float(request.query.get("timeoutSeconds") or 1800)

    def pieces(closing: Callable[[], bool]) -> Iterator[bytes]:
        deadline = time.monotonic() + limit
        shape = _Shape(request, target.resource)
        if gone:
            yield _line("ERROR", ApiError(410, f"too old resource version: {asked} ({store.version})").body)
            return
        for found in first:
            yield _line("ADDED", shape.of(found))
        seen = start
        if initial:
            yield _line("BOOKMARK", shape.bookmark(str(seen), ends_initial=True))
        while not closing():
            events = store.since(seen)
            if events is None:
                yield _line("ERROR", ApiError(410, f"too old resource version: {seen} ({store.version})").body)
                return
            for event in events:
                seen = event.version
                if event.key[:2] != (target.resource.group, target.resource.plural):
                    continue
                if target.namespace and event.key[2] != target.namespace:
                    continue
                now = _chosen(request, event.object, target.name)
                was = event.before is not None and _chosen(request, event.before, target.name)
                if event.type == "DELETED":
                    kind = "DELETED" if was else ""
                else:
                    kind = {(True, False): "ADDED", (True, True): "MODIFIED", (False, True): "DELETED"}.get(
                        (now, was), ""
                    )
                if kind:
                    yield _line(kind, shape.of(event.object))
            left = deadline - time.monotonic()
            if left <= 0:
                if request.flag("allowWatchBookmarks"):
                    yield _line("BOOKMARK", shape.bookmark(str(seen)))
                return
            with store.changed:
                if store.version == seen or not store.since(seen):
                    store.changed.wait(min(left, _TICK))

    return Answer(200, stream=pieces)


class _Shape:
    """Objects of a watch in the form that the client asks for; a table's columns come once."""

    def __init__(self, request: Request, resource: Resource) -> None:
        self._request, self._resource = request, resource
        self._told = False

    def of(self, found: Object) -> Object:
        if wants_table(self._request.accept):
            made = table(self._resource, [found], found["metadata"].get("resourceVersion", ""))
            if self._told:
                made["columnDefinitions"] = None
            self._told = True
            return made
        return partial(found) if wants_partial(self._request.accept) else found

    def bookmark(self, version: str, *, ends_initial: bool = False) -> Object:
        notes = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends_initial else {}
        metadata = {"resourceVersion": version, "creationTimestamp": None, **notes}
        bare = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        if wants_table(self._request.accept):
            row = {"cells": [], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                                           "metadata": metadata}}  # fmt: skip
            return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
                    "columnDefinitions": None, "rows": [row]}  # fmt: skip
        return bare


def _line(kind: str, found: Object) -> bytes:
    return json.dumps({"type": kind, "object": found}, separators=(",", ":")).encode() + b"\n"
