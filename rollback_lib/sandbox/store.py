"""The objects, each with its version, and the history of what happened to them. Stored objects are never changed."""

from __future__ import annotations

import copy
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rollback_lib.sandbox.schema import Object, Resource
from rollback_lib.sandbox.status import already_exists, not_found

HISTORY: Final = 5000

# Kinds whose generation a real API server counts.
COUNTED: Final = frozenset(
    {
        "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob", "Job", "Ingress", "NetworkPolicy",
        "PodDisruptionBudget", "Pod",
    }
)  # fmt: skip

Key = tuple[str, str, str, str]  # group, plural, namespace, name


@dataclass(frozen=True)
class Event:
    """One change, as a watch tells of it."""

    version: int
    type: str  # ADDED, MODIFIED, DELETED
    key: Key
    object: Object
    before: Object | None = None


@dataclass(frozen=True)
class Snapshot:
    """All objects at one moment."""

    objects: Mapping[Key, Object]


class Store:
    """Objects by group, resource, namespace and name. Thread-safe; a watcher waits on `changed`."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._objects: dict[Key, Object] = {}
        self._version = 100
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._forgotten = 100  # what happened up to this version cannot be told any more
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)

    def stamp(self) -> str:
        """Now, as objects say it."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def version(self) -> int:
        return self._version

    # -- reading

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, not to be changed, or None."""
        return self._objects.get(_key(resource, namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """The objects of a resource in the order of their names, not to be changed. No namespace: of all."""
        with self.lock:
            found = [
                (k, o)
                for k, o in self._objects.items()
                if k[0] == resource.group and k[1] == resource.plural and (not namespace or k[2] == namespace)
            ]
        return [o for _, o in sorted(found, key=lambda pair: pair[0])]

    def everything(self) -> Iterator[tuple[Key, Object]]:
        with self.lock:
            yield from list(self._objects.items())

    def since(self, version: int) -> list[Event] | None:
        """What happened after a version, or None where that is forgotten."""
        with self.lock:
            if version < self._forgotten:
                return None
            found: list[Event] = []
            for event in reversed(self._history):
                if event.version <= version:
                    break
                found.append(event)
            return found[::-1]

    # -- writing

    def create(self, resource: Resource, made: Object) -> Object:
        """Store a new object with uid, times and version."""
        stored = fresh(resource, made, self.stamp())
        with self.lock:
            key = _key(resource, stored["metadata"].get("namespace", ""), stored["metadata"]["name"])
            if key in self._objects:
                raise already_exists(resource, key[3])
            return self._put("ADDED", key, stored, None)

    def update(self, resource: Resource, made: Object, *, counted: bool = True) -> Object:
        """Store a new state. What is the same as before is not written. `counted`: the generation may rise."""
        metadata = made["metadata"]
        key = _key(resource, metadata.get("namespace", ""), metadata["name"])
        with self.lock:
            before = self._objects.get(key)
            if before is None:
                raise not_found(resource, key[3])
            stored = advanced(resource, before, made, counted=counted)
            if stored is before:
                return before
            if "deletionTimestamp" in stored["metadata"] and not (
                stored["metadata"].get("finalizers") or stored["metadata"].get("deletionGracePeriodSeconds")
            ):
                return self._drop(key, stored)
            return self._put("MODIFIED", key, stored, before)

    def delete(self, resource: Resource, namespace: str, name: str) -> Object:
        """Take an object away at once; the last state of it."""
        with self.lock:
            key = _key(resource, namespace, name)
            if key not in self._objects:
                raise not_found(resource, name)
            return self._drop(key, self._objects[key])

    def _drop(self, key: Key, last: Object) -> Object:
        before = self._objects.pop(key)
        self._version += 1
        gone = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self._version)}}
        self._tell(Event(self._version, "DELETED", key, gone, before))
        return gone

    def _put(self, type_: str, key: Key, stored: Object, before: Object | None) -> Object:
        self._version += 1
        stored = {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(self._version)}}
        self._objects[key] = stored
        self._tell(Event(self._version, type_, key, stored, before))
        return stored

    def _tell(self, event: Event) -> None:
        if len(self._history) == HISTORY:
            self._forgotten = self._history[0].version
        self._history.append(event)
        self.changed.notify_all()

    # -- all at once

    def snapshot(self) -> Snapshot:
        with self.lock:
            return Snapshot(dict(self._objects))

    def restore(self, kept: Snapshot) -> None:
        """Bring all objects back as they were. Versions go on rising; who watches has to list again."""
        with self.lock:
            self._version += 1
            self._objects = dict(kept.objects)
            self._history.clear()
            self._forgotten = self._version
            self.changed.notify_all()


def _key(resource: Resource, namespace: str, name: str) -> Key:
    return resource.group, resource.plural, namespace if resource.namespaced else "", name


def fresh(resource: Resource, made: Object, stamp: str) -> Object:
    """A new object with what the server itself puts into its metadata."""
    given = made.get("metadata") or {}
    metadata: dict[str, Any] = {
        k: v for k, v in given.items() if k not in ("resourceVersion", "deletionTimestamp", "selfLink")
    }
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = stamp
    metadata.pop("generation", None)
    if resource.kind in COUNTED:
        metadata["generation"] = 1
    return {"apiVersion": resource.api_version, "kind": resource.kind, **made, "metadata": metadata}


def advanced(resource: Resource, before: Object, made: Object, *, counted: bool = True) -> Object:
    """The next state of an object; `before` itself where nothing changed but times in managedFields."""
    kept = before["metadata"]
    metadata = {**made["metadata"]}
    for name in ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp",
                 "deletionGracePeriodSeconds"):  # fmt: skip
        if name in kept and name not in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata[name] = kept[name]
        elif name in kept:
            metadata.setdefault(name, kept[name])
    after = {**made, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    if _without_times(after) == _without_times(before):
        return before
    if resource.kind in COUNTED and counted:
        changed = before.get("spec") != after.get("spec")
        if resource.kind == "Deployment":  # a real one counts its annotations as well
            changed = changed or (kept.get("annotations") or {}) != (metadata.get("annotations") or {})
        deleting = "deletionTimestamp" in metadata and "deletionTimestamp" not in kept
        if changed or deleting:
            metadata["generation"] = int(kept.get("generation", 1)) + 1
    return after


def _without_times(found: Object) -> Object:
    entries = found["metadata"].get("managedFields")
    if not entries:
        return found
    bare = [{k: v for k, v in e.items() if k != "time"} for e in entries]
    return {**found, "metadata": {**found["metadata"], "managedFields": bare}}


def own(found: Object) -> Object:
    """A copy that may be changed."""
    return copy.deepcopy(found)
