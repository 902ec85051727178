"""ReplicaSets: as many pods as they want."""

from __future__ import annotations

from rollback_lib.sandbox.journal import tell
from rollback_lib.sandbox.owning import (
    MANAGER,
    available_after,
    controlled,
    is_active,
    is_ready,
    pod_from,
    set_condition,
)
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer


class ReplicaSets:
    """The ReplicaSet controller."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def reconcile(self, one: Object) -> float | None:
        """One step. Returns after how many seconds time alone may change something."""
        if "deletionTimestamp" in one["metadata"]:
            return None
        space = one["metadata"]["namespace"]
        active = [p for p in controlled(self._store, "Pod", one) if is_active(p)]
        failure = ""
        for _ in range(one["spec"]["replicas"] - len(active)):
            try:
                pod = self._writer.create(
                    by_kind("Pod"), space, pod_from(one["spec"]["template"], one), manager=MANAGER
                )
            except ApiError as error:
                failure = str(error.body["message"])
                generated = one["metadata"]["name"] + "-"
                failure = _unnamed(failure, generated)
                told = f"Error creating: {failure}"
                tell(self._store, one, "Warning", "FailedCreate", told, "replicaset-controller")
                break
            told = f"Created pod: {pod['metadata']['name']}"
            tell(self._store, one, "Normal", "SuccessfulCreate", told, "replicaset-controller")
        surplus = len(active) - one["spec"]["replicas"]
        for pod in sorted(active, key=_worth)[: max(0, surplus)]:
            self._writer.delete(by_kind("Pod"), space, pod["metadata"]["name"], {})
            told = f"Deleted pod: {pod['metadata']['name']}"
            tell(self._store, one, "Normal", "SuccessfulDelete", told, "replicaset-controller")
        return self._say(one, failure)

    def _say(self, one: Object, failure: str) -> float | None:
        metadata, stamp = one["metadata"], self._store.stamp()
        one = self._store.get(by_kind("ReplicaSet"), metadata["namespace"], metadata["name"])
        pods = controlled(self._store, "Pod", one)
        active = [p for p in pods if is_active(p)]
        ready = [p for p in active if is_ready(p)]
        waits = [available_after(p, one["spec"].get("minReadySeconds", 0), stamp) for p in ready]
        status: Object = {
            "replicas": len(active),
            "observedGeneration": metadata["generation"],
            "terminatingReplicas": sum("deletionTimestamp" in p["metadata"] for p in pods),
        }
        counts = {
            "fullyLabeledReplicas": len(active),
            "readyReplicas": len(ready),
            "availableReplicas": sum(not w for w in waits),
        }
        status.update({k: v for k, v in counts.items() if v})
        if failure:
            known = (one.get("status") or {}).get("conditions") or []
            new = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}
            status["conditions"] = set_condition(known, new, stamp, update_time=False)
        if status != one.get("status"):
            self._writer.change(
                by_kind("ReplicaSet"), metadata["namespace"], metadata["name"], lambda o: {**o, "status": status},
                manager=MANAGER, subresource="status",
            )  # fmt: skip
        later = [w for w in waits if w]
        return min(later, default=None) if not failure else 1.0


def _unnamed(message: str, generated: str) -> str:
    """A real one refuses the pod before it has its generated name."""
    head, quote, rest = message.partition(f'"{generated}')
    return f'{head}"{generated}"{rest.partition(chr(34))[2]}' if quote else message


def _worth(pod: Object) -> tuple[bool, bool, str]:
    """The pods that go first: without a node, not ready, young."""
    made = pod["metadata"]["creationTimestamp"]
    return bool(pod["spec"].get("nodeName")), is_ready(pod), "".join(chr(255 - ord(c)) for c in made)
