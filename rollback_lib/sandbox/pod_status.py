"""The status of a pod in the words of the kubelet."""

from __future__ import annotations

import re
from typing import Any

from rollback_lib.sandbox.running import Container, Pod
from rollback_lib.sandbox.schema import Object

NODE_CPU = 4.0  # cores of every node
NODE_MEMORY = 16 * 2**30
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3}


def amount(text: Any) -> float:
    """A quantity as a number: `500m`, `2Gi`."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    return float(found[1]) * _UNITS.get(found[2], 1) if found else 0.0


def unschedulable(pod: Object) -> str:
    """What the pod asks for that no node has; empty where it fits. Each pod is looked at alone."""
    cpu = memory = 0.0
    for container in pod["spec"].get("containers") or []:
        requests = (container.get("resources") or {}).get("requests") or {}
        cpu += amount(requests.get("cpu", 0))
        memory += amount(requests.get("memory", 0))
    if cpu > NODE_CPU:
        return "Insufficient cpu"
    return "Insufficient memory" if memory > NODE_MEMORY else ""


def pod_status(pod: Object, known: Pod, host: str, stamp: str) -> dict[str, Any]:
    """The whole status; times of what has not changed stay."""
    before = pod.get("status") or {}
    mains = [c for c in known.containers if not c.init]
    inits = [c for c in known.containers if c.init]
    initialized = all(c.phase in ("done", "running") for c in inits)
    ready = initialized and all(c.ready for c in mains)
    unready = [c.name for c in mains if not c.ready]
    why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    waits = {
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(c.name for c in inits if c.phase != 'done')}]",
    }
    started = any(c.phase not in ("creating",) for c in known.containers)
    conditions = [
        _condition("PodReadyToStartContainers", started, {}),
        _condition("Initialized", initialized, waits),
        _condition("Ready", ready, why),
        _condition("ContainersReady", ready, why),
        _condition("PodScheduled", True, {}),
    ]
    olds = {c["type"]: c for c in before.get("conditions") or []}
    for one in conditions:
        old = olds.get(one["type"])
        same = old is not None and old["status"] == one["status"]
        one["lastTransitionTime"] = old["lastTransitionTime"] if old is not None and same else stamp
    status: dict[str, Any] = {
        "phase": _phase(pod, mains, inits),
        "conditions": conditions,
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": known.address,
        "podIPs": [{"ip": known.address}],
        "startTime": before.get("startTime") or stamp,
        "qosClass": _quality(pod),
        "observedGeneration": 1,
        "containerStatuses": [_container(pod, c, initialized) for c in mains],
    }
    if inits:
        status["initContainerStatuses"] = [_container(pod, c, True) for c in inits]
    return status


def _condition(kind: str, good: bool, why: dict[str, str]) -> dict[str, Any]:
    found = {"type": kind, "status": "True" if good else "False", "lastProbeTime": None, "observedGeneration": 1}
    return found if good else {**found, **why}


def _phase(pod: Object, mains: list[Container], inits: list[Container]) -> str:
    if any(c.phase in ("creating", "failed") and not c.restarts for c in mains) or any(
        c.phase not in ("done", "running") for c in inits
    ):
        return "Pending"
    if all(c.phase == "done" for c in mains):
        good = all((c.ended or {}).get("exitCode") == 0 for c in mains)
        return "Succeeded" if good else "Failed"
    return "Running"


def _container(pod: Object, one: Container, may_start: bool) -> dict[str, Any]:
    spec = next(c for g in ("initContainers", "containers") for c in pod["spec"].get(g) or [] if c["name"] == one.name)
    state: dict[str, Any]
    last: dict[str, Any] = {}
    if one.phase == "running":
        state = {"running": {"startedAt": one.started_at}}
        last = {"terminated": one.ended} if one.ended else {}
    elif one.phase == "done" or (one.phase == "waiting" and not one.reason):
        state = {"terminated": one.ended}
    elif one.phase == "creating":
        state = {"waiting": {"reason": "ContainerCreating" if may_start else "PodInitializing"}}
    else:
        state = {"waiting": {"reason": one.reason, "message": one.message}}
        last = {"terminated": one.ended} if one.ended else {}
    found: dict[str, Any] = {
        "name": one.name,
        "image": one.shown or spec["image"],
        "imageID": one.image_id,
        "ready": one.ready or (one.init and one.phase == "done"),
        "restartCount": one.restarts,
        "started": one.phase == "running",
        "state": state,
        "lastState": last,
    }
    if one.id:
        found["containerID"] = one.id
    return found


def _quality(pod: Object) -> str:
    asked = [c.get("resources") or {} for c in pod["spec"].get("containers") or []]
    if not any(r.get("requests") or r.get("limits") for r in asked):
        return "BestEffort"
    full = all(r.get("limits") and r.get("limits") == r.get("requests") and len(r["limits"]) >= 2 for r in asked)
    return "Guaranteed" if full else "Burstable"
