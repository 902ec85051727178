"""The thread that makes it so: after every change, the namespaces that it is in are brought on."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from rollback_lib.sandbox import endpoints
from rollback_lib.sandbox.admission import HELD
from rollback_lib.sandbox.daemon_sets import DaemonSets
from rollback_lib.sandbox.deployments import Deployments
from rollback_lib.sandbox.kubelet import Kubelet
from rollback_lib.sandbox.owning import MANAGER, PODS_FIRST, adopt
from rollback_lib.sandbox.replica_sets import ReplicaSets
from rollback_lib.sandbox.schema import Object, Resource, all_resources, by_kind, resource
from rollback_lib.sandbox.stateful_sets import StatefulSets
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer

_IDLE: Final = 3600.0
_QUIET: Final = frozenset({"events", "leases"})  # what no controller looks at


class Controllers:
    """All controllers and the nodes, in one thread."""

    def __init__(self, store: Store, writer: Writer, kubelet: Kubelet, now: Callable[[], float]) -> None:
        self._store, self._writer, self._kubelet, self._now = store, writer, kubelet, now
        self._deployments = Deployments(store, writer)
        self._replica_sets = ReplicaSets(store, writer)
        self._stateful_sets = StatefulSets(store, writer)
        self._daemon_sets = DaemonSets(store, writer)
        self._due: dict[str, float] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="sandbox-controllers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._store.changed:
            self._closing = True
            self._store.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        seen = 0
        while not self._closing:
            events = self._store.since(seen)
            if events is None:
                spaces = {o["metadata"]["name"] for o in self._store.all(by_kind("Namespace"))}
                seen = self._store.version
            else:
                spaces = {e.key[3] if e.key[1] == "namespaces" else e.key[2] for e in events if e.key[1] not in _QUIET}
                if events:
                    seen = events[-1].version
            now = self._now()
            spaces |= {s for s, due in self._due.items() if due <= now}
            for space in sorted(spaces - {""}):
                self._namespace(space)
            with self._store.changed:
                if self._closing or self._store.since(seen) or self._store.since(seen) is None:
                    continue
                nearest = min(self._due.values(), default=now + _IDLE)
                self._store.changed.wait(max(0.001, min(nearest - self._now(), _IDLE)))

    def _namespace(self, space: str) -> None:
        self._due.pop(space, None)
        try:
            # Under the lock: nobody sees a state between two controllers' steps that no real cluster shows for long.
            with self._store.lock:
                due = self._bring_on(space)
        except ApiError as error:
            # Somebody changed or deleted what was being worked on; the next round sees it as it is.
            if error.code not in (404, 409, 403):
                traceback.print_exc(file=sys.stderr)
            due = self._now() + 0.2
        if due is not None:
            self._due[space] = due

    def _bring_on(self, space: str) -> float | None:
        dues: list[float] = []
        namespace = self._store.find(by_kind("Namespace"), "", space)
        if namespace is None:
            return None
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty(space, namespace)
        else:
            self._furnish(space)
        self._collect_garbage(space)
        self._let_go_of_claims(space)
        for kind, reconcile in (
            ("Deployment", self._deployments.reconcile),
            ("StatefulSet", self._stateful_sets.reconcile),
            ("DaemonSet", self._daemon_sets.reconcile),
            ("ReplicaSet", self._replica_sets.reconcile),
        ):
            for found in self._store.all(by_kind(kind), space):
                adopt(self._store, found)
                after = reconcile(found)
                if after is not None:
                    dues.append(self._now() + after)
        pods = self._store.all(by_kind("Pod"), space)
        due = self._kubelet.step(pods)
        if due is not None:
            dues.append(due)
        for service in self._store.all(by_kind("Service"), space):
            endpoints.reconcile(self._store, self._writer, service)
        self._kubelet.forget({p["metadata"]["uid"] for p in self._store.all(by_kind("Pod"))})
        self._show_images()
        return min(dues, default=None)

    def _furnish(self, space: str) -> None:
        """What every namespace gets."""
        for kind, name, data in (
            ("ServiceAccount", "default", {}),
            (
                "ConfigMap",
                "kube-root-ca.crt",
                {"data": {"ca.crt": "the sandbox speaks plain http\n"}},
            ),
        ):
            if self._store.find(by_kind(kind), space, name) is None:
                self._writer.create(by_kind(kind), space, {"metadata": {"name": name}, **data}, manager=MANAGER)

    def _empty(self, space: str, namespace: Object) -> None:
        left = 0
        for one in all_resources():
            if one.namespaced and "list" in one.verbs:
                for found in self._store.all(one, space):
                    left += 1
                    if "deletionTimestamp" not in found["metadata"]:
                        self._writer.delete(one, space, found["metadata"]["name"], {})
        if not left:
            self._store.delete(by_kind("Namespace"), "", namespace["metadata"]["name"])

    def _collect_garbage(self, space: str) -> None:
        """Delete what only objects owned that are gone."""
        mine = [(k, o) for k, o in self._store.everything() if k[2] == space]
        alive = {o["metadata"]["uid"] for _, o in mine}
        for (group, plural, _, name), found in mine:
            owners = found["metadata"].get("ownerReferences") or []
            if owners and "deletionTimestamp" not in found["metadata"] and not any(o["uid"] in alive for o in owners):
                self._writer.delete(_resource(group, found, plural), space, name, {})
            held = found["metadata"].get("finalizers") or []
            if PODS_FIRST not in held:
                continue
            inner = [(k, o) for k, o in mine for r in o["metadata"].get("ownerReferences") or ()
                     if r["uid"] == found["metadata"]["uid"]]  # fmt: skip
            for (its_group, its_plural, _, its_name), one in inner:
                if "deletionTimestamp" not in one["metadata"]:
                    options = {"propagationPolicy": "Foreground"}
                    self._writer.delete(_resource(its_group, one, its_plural), space, its_name, options)
            if not inner:
                left = {**found["metadata"], "finalizers": [f for f in held if f != PODS_FIRST]}
                self._store.update(_resource(group, found, plural), {**found, "metadata": left})

    def _let_go_of_claims(self, space: str) -> None:
        """A claim that was deleted goes with the last pod that uses it."""
        kind = by_kind("PersistentVolumeClaim")
        used = {
            (volume.get("persistentVolumeClaim") or {}).get("claimName")
            for pod in self._store.all(by_kind("Pod"), space)
            for volume in pod["spec"].get("volumes") or []
        }
        for claim in self._store.all(kind, space):
            metadata = claim["metadata"]
            held = metadata.get("finalizers") or []
            if "deletionTimestamp" in metadata and HELD in held and metadata["name"] not in used:
                left = {**metadata, "finalizers": [f for f in held if f != HELD]}
                self._store.update(kind, {**claim, "metadata": left})

    def _show_images(self) -> None:
        for node in self._kubelet.nodes:
            found = self._store.find(by_kind("Node"), "", node.name)
            listed = node.status_images()
            if found is not None and found["status"].get("images") != listed:
                status = {**found["status"], "images": listed}
                self._store.update(by_kind("Node"), {**found, "status": status})


def _resource(group: str, found: Object, plural: str) -> Resource:
    made = resource(group, str(found["apiVersion"]).rpartition("/")[2], plural)
    assert made is not None
    return made
