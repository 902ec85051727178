"""EndpointSlices: the pods behind a Service."""

from __future__ import annotations

from typing import Any, Final

from rollback_lib.sandbox.admission import suffix
from rollback_lib.sandbox.owning import is_ready, reference_to
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.validation import matches
from rollback_lib.sandbox.writing import Writer

SERVICE: Final = "kubernetes.io/service-name"
_MANAGED: Final = "endpointslice.kubernetes.io/managed-by"


def reconcile(store: Store, writer: Writer, service: Object) -> None:
    """One slice a Service that has a selector."""
    metadata, spec = service["metadata"], service["spec"]
    if not spec.get("selector") or "deletionTimestamp" in metadata:
        return
    space, resource = metadata["namespace"], by_kind("EndpointSlice")
    pods = [
        p for p in store.all(by_kind("Pod"), space)
        if matches({"matchLabels": spec["selector"]}, p["metadata"].get("labels") or {})
        and (p.get("status") or {}).get("podIP") and (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]  # fmt: skip
    endpoints = [_endpoint(p, bool(spec.get("publishNotReadyAddresses"))) for p in pods]
    ports = [
        {"name": p.get("name", ""), "port": _target(p, pods), "protocol": p.get("protocol", "TCP")}
        for p in spec.get("ports") or [] if _target(p, pods)
    ] if pods else []  # fmt: skip
    wanted = {"endpoints": endpoints or None, "ports": ports or None}
    known = next(
        (s for s in store.all(resource, space) if (s["metadata"].get("labels") or {}).get(SERVICE) == metadata["name"]
         and (s["metadata"].get("labels") or {}).get(_MANAGED) == "endpointslice-controller.k8s.io"), None,
    )  # fmt: skip
    if known is None:
        store.create(
            resource,
            {
                "metadata": {
                    "name": f"{metadata['name']}-{suffix()}", "generateName": f"{metadata['name']}-",
                    "namespace": space, "ownerReferences": [reference_to(service)],
                    "labels": {SERVICE: metadata["name"], _MANAGED: "endpointslice-controller.k8s.io"},
                },
                "addressType": "IPv4", **wanted,
            },
        )  # fmt: skip
    elif any(known.get(k) != v for k, v in wanted.items()):
        store.update(resource, {**known, **wanted})


def _endpoint(pod: Object, always: bool) -> dict[str, Any]:
    leaving = "deletionTimestamp" in pod["metadata"]
    ready = is_ready(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": always or (ready and not leaving), "serving": ready, "terminating": leaving},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {
            "kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
            "uid": pod["metadata"]["uid"],
        },
    }  # fmt: skip


def _target(port: dict[str, Any], pods: list[Object]) -> int:
    wanted = port.get("targetPort", port.get("port"))
    if isinstance(wanted, int):
        return wanted
    for pod in pods:
        for container in pod["spec"].get("containers") or []:
            for one in container.get("ports") or []:
                if one.get("name") == wanted:
                    return int(one["containerPort"])
    return 0
