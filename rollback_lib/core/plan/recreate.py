"""Objects that cannot become what the release asks for: deleted and made again, if that is accepted.

Which: those of which the server says that they cannot change, or says yes and keeps its own, and takes the same object
as a new one. What another object has (a node port, an address) a new one would not get either. Sources: a headless
Service made normal says "configured" and stays (kubernetes/kubernetes#135345), an immutable ConfigMap cannot take the
older data (argoproj/argo-cd#5394), volumeClaimTemplates and selectors cannot change (helmfile/helmfile#2016).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import ASSIGNED, HEADLESS, Object, kind_of, name_of, template
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import LeftBehind

WHY: Final[Mapping[str, str]] = {
    "Service": "deleted and made again: its address changes",
    "ConfigMap": "deleted and made again",
    "StatefulSet": "deleted without its pods and made again; they are replaced one by one, and their claims stay",
    "Deployment": "deleted without its pods and made again; they serve until the new ones are Ready, and go then",
    "DaemonSet": "deleted without its pods and made again; they serve until the new ones are Ready, and go then",
}
"""The kinds that can be made again with no data lost, and what that means."""
_PODS_FIRST: Final = "deleted with its pods and made again once they are gone: nothing of it serves meanwhile"
_SERVERS: Final = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences", "selfLink",
    "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers",
)  # fmt: skip
_NEW_ONES_OWN: Final = tuple(k for k in _SERVERS if k not in ("ownerReferences", "finalizers"))


def meaning(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What it means that this object is made again, for the plan."""
    return _PODS_FIRST if pods_first(live, wanted) else WHY[kind_of(live)]


def keeps_pods(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the pods stay while the object is made again."""
    return kind_of(live) in AWAITED and not pods_first(live, wanted)


def pods_first(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether its pods have to be gone before there are new ones: it never has two at once, in all or on one node.

    Where the new selector takes the old pods in, the controller replaces them as it always does.
    """
    kind, spec = kind_of(live), wanted.get("spec") or {}
    if kind == "Deployment":
        one_at_a_time = (spec.get("strategy") or {}).get("type") == "Recreate"
    elif kind == "DaemonSet":
        surge = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxSurge")
        one_at_a_time = surge in (None, 0, "0", "0%")
    else:
        return False
    return one_at_a_time and not _takes_in(spec.get("selector") or {}, live)


def _takes_in(selector: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    labels = ((template(live) or {}).get("metadata") or {}).get("labels") or {}
    asked = selector.get("matchLabels") or {}
    return not selector.get("matchExpressions") and all(labels.get(name) == value for name, value in asked.items())


def left_behind(live: Mapping[str, Any], snapshot: Snapshot) -> tuple[LeftBehind, ...]:
    """What a Deployment or DaemonSet owns now and leaves behind: taken away once the new one is Ready, unless that or
    somebody else has taken it over."""
    kind = {"Deployment": "ReplicaSet", "DaemonSet": "Pod"}.get(kind_of(live), "")
    uid = live["metadata"].get("uid")
    return tuple(
        LeftBehind(kind=kind, name=name_of(one), uid=str(one["metadata"]["uid"]))
        for one in (snapshot.all(kind) if kind else ())
        if any(o.get("uid") == uid for o in one["metadata"].get("ownerReferences") or ())
    )


def anew(target: Mapping[str, Any], live: Mapping[str, Any], operations: Sequence[Operation]) -> Object | None:
    """The object as the patch would have left it, without what belongs to the one that it was; None if it cannot be.

    So what others own (labels, a node port, replicas) stays also here.
    """
    wanted = json_patch.done(live, operations)
    if wanted is None or kind_of(live) not in WHY:
        return None
    wanted.pop("status", None)
    wanted["metadata"] = {k: v for k, v in wanted["metadata"].items() if k not in _SERVERS}
    if kind_of(live) == "Service":
        asked = target.get("spec") or {}
        spec = {k: v for k, v in wanted["spec"].items() if k not in ASSIGNED}
        spec |= {k: asked[k] for k in ASSIGNED if k in asked}
        wanted["spec"] = spec
    return wanted


def to_try(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Object:
    """The object for a dry run beside the live one: under another name, and with nothing that only one can have."""
    tried: Object = copy.deepcopy(dict(wanted))
    tried["metadata"]["name"] = name_of(wanted)[:50].rstrip("-.") + "-made-again"
    if kind_of(wanted) == "Service":
        tried["spec"] = {k: v for k, v in tried["spec"].items() if k not in ASSIGNED or v != live["spec"].get(k)}
        own = _node_ports(live)
        for port in tried["spec"].get("ports") or []:
            if port.get("nodePort") in own:  # free once the live one is gone; of others the server tells
                del port["nodePort"]
    return tried


def address(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    """The address that a new Service asks for and the live one has not; empty where there is none."""
    asked = str((wanted.get("spec") or {}).get("clusterIP") or "")
    return "" if kind_of(wanted) != "Service" or asked in (HEADLESS, live["spec"].get("clusterIP")) else asked


def as_it_was(live: Mapping[str, Any]) -> tuple[Object, ...]:
    """The live object as it is created again, best first: with the addresses that it had, and with any."""
    old: Object = copy.deepcopy({k: v for k, v in live.items() if k != "status"})
    old["metadata"] = {k: v for k, v in old["metadata"].items() if k not in _NEW_ONES_OWN}
    if kind_of(live) != "Service":
        return (old,)
    free = copy.deepcopy(old)
    free["spec"] = {k: v for k, v in free["spec"].items() if k not in ASSIGNED or v in (HEADLESS, [HEADLESS])}
    for port in free["spec"].get("ports") or []:
        port.pop("nodePort", None)
    return old, free


def holders(wanted: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Who of these Services has what ``wanted`` asks for and only one can have, in words."""
    spec = wanted.get("spec") or {}
    ports, found = _node_ports(wanted), []
    for other in services:
        if name_of(other) == name_of(wanted):
            continue
        found += [f"node port {p} is Service/{name_of(other)}'s" for p in sorted(ports & _node_ports(other))]
        theirs = (other.get("spec") or {}).get("clusterIP")
        if theirs not in (None, "", HEADLESS) and theirs == spec.get("clusterIP"):
            found.append(f"address {theirs} is Service/{name_of(other)}'s")
    return tuple(found)


def _node_ports(service: Mapping[str, Any]) -> set[int]:
    return {p["nodePort"] for p in (service.get("spec") or {}).get("ports") or () if p.get("nodePort")}


def as_tried(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """What the dry run says will be stored, under its own name."""
    return {**stored, "metadata": {**stored["metadata"], "name": name_of(wanted)}}


def blocked(live: Mapping[str, Any]) -> str:
    """Why even an accepted one is not made again; empty where nothing speaks against it."""
    policy = (live.get("spec") or {}).get("persistentVolumeClaimRetentionPolicy") or {}
    if kind_of(live) == "StatefulSet" and policy.get("whenDeleted") == "Delete":
        return "its volume claims would go with it (persistentVolumeClaimRetentionPolicy.whenDeleted: Delete)"
    return ""
