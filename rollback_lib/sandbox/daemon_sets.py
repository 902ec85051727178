"""DaemonSets: a pod on every node."""

from __future__ import annotations

from typing import Any

from rollback_lib.sandbox.journal import tell
from rollback_lib.sandbox.owning import MANAGER, available_after, controlled, is_active, is_ready, pod_from
from rollback_lib.sandbox.revisions import forget_old, revision_of
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.stateful_sets import REVISION
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer


class DaemonSets:
    """The DaemonSet controller."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def reconcile(self, found: Object) -> float | None:
        """One step. Returns after how many seconds time alone may change something."""
        metadata, spec = found["metadata"], found["spec"]
        if "deletionTimestamp" in metadata:
            return None
        kept = revision_of(self._store, self._writer, found)
        mark = kept["metadata"]["labels"][REVISION]
        selector = spec["template"]["spec"].get("nodeSelector") or {}
        nodes = [
            n["metadata"]["name"] for n in self._store.all(by_kind("Node"))
            if all((n["metadata"].get("labels") or {}).get(k) == v for k, v in selector.items())
        ]  # fmt: skip
        pods = controlled(self._store, "Pod", found)
        for node in nodes:
            if not any(_node(p) == node for p in pods):
                self._create(found, node, mark)
        for pod in pods:
            if _node(pod) not in nodes and is_active(pod):
                self._writer.delete(by_kind("Pod"), metadata["namespace"], pod["metadata"]["name"], {})
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            self._roll(found, mark, len(nodes))
        used = {kept["metadata"]["name"]}
        forget_old(self._store, found, used)
        return self._say(found, mark, nodes)

    def _create(self, found: Object, node: str, mark: str) -> None:
        labels = {REVISION: mark, "pod-template-generation": str(found["metadata"]["generation"])}
        pod = pod_from(found["spec"]["template"], found, labels=labels)
        pod["spec"]["nodeName"] = node
        try:
            made = self._writer.create(by_kind("Pod"), found["metadata"]["namespace"], pod, manager=MANAGER)
        except ApiError as error:
            told = f"Error creating: {error}"
            tell(self._store, found, "Warning", "FailedCreate", told, "daemonset-controller")
            return
        told = f"Created pod: {made['metadata']['name']}"
        tell(self._store, found, "Normal", "SuccessfulCreate", told, "daemonset-controller")

    def _roll(self, found: Object, mark: str, nodes: int) -> None:
        most = _share((found["spec"]["updateStrategy"].get("rollingUpdate") or {}).get("maxUnavailable", 1), nodes)
        pods = controlled(self._store, "Pod", found)
        old = [p for p in pods if is_active(p) and p["metadata"]["labels"].get(REVISION) != mark]
        sick = [p for p in old if not is_ready(p)]
        down = nodes - sum(is_active(p) and is_ready(p) for p in pods)
        room = max(0, most - down)
        healthy = [p for p in old if is_ready(p)]
        for pod in [*sick, *healthy[:room]]:
            name = pod["metadata"]["name"]
            self._writer.delete(by_kind("Pod"), found["metadata"]["namespace"], name, {})
            told = f"Deleted pod: {name}"
            tell(self._store, found, "Normal", "SuccessfulDelete", told, "daemonset-controller")

    def _say(self, found: Object, mark: str, nodes: list[str]) -> float | None:
        metadata, stamp = found["metadata"], self._store.stamp()
        found = self._store.get(by_kind("DaemonSet"), metadata["namespace"], metadata["name"])
        pods = [p for p in controlled(self._store, "Pod", found) if is_active(p)]
        ready = [p for p in pods if is_ready(p)]
        waits = [available_after(p, found["spec"].get("minReadySeconds", 0), stamp) for p in ready]
        available = sum(not w for w in waits)
        counts = {
            "updatedNumberScheduled": sum(p["metadata"]["labels"].get(REVISION) == mark for p in pods),
            "numberAvailable": available,
            "numberUnavailable": len(nodes) - available,
        }
        status: dict[str, Any] = {
            "currentNumberScheduled": len({_node(p) for p in pods}), "desiredNumberScheduled": len(nodes),
            "numberMisscheduled": 0, "numberReady": len(ready), "observedGeneration": metadata["generation"],
            **{k: v for k, v in counts.items() if v},
        }  # fmt: skip
        if status != found.get("status"):
            self._writer.change(
                by_kind("DaemonSet"), metadata["namespace"], metadata["name"], lambda o: {**o, "status": status},
                manager=MANAGER, subresource="status",
            )  # fmt: skip
        return min((w for w in waits if w), default=None)


def _node(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


def _share(value: Any, whole: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return -(-int(value[:-1]) * whole // 100)
    return int(value)
