"""How many pods a rollout may have and needs: pure functions of a Deployment and its ReplicaSets."""

from __future__ import annotations

import math
from typing import Any, Final

from rollback_lib.sandbox.owning import HASH
from rollback_lib.sandbox.schema import Object

REVISION: Final = "deployment.kubernetes.io/revision"


def template_of(one: Object) -> Object:
    """The template that a ReplicaSet was made from."""
    template = one["spec"]["template"]
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def annotated(found: Object, notes: dict[str, str]) -> Object:
    """The object with these annotations."""
    return {**found, "metadata": {**found["metadata"], "annotations": notes}}


def revision_number(one: Object) -> int:
    """A ReplicaSet's revision; 0 where it has none."""
    text = (one["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def count(found: Object, name: str) -> int:
    """A number of a status; 0 where it is left out."""
    return int((found.get("status") or {}).get(name) or 0)


def _share(value: Any, whole: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * whole / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value or 0)


def _surge(deployment: Object) -> int:
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    return _share(rolling.get("maxSurge", 0), deployment["spec"]["replicas"], up=True)


def may_be_down(deployment: Object) -> int:
    """How many replicas may be unavailable."""
    strategy, wanted = deployment["spec"]["strategy"], deployment["spec"]["replicas"]
    if strategy["type"] == "Recreate":
        return 0
    rolling = strategy.get("rollingUpdate") or {}
    found = _share(rolling.get("maxUnavailable", 0), wanted, up=False)
    if not found and not _surge(deployment):
        found = 1
    return int(min(found, wanted))


def most(deployment: Object) -> int:
    """How many pods there may be."""
    return int(deployment["spec"]["replicas"]) + _surge(deployment)


def room_for(deployment: Object, sets: list[Object], new: Object | None) -> int:
    """How many replicas the new ReplicaSet may have."""
    wanted = int(deployment["spec"]["replicas"])
    have = int(new["spec"]["replicas"]) if new else 0
    free = most(deployment) - sum(s["spec"]["replicas"] for s in sets)
    return int(have + max(0, min(free, wanted - have)))


def is_complete(deployment: Object, new: Object, sets: list[Object]) -> bool:
    """Whether all pods are of the new ReplicaSet, and available."""
    wanted = deployment["spec"]["replicas"]
    return bool(
        count(new, "replicas") == wanted
        and count(new, "availableReplicas") == wanted
        and sum(count(s, "replicas") for s in sets) == wanted
        and sum(count(s, "availableReplicas") for s in sets) == wanted
    )
