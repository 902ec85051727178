"""Events, as controllers tell them: the same thing again is counted."""

from __future__ import annotations

import hashlib

from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store


def tell(store: Store, about: Object, kind: str, reason: str, message: str, component: str) -> None:
    """Record that something happened to an object. `kind`: Normal or Warning."""
    resource = by_kind("Event")
    metadata, stamp = about["metadata"], store.stamp()
    text = f"{metadata['uid']}/{reason}/{message}/{component}"
    name = f"{metadata['name']}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    space = metadata.get("namespace") or "default"
    with store.lock:
        known = store.find(resource, space, name)
        if known is not None:
            store.update(resource, {**known, "count": known["count"] + 1, "lastTimestamp": stamp})
            return
        where = {"host": about["spec"].get("nodeName", "")} if component == "kubelet" else {}
        store.create(
            resource,
            {
                "metadata": {"name": name, "namespace": space},
                "involvedObject": {
                    "kind": about["kind"], "namespace": metadata.get("namespace", ""), "name": metadata["name"],
                    "uid": metadata["uid"], "apiVersion": about["apiVersion"],
                    "resourceVersion": metadata["resourceVersion"],
                },
                "reason": reason, "message": message, "type": kind, "count": 1,
                "firstTimestamp": stamp, "lastTimestamp": stamp, "eventTime": None,
                "source": {"component": component, **where},
                "reportingComponent": component, "reportingInstance": where.get("host", ""),
            },
        )  # fmt: skip
