"""The nodes: pods are put on them, their containers pull, start, become ready, crash and end by what their image is."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rollback_lib.sandbox.environment import MissingError, missing_volume, variables
from rollback_lib.sandbox.images import CRASH, STUBBORN, Node, PullError, Resolver
from rollback_lib.sandbox.journal import tell
from rollback_lib.sandbox.pod_status import pod_status, unschedulable
from rollback_lib.sandbox.running import Container, Pod, is_sidecar, listens, probed
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer

CREATING: Final = 0.4  # seconds from the schedule to the start, as on a small real node
RETRY: Final = 10.0  # the first back-off, doubled each time
LONGEST: Final = 300.0
RETRY_CONFIG: Final = 2.0
RESTARTING: Final = 1.0  # the first restart comes without a back-off
FAILING: Final = 3.0  # how long a failed pull is told as such before it is a back-off


class Kubelet:
    """All nodes. `step` does what is due and says when the next thing is."""

    def __init__(self, store: Store, writer: Writer, nodes: Sequence[Node], resolve: Resolver,
                 now: Callable[[], float], speed: float) -> None:  # fmt: skip
        self._store, self._writer, self.nodes, self._resolve = store, writer, list(nodes), resolve
        self._now, self.speed = now, speed
        self._pods: dict[str, Pod] = {}
        self._addresses = 10
        self._lock = threading.RLock()

    # -- for the API

    def log(self, pod: Object, container: str, *, previous: bool) -> str:
        """What the container printed."""
        name = pod["metadata"]["name"]
        with self._lock:
            known = self._pods.get(pod["metadata"]["uid"])
            found = next((c for c in known.containers if c.name == container), None) if known else None
            if found is None:
                raise ApiError(400, f'pod "{name}" does not have a host assigned')
            if previous:
                if not found.last_log:
                    raise ApiError(400, f'previous terminated container "{container}" in pod "{name}" not found')
                return found.last_log
            if found.phase == "running" and found.image:
                return found.image.output(found.environment)
            if found.last_log:
                return found.last_log
        told = {
            "ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image",
        }.get(found.reason, found.reason or "ContainerCreating")  # fmt: skip
        raise ApiError(400, f'container "{container}" in pod "{name}" is waiting to start: {told}')

    def serve(self, pod: Object, port: int, path: str) -> tuple[int, bytes, str]:
        """What the pod answers; status 0 where nobody listens."""
        with self._lock:
            known = self._pods.get(pod["metadata"]["uid"])
            for one in known.containers if known else ():
                if one.phase == "running" and one.image and listens(one) == port:
                    status, body, content = one.image.serve(path, one.environment)
                    return status, body.encode(), content
        return 0, b"", ""

    def pull(self, *references: str) -> None:
        """Have every node ask the registry again, as for another pod of the same image."""
        with self._lock:
            for node in self.nodes:
                for reference in references:
                    node.pull(reference, self._resolve)

    # -- all at once

    def snapshot(self) -> Any:
        with self._lock:
            kept = {u: (p.node.name, replace(p, node=None, containers=copy.deepcopy(p.containers)))  # type: ignore[arg-type]
                    for u, p in self._pods.items()}  # fmt: skip
            return self._now(), kept, {n.name: dict(n.images) for n in self.nodes}

    def restore(self, kept: Any) -> None:
        then, pods, images = kept
        with self._lock:
            late = self._now() - then
            nodes = {n.name: n for n in self.nodes}
            for name, found in images.items():
                nodes[name].images = dict(found)
            self._pods = {}
            for uid, (name, pod) in pods.items():
                containers = copy.deepcopy(pod.containers)
                for one in containers:
                    one.due = None if one.due is None else one.due + late
                ends = None if pod.ends is None else pod.ends + late
                self._pods[uid] = Pod(nodes[name], pod.address, containers, ends)

    # -- what happens

    def step(self, pods: Sequence[Object]) -> float | None:
        """Do what is due for these pods, and return when to look again."""
        with self._lock:
            now, dues = self._now(), list[float]()
            for pod in pods:
                due = self._advance(pod, now)
                if due is not None:
                    dues.append(due)
            return min(dues, default=None)

    def forget(self, alive: set[str]) -> None:
        with self._lock:
            for uid in [u for u in self._pods if u not in alive]:
                del self._pods[uid]

    def _advance(self, pod: Object, now: float) -> float | None:
        metadata = pod["metadata"]
        if not pod["spec"].get("nodeName"):
            pod = self._schedule(pod)
            if not pod["spec"].get("nodeName"):
                return None
            metadata = pod["metadata"]
        known = self._pods.get(metadata["uid"])
        if known is None:
            node = next((n for n in self.nodes if n.name == pod["spec"]["nodeName"]), None)
            if node is None:
                return None
            self._addresses += 1
            number = self._addresses
            address = f"10.244.{number // 250}.{number % 250 + 1}"
            names = [(c["name"], True) for c in pod["spec"].get("initContainers") or []]
            names += [(c["name"], False) for c in pod["spec"]["containers"]]
            known = Pod(node, address, [Container(n, i, due=now + CREATING / self.speed) for n, i in names])
            self._pods[metadata["uid"]] = known
        if "deletionTimestamp" in metadata:
            return self._end(pod, known, now)
        missing = missing_volume(self._store, pod)
        if missing:
            if known.containers[0].message != missing:
                known.containers[0].message = missing
                tell(self._store, pod, "Warning", "FailedMount", missing, "kubelet")
            self._say(pod, known)
            return now + RETRY_CONFIG / self.speed
        for one in known.containers:
            earlier = known.containers[: known.containers.index(one)]
            if any(c.init and c.phase != "done" and not is_sidecar(pod, c) for c in earlier):
                continue
            while one.due is not None and one.due <= now:
                self._act(pod, known, one, now)
        self._say(pod, known)
        return min((c.due for c in known.containers if c.due is not None), default=None)

    def _schedule(self, pod: Object) -> Object:
        wanted = pod["spec"].get("nodeSelector") or {}
        resource, metadata = by_kind("Pod"), pod["metadata"]
        labels = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in self._store.all(by_kind("Node"))}
        fitting = [n for n in self.nodes if all(labels.get(n.name, {}).get(k) == v for k, v in wanted.items())]
        too_big = unschedulable(pod)
        if not fitting or too_big:
            why = too_big or "node(s) didn't match Pod's node affinity/selector"
            count = len(self.nodes)
            message = (
                f"0/{count} nodes are available: {count} {why}. no new claims to deallocate, preemption: 0/{count} "
                f"nodes are available: {count} Preemption is not helpful for scheduling."
            )
            known = (pod.get("status") or {}).get("conditions") or []
            if not any(c["type"] == "PodScheduled" for c in known):
                stamp = self._store.stamp()
                condition = {
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                    "lastProbeTime": None, "lastTransitionTime": stamp, "observedGeneration": 1,
                }  # fmt: skip
                status = {
                    **pod.get("status", {}),
                    "phase": "Pending",
                    "conditions": [condition],
                    "qosClass": "BestEffort",
                }
                pod = self._store.update(resource, {**pod, "status": status}, counted=False)
                tell(self._store, pod, "Warning", "FailedScheduling", message, "default-scheduler")
            return pod
        load = {n.name: sum(p.node is n for p in self._pods.values()) for n in self.nodes}
        node = min(fitting, key=lambda n: load[n.name])
        pod = self._store.update(resource, {**pod, "spec": {**pod["spec"], "nodeName": node.name}}, counted=False)
        space, name = metadata["namespace"], metadata["name"]
        tell(self._store, pod, "Normal", "Scheduled", f"Successfully assigned {space}/{name} to {node.name}",
             "default-scheduler")  # fmt: skip
        return pod

    def _end(self, pod: Object, known: Pod, now: float) -> float | None:
        if known.ends is None:
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            running = [c for c in known.containers if c.phase == "running" and c.image]
            stubborn = any(c.image and c.image.behaviour == STUBBORN for c in running)
            takes = max((c.image.stop_after for c in running if c.image), default=0.0)
            known.ends = now + (grace if stubborn else min(takes, grace)) / self.speed
            for one in running:
                tell(self._store, pod, "Normal", "Killing", f"Stopping container {one.name}", "kubelet")
        if known.ends > now:
            return known.ends
        metadata = pod["metadata"]
        self._pods.pop(metadata["uid"], None)
        self._store.delete(by_kind("Pod"), metadata["namespace"], metadata["name"])
        return None

    def _act(self, pod: Object, known: Pod, one: Container, now: float) -> None:
        """What is due for a container."""
        one.due = None
        spec = next(c for g in ("initContainers", "containers") for c in pod["spec"].get(g) or []
                    if c["name"] == one.name)  # fmt: skip
        if one.phase == "failed" and one.reason == "ErrImagePull":
            one.reason = "ImagePullBackOff"
            one.message = f'Back-off pulling image "{spec["image"]}": ErrImagePull: {one.message}'
            one.due = now + self._back_off(one.pulls - 1)
            tell(self._store, pod, "Normal", "BackOff", f'Back-off pulling image "{spec["image"]}"', "kubelet")
            tell(self._store, pod, "Warning", "Failed", "Error: ImagePullBackOff", "kubelet")
        elif one.phase in ("creating", "failed", "waiting"):
            self._start(pod, known, one, spec, now)
        elif one.phase == "running":
            self._running(pod, one, spec, now)

    def _back_off(self, times: int) -> float:
        return float(min(RETRY * 2**times, LONGEST) / self.speed)

    def _start(self, pod: Object, known: Pod, one: Container, spec: Mapping[str, Any], now: float) -> None:
        try:
            image = known.node.ensure(spec["image"], spec.get("imagePullPolicy", "IfNotPresent"), self._resolve)
        except PullError as error:
            one.phase, one.reason, one.message, one.pulls = "failed", "ErrImagePull", str(error), one.pulls + 1
            one.due = now + FAILING / self.speed
            tell(self._store, pod, "Warning", "Failed", f'Failed to pull image "{spec["image"]}": {error}', "kubelet")
            tell(self._store, pod, "Warning", "Failed", "Error: ErrImagePull", "kubelet")
            return
        try:
            one.environment = variables(self._store, pod, spec)
        except MissingError as error:
            if one.message != str(error):
                tell(self._store, pod, "Warning", "Failed", f"Error: {error}", "kubelet")
            one.phase, one.reason, one.message = "failed", "CreateContainerConfigError", str(error)
            one.due = now + RETRY_CONFIG / self.speed
            return
        if image.by_environment is not None:
            image = image.by_environment(one.environment) or image
        if one.phase == "waiting":
            one.restarts += 1
        one.image, one.shown = image, known.node.shown_name(spec["image"], image)
        one.image_id = known.node.image_id(spec["image"], image)
        one.phase, one.reason, one.message, one.ready = "running", "", "", False
        one.started_at = self._store.stamp()
        one.id = (
            "containerd://" + hashlib.sha256(f"{pod['metadata']['uid']}{one.name}{one.restarts}".encode()).hexdigest()
        )
        one.due = now + image.ready_after / self.speed
        if not spec.get("readinessProbe") and not one.init and not self._crashes(one):
            one.ready = True
            one.due = None
        tell(self._store, pod, "Normal", "Started", "Container started", "kubelet")

    @staticmethod
    def _crashes(one: Container) -> bool:
        image = one.image
        return (
            image is not None and image.behaviour == CRASH
            and (image.crashes is None or one.restarts < image.crashes)
        )  # fmt: skip

    def _running(self, pod: Object, one: Container, spec: Mapping[str, Any], now: float) -> None:
        assert one.image is not None
        if one.init and spec.get("restartPolicy") != "Always" and not self._crashes(one):
            one.ended = self._ended(one, 0, "Completed")
            one.phase, one.last_log = "done", one.image.output(one.environment)
            return
        if self._crashes(one):
            one.ended = self._ended(one, one.image.exit_code, "Error")
            one.last_log, one.ready = one.image.output(one.environment), False
            if pod["spec"].get("restartPolicy") == "Never":
                one.phase = "done"
                return
            one.phase = "waiting"
            if one.restarts == 0:
                one.reason, one.due = "", now + RESTARTING / self.speed
                return
            seconds = min(int(RETRY * 2 ** (one.restarts - 1)), int(LONGEST))
            metadata = pod["metadata"]
            who = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
            one.reason = "CrashLoopBackOff"
            one.message = f"back-off {seconds}s restarting failed container={one.name} pod={who}"
            one.due = now + self._back_off(one.restarts - 1)
            told = f"Back-off restarting failed container {one.name} in pod {who}"
            tell(self._store, pod, "Warning", "BackOff", told, "kubelet")
            return
        good, told = probed(one, spec)
        if good:
            one.ready = True
            return
        tell(self._store, pod, "Warning", "Unhealthy", f"Readiness probe failed: {told}", "kubelet")

    def _ended(self, one: Container, code: int, reason: str) -> dict[str, Any]:
        return {
            "exitCode": code, "reason": reason, "startedAt": one.started_at, "finishedAt": self._store.stamp(),
            "containerID": one.id,
        }  # fmt: skip

    def _say(self, pod: Object, known: Pod) -> None:
        status = pod_status(pod, known, known.node.address, self._store.stamp())
        if status != pod.get("status"):
            metadata = pod["metadata"]

            def told(found: Object) -> Object:
                return {**found, "status": status}

            self._writer.change(
                by_kind("Pod"), metadata["namespace"], metadata["name"], told, manager="kubelet", subresource="status"
            )
