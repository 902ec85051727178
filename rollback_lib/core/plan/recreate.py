"""Objects that cannot become what the release asks for: deleted and made again, if that is accepted.

Which: those of which the server says that they cannot change, or says yes and keeps its own, and takes the same object
as a new one. What another object has (a node port, an address) a new one would not get either. Sources: a headless
Service made normal says "configured" and stays (kubernetes/kubernetes#135345), an immutable ConfigMap cannot take the
older data (argoproj/argo-cd#5394), volumeClaimTemplates cannot change.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import ASSIGNED, HEADLESS, Object, kind_of, name_of

WHY: Final[Mapping[str, str]] = {
    "Service": "deleted and made again: its address changes",
    "ConfigMap": "deleted and made again",
    "StatefulSet": "deleted without its pods and made again; they are replaced one by one, and their claims stay",
}
"""The kinds that can be made again with no data lost, and what that means."""
_SERVERS: Final = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences", "selfLink",
    "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers",
)  # fmt: skip
_NEW_ONES_OWN: Final = tuple(k for k in _SERVERS if k not in ("ownerReferences", "finalizers"))


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
