"""StatefulSets: numbered pods, in order or all at once. A not-Ready one stops an ordered update, as on a real one."""

from __future__ import annotations

from typing import Final

from rollback_lib.sandbox.journal import tell
from rollback_lib.sandbox.owning import MANAGER, available_after, controlled, is_ready, pod_from
from rollback_lib.sandbox.revisions import forget_old, revision_of
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer

REVISION: Final = "controller-revision-hash"


class StatefulSets:
    """The StatefulSet controller."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def reconcile(self, found: Object) -> float | None:
        """One step. Returns after how many seconds time alone may change something."""
        if "deletionTimestamp" in found["metadata"]:
            return None
        update = revision_of(self._store, self._writer, found)["metadata"]["name"]
        current = (found.get("status") or {}).get("currentRevision") or update
        names = {r["metadata"]["name"] for r in controlled(self._store, "ControllerRevision", found)}
        if current not in names:
            current = update
        self._pods(found, current, update)
        due = self._say(found, current, update)
        used = {p["metadata"]["labels"].get(REVISION) for p in controlled(self._store, "Pod", found)}
        forget_old(self._store, found, {*used, current, update})
        return due

    def _by_number(self, found: Object) -> dict[int, Object]:
        pods = {}
        for pod in controlled(self._store, "Pod", found):
            number = pod["metadata"]["name"].rpartition("-")[2]
            if number.isdecimal():
                pods[int(number)] = pod
        return pods

    def _pods(self, found: Object, current: str, update: str) -> None:
        spec = found["spec"]
        start = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(start, start + spec["replicas"])
        ordered = spec["podManagementPolicy"] == "OrderedReady"
        rolling = spec["updateStrategy"].get("rollingUpdate") or {}
        partition = rolling.get("partition", 0) if spec["updateStrategy"]["type"] == "RollingUpdate" else 0
        pods = self._by_number(found)
        for number in wanted:
            pod = pods.get(number)
            if pod is not None and (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
                self._delete(found, pod)
                return
            if pod is None:
                on_delete = spec["updateStrategy"]["type"] == "OnDelete"
                made = self._create(found, number, current if number < partition and not on_delete else update)
                if ordered or not made:
                    return
                continue
            if ordered and ("deletionTimestamp" in pod["metadata"] or not self._available(found, pod)):
                return
        surplus = sorted((n for n in pods if n not in wanted), reverse=True)
        for number in surplus:
            if "deletionTimestamp" not in pods[number]["metadata"]:
                self._delete(found, pods[number])
            if ordered:
                return
        if spec["updateStrategy"]["type"] != "RollingUpdate":
            return
        pods = self._by_number(found)
        for number in sorted((n for n in wanted if n >= partition), reverse=True):
            pod = pods.get(number)
            if pod is None:
                return
            leaving = "deletionTimestamp" in pod["metadata"]
            if pod["metadata"]["labels"].get(REVISION) != update and not leaving:
                self._delete(found, pod)
                return
            if leaving or not self._available(found, pod):
                return

    def _available(self, found: Object, pod: Object) -> bool:
        least = found["spec"].get("minReadySeconds", 0)
        return is_ready(pod) and not available_after(pod, least, self._store.stamp())

    def _delete(self, found: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        self._writer.delete(by_kind("Pod"), found["metadata"]["namespace"], name, {})
        told = f"delete Pod {name} in StatefulSet {found['metadata']['name']} successful"
        tell(self._store, found, "Normal", "SuccessfulDelete", told, "statefulset-controller")

    def _create(self, found: Object, number: int, revision: str) -> bool:
        metadata, space = found["metadata"], found["metadata"]["namespace"]
        kept = self._store.get(by_kind("ControllerRevision"), space, revision)
        template = {k: v for k, v in kept["data"]["spec"]["template"].items() if k != "$patch"}
        name = f"{metadata['name']}-{number}"
        labels = {
            "apps.kubernetes.io/pod-index": str(number), REVISION: revision, "statefulset.kubernetes.io/pod-name": name,
        }  # fmt: skip
        pod = pod_from(template, found, name=name, labels=labels)
        pod["spec"] |= {"hostname": name, "subdomain": found["spec"].get("serviceName", "")}
        self._claims(found, pod, name)
        try:
            self._writer.create(by_kind("Pod"), space, pod, manager=MANAGER)
        except ApiError as error:
            told = f"create Pod {name} in StatefulSet {metadata['name']} failed error: {error}"
            tell(self._store, found, "Warning", "FailedCreate", told, "statefulset-controller")
            return False
        told = f"create Pod {name} in StatefulSet {metadata['name']} successful"
        tell(self._store, found, "Normal", "SuccessfulCreate", told, "statefulset-controller")
        return True

    def _claims(self, found: Object, pod: Object, name: str) -> None:
        space = found["metadata"]["namespace"]
        for claim in found["spec"].get("volumeClaimTemplates") or []:
            called = f"{claim['metadata']['name']}-{name}"
            if self._store.find(by_kind("PersistentVolumeClaim"), space, called) is None:
                made = {"metadata": {**claim["metadata"], "name": called}, "spec": dict(claim.get("spec") or {})}
                stored = self._writer.create(by_kind("PersistentVolumeClaim"), space, made, manager=MANAGER)
                self._store.update(by_kind("PersistentVolumeClaim"), {**stored, "status": {"phase": "Bound"}})
            volumes = [v for v in pod["spec"].get("volumes") or [] if v["name"] != claim["metadata"]["name"]]
            volumes.append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": called}})
            pod["spec"]["volumes"] = volumes

    def _say(self, found: Object, current: str, update: str) -> float | None:
        metadata, stamp = found["metadata"], self._store.stamp()
        found = self._store.get(by_kind("StatefulSet"), metadata["namespace"], metadata["name"])
        spec = found["spec"]
        pods = list(self._by_number(found).values())
        ready = [p for p in pods if is_ready(p)]
        waits = [available_after(p, spec.get("minReadySeconds", 0), stamp) for p in ready]
        staying = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        updated = sum(p["metadata"]["labels"].get(REVISION) == update for p in staying)
        if updated == len(pods) == spec["replicas"] == len(ready) and spec["updateStrategy"]["type"] == "RollingUpdate":
            current = update
        counts = {
            "readyReplicas": len(ready),
            "currentReplicas": sum(p["metadata"]["labels"].get(REVISION) == current for p in staying),
            "updatedReplicas": updated,
        }
        status: Object = {
            "observedGeneration": metadata["generation"], "replicas": len(pods), "currentRevision": current,
            "updateRevision": update, "collisionCount": 0, "availableReplicas": sum(not w for w in waits),
            **{k: v for k, v in counts.items() if v},
        }  # fmt: skip
        if status != found.get("status"):
            self._writer.change(
                by_kind("StatefulSet"), metadata["namespace"], metadata["name"], lambda o: {**o, "status": status},
                manager=MANAGER, subresource="status",
            )  # fmt: skip
        return min((w for w in waits if w), default=None)
