"""What the workload controllers share: who owns what, pods as they count, hashes of templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.validation import matches

MANAGER: Final = "kube-controller-manager"
HASH: Final = "pod-template-hash"
PODS_FIRST: Final = "foregroundDeletion"
_TAKES: Final = {"Deployment": "ReplicaSet", "ReplicaSet": "Pod", "DaemonSet": "Pod", "StatefulSet": "Pod"}
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Any, length: int = 10) -> str:
    """A short name for a template."""
    number = int.from_bytes(hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()[:12], "big")
    text = ""
    while len(text) < length:
        number, rest = divmod(number, len(_LETTERS))
        text += _LETTERS[rest]
    return text


def controlled(store: Store, kind: str, owner: Object) -> list[Object]:
    """The objects of a kind that an object controls."""
    uid = owner["metadata"]["uid"]
    return [
        o for o in store.all(by_kind(kind), owner["metadata"]["namespace"])
        if any(r.get("uid") == uid and r.get("controller") for r in o["metadata"].get("ownerReferences") or [])
    ]  # fmt: skip


def reference_to(owner: Object) -> dict[str, Any]:
    """The owner reference for what an object makes."""
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def adopt(store: Store, owner: Object) -> None:
    """Take over what is nobody's and has the labels that the owner selects, as its controller does."""
    metadata, kind = owner["metadata"], _TAKES[owner["kind"]]
    if "deletionTimestamp" in metadata:
        return
    for one in store.all(by_kind(kind), metadata["namespace"]):
        its = one["metadata"]
        mine = owner["kind"] != "StatefulSet" or its["name"].rpartition("-")[0] == metadata["name"]
        free = not its.get("ownerReferences") and "deletionTimestamp" not in its
        if free and mine and matches(owner["spec"]["selector"], its.get("labels") or {}):
            taken = {**its, "ownerReferences": [reference_to(owner)]}
            store.update(by_kind(kind), {**one, "metadata": taken})


def is_active(pod: Object) -> bool:
    """Whether a pod counts as one of its owner's."""
    return "deletionTimestamp" not in pod["metadata"] and (pod.get("status") or {}).get("phase") not in (
        "Succeeded", "Failed",
    )  # fmt: skip


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def available_after(pod: Object, least: int, stamp: str) -> float:
    """Seconds until a Ready pod counts as available; 0 where it does."""
    if not least:
        return 0
    conditions = (pod.get("status") or {}).get("conditions") or []
    since = next((c["lastTransitionTime"] for c in conditions if c["type"] == "Ready"), stamp)
    return max(0.0, least - seconds_between(since, stamp))


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one stamp to another."""
    start, end = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (earlier, later))
    return (end - start).total_seconds()


def pod_from(template: Object, owner: Object, *, name: str = "", labels: dict[str, str] | None = None) -> Object:
    """A pod of a template."""
    given = template.get("metadata") or {}
    metadata: Object = {
        "ownerReferences": [reference_to(owner)],
        "labels": {**(given.get("labels") or {}), **(labels or {})},
    }
    if given.get("annotations"):
        metadata["annotations"] = dict(given["annotations"])
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = owner["metadata"]["name"] + "-"
    return {"metadata": metadata, "spec": json.loads(json.dumps(template["spec"]))}


def set_condition(conditions: Sequence[Object], new: Object, stamp: str, *, update_time: bool) -> list[Object]:
    """The conditions with one set; its transition time moves only with its status."""
    old = next((c for c in conditions if c["type"] == new["type"]), None)
    if old is not None and all(old.get(k) == v for k, v in new.items()):
        return list(conditions)
    moved = stamp if old is None or old["status"] != new["status"] else old["lastTransitionTime"]
    made = {**new, "lastTransitionTime": moved, **({"lastUpdateTime": stamp} if update_time else {})}
    return [*(c for c in conditions if c["type"] != new["type"]), made]
