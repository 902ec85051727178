"""The forms in which a client may ask for objects: tables, as `kubectl get` prints them, and bare metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rollback_lib.sandbox.schema import Object, Resource

Cell = Callable[[Object], Any]
Column = tuple[str, str, int, Cell]  # name, type, priority (1: only with -o wide), value


def wants_table(accept: str) -> bool:
    first = accept.split(",", 1)[0].replace(" ", "")
    return "as=Table" in first


def wants_partial(accept: str) -> bool:
    first = accept.split(",", 1)[0].replace(" ", "")
    return "as=PartialObjectMetadata" in first


def partial(found: Object) -> Object:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def table(resource: Resource, found: Sequence[Object], version: str) -> Object:
    """A table, a row an object."""
    columns = _COLUMNS.get(resource.kind, _PLAIN)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {"name": n, "type": t, "format": "name" if n == "Name" else "", "description": n, "priority": p}
            for n, t, p, _ in columns
        ],
        "rows": [{"cells": [cell(o) for _, _, _, cell in columns], "object": partial(o)} for o in found],
    }


def _at(*path: str, other: Any = "") -> Cell:
    def cell(found: Object) -> Any:
        node: Any = found
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        return other if node is None else node

    return cell


def since(stamp: Any) -> str:
    """How long ago, as kubectl shortens it."""
    if not stamp:
        return "<unknown>"
    then = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d"


def _age(found: Object) -> str:
    return since(found["metadata"].get("creationTimestamp"))


def _ratio(ready: Sequence[str], wanted: Sequence[str]) -> Cell:
    return lambda o: f"{_at(*ready, other=0)(o)}/{_at(*wanted, other=0)(o)}"


def _labels(selector: Any) -> str:
    wanted = (selector or {}).get("matchLabels", selector or {})
    return ",".join(f"{k}={v}" for k, v in sorted(wanted.items())) or "<none>"


def _containers(field: str) -> Cell:
    return lambda o: ",".join(c[field] for c in o["spec"]["template"]["spec"].get("containers") or [])


def _pod_ready(found: Object) -> str:
    statuses = found.get("status", {}).get("containerStatuses") or []
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(found['spec'].get('containers') or [])}"


def _pod_status(found: Object) -> str:
    status = found.get("status", {})
    reason = str(status.get("reason") or status.get("phase") or "")
    for one in status.get("initContainerStatuses") or []:
        state = one.get("state", {})
        if (state.get("terminated") or {}).get("exitCode") == 0:
            continue
        told = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        return "Terminating" if "deletionTimestamp" in found["metadata"] else f"Init:{told or '0/1'}"
    running = False
    for one in reversed(status.get("containerStatuses") or []):
        state = one.get("state", {})
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif (state.get("terminated") or {}).get("reason"):
            reason = state["terminated"]["reason"]
        elif one.get("ready") and state.get("running"):
            running = True
    if reason == "Completed" and running:
        reason = "Running"
    return "Terminating" if "deletionTimestamp" in found["metadata"] else reason


def _restarts(found: Object) -> str:
    statuses = found.get("status", {}).get("containerStatuses") or []
    count = sum(int(s.get("restartCount") or 0) for s in statuses)
    last = [(s.get("lastState", {}).get("terminated") or {}).get("finishedAt") for s in statuses]
    times = [t for t in last if t]
    return f"{count} ({since(max(times))} ago)" if count and times else str(count)


def _ports(found: Object) -> str:
    told = [
        f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p.get('protocol', 'TCP')}"
        for p in found["spec"].get("ports") or []
    ]
    return ",".join(told) or "<none>"


def _node_status(found: Object) -> str:
    conditions = found.get("status", {}).get("conditions") or []
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "Unknown")
    return "Ready" if ready == "True" else "NotReady"


def _count(field: str) -> Cell:
    return lambda o: len(o.get(field) or {})


def _hosts(found: Object) -> str:
    return ",".join(r.get("host", "*") for r in found["spec"].get("rules") or []) or "*"


def _last_seen(found: Object) -> str:
    return since(found.get("lastTimestamp") or found.get("eventTime") or found.get("firstTimestamp"))


def _about(found: Object) -> str:
    about = found.get("involvedObject", {})
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


_NAME: Final[Column] = ("Name", "string", 0, _at("metadata", "name"))
_AGE: Final[Column] = ("Age", "string", 0, _age)
_PLAIN: Final[tuple[Column, ...]] = (_NAME, ("Created At", "date", 0, _at("metadata", "creationTimestamp")))
_TEMPLATE: Final[tuple[Column, ...]] = (
    ("Containers", "string", 1, _containers("name")),
    ("Images", "string", 1, _containers("image")),
    ("Selector", "string", 1, lambda o: _labels(o["spec"].get("selector"))),
)
_COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "Pod": (
        _NAME, ("Ready", "string", 0, _pod_ready), ("Status", "string", 0, _pod_status),
        ("Restarts", "string", 0, _restarts), _AGE, ("IP", "string", 1, _at("status", "podIP", other="<none>")),
        ("Node", "string", 1, _at("spec", "nodeName", other="<none>")),
        ("Nominated Node", "string", 1, lambda o: "<none>"), ("Readiness Gates", "string", 1, lambda o: "<none>"),
    ),
    "Deployment": (
        _NAME, ("Ready", "string", 0, _ratio(("status", "readyReplicas"), ("spec", "replicas"))),
        ("Up-to-date", "integer", 0, _at("status", "updatedReplicas", other=0)),
        ("Available", "integer", 0, _at("status", "availableReplicas", other=0)), _AGE, *_TEMPLATE,
    ),
    "ReplicaSet": (
        _NAME, ("Desired", "integer", 0, _at("spec", "replicas", other=0)),
        ("Current", "integer", 0, _at("status", "replicas", other=0)),
        ("Ready", "integer", 0, _at("status", "readyReplicas", other=0)), _AGE, *_TEMPLATE,
    ),
    "StatefulSet": (
        _NAME, ("Ready", "string", 0, _ratio(("status", "readyReplicas"), ("spec", "replicas"))), _AGE,
        *_TEMPLATE[:2],
    ),
    "DaemonSet": (
        _NAME, ("Desired", "integer", 0, _at("status", "desiredNumberScheduled", other=0)),
        ("Current", "integer", 0, _at("status", "currentNumberScheduled", other=0)),
        ("Ready", "integer", 0, _at("status", "numberReady", other=0)),
        ("Up-to-date", "integer", 0, _at("status", "updatedNumberScheduled", other=0)),
        ("Available", "integer", 0, _at("status", "numberAvailable", other=0)),
        ("Node Selector", "string", 0, lambda o: _labels(o["spec"]["template"]["spec"].get("nodeSelector"))), _AGE,
        *_TEMPLATE,
    ),
    "Service": (
        _NAME, ("Type", "string", 0, _at("spec", "type")),
        ("Cluster-IP", "string", 0, _at("spec", "clusterIP", other="<none>")),
        ("External-IP", "string", 0, lambda o: "<none>"), ("Port(s)", "string", 0, _ports), _AGE,
        ("Selector", "string", 1, lambda o: _labels(o["spec"].get("selector"))),
    ),
    "Node": (
        _NAME, ("Status", "string", 0, _node_status), ("Roles", "string", 0, lambda o: "<none>"), _AGE,
        ("Version", "string", 0, _at("status", "nodeInfo", "kubeletVersion")),
    ),
    "Namespace": (_NAME, ("Status", "string", 0, _at("status", "phase")), _AGE),
    "ConfigMap": (_NAME, ("Data", "string", 0, lambda o: str(_count("data")(o) + _count("binaryData")(o))), _AGE),
    "Secret": (_NAME, ("Type", "string", 0, _at("type")), ("Data", "string", 0, _count("data")), _AGE),
    "ServiceAccount": (_NAME, _AGE),
    "Ingress": (
        _NAME, ("Class", "string", 0, _at("spec", "ingressClassName", other="<none>")), ("Hosts", "string", 0, _hosts),
        ("Address", "string", 0, lambda o: ""), ("Ports", "string", 0, lambda o: "80"), _AGE,
    ),
    "Lease": (_NAME, ("Holder", "string", 0, _at("spec", "holderIdentity")), _AGE),
    "ControllerRevision": (
        _NAME, ("Controller", "string", 0, lambda o: next(
            (f"{r['kind'].lower()}.apps/{r['name']}" for r in o["metadata"].get("ownerReferences") or []), "<none>")),
        ("Revision", "integer", 0, _at("revision")), _AGE,
    ),
    "Event": (
        ("Last Seen", "string", 0, _last_seen), ("Type", "string", 0, _at("type")),
        ("Reason", "string", 0, _at("reason")), ("Object", "string", 0, _about),
        ("Message", "string", 0, _at("message")), ("Name", "string", 1, _at("metadata", "name")),
    ),
    "HorizontalPodAutoscaler": (
        _NAME, ("Reference", "string", 0, lambda o: "{kind}/{name}".format(**o["spec"]["scaleTargetRef"])),
        ("Targets", "string", 0, lambda o: "<unknown>"), ("MinPods", "string", 0, _at("spec", "minReplicas")),
        ("MaxPods", "integer", 0, _at("spec", "maxReplicas")),
        ("Replicas", "integer", 0, _at("status", "currentReplicas", other=0)), _AGE,
    ),
    "PodDisruptionBudget": (
        _NAME, ("Min Available", "string", 0, lambda o: str(o["spec"].get("minAvailable", "N/A"))),
        ("Max Unavailable", "string", 0, lambda o: str(o["spec"].get("maxUnavailable", "N/A"))),
        ("Allowed Disruptions", "integer", 0, _at("status", "disruptionsAllowed", other=0)), _AGE,
    ),
    "CronJob": (
        _NAME, ("Schedule", "string", 0, _at("spec", "schedule")), ("Timezone", "string", 0, _at(
            "spec", "timeZone", other="<none>")),
        ("Suspend", "boolean", 0, lambda o: "True" if o["spec"].get("suspend") else "False"),
        ("Active", "integer", 0, lambda o: len(o.get("status", {}).get("active") or [])),
        ("Last Schedule", "string", 0, lambda o: "<none>"), _AGE,
    ),
    "EndpointSlice": (
        _NAME, ("AddressType", "string", 0, _at("addressType")),
        ("Ports", "string", 0, lambda o: ",".join(str(p.get("port")) for p in o.get("ports") or []) or "<unset>"),
        ("Endpoints", "string", 0, lambda o: ",".join(
            a for e in o.get("endpoints") or [] for a in e["addresses"]) or "<unset>"), _AGE,
    ),
}  # fmt: skip
