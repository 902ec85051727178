"""What the server decides by itself when an object comes in: addresses, accounts, quotas, ends of namespaces."""

from __future__ import annotations

import secrets
from typing import Any, Final

from rollback_lib.sandbox.schema import Object, Resource, by_kind
from rollback_lib.sandbox.status import forbidden, invalid
from rollback_lib.sandbox.store import Store

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
HELD: Final = "kubernetes.io/pvc-protection"  # a claim that a pod uses stays until that pod is gone
TOKEN: Final = "kube-api-access-"
_COUNTER: Final = "deprecated.daemonset.template.generation"


def suffix() -> str:
    """Five letters for a generated name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def admit(store: Store, resource: Resource, found: Object, before: Object | None) -> None:
    """Refuse the object, or complete it. `found` is changed."""
    if resource.kind == "Service":
        _service(store, found, before)
        _take_ports(store, resource, found)
    if resource.kind == "PersistentVolumeClaim" and before is None:
        held = found["metadata"].setdefault("finalizers", [])
        found["metadata"]["finalizers"] = [*(f for f in held if f != HELD), HELD]
    if resource.kind == "ResourceQuota" and before is None:
        hard = (found.get("spec") or {}).get("hard") or {}
        found["status"] = {"hard": dict(hard), "used": dict.fromkeys(hard, "0")}
    if resource.kind == "DaemonSet":
        _count_templates(found, before)
    if before is not None:
        return
    namespace = found["metadata"].get("namespace", "")
    if resource.namespaced:
        space = store.get(by_kind("Namespace"), "", namespace)
        if space.get("status", {}).get("phase") == "Terminating":
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource, found["metadata"].get("name", ""), why)
    if resource.kind == "Pod":
        _pod(store, resource, found, namespace)
    if resource.kind == "Job":
        _job(found)


def _service(store: Store, found: Object, before: Object | None) -> None:
    spec = found["spec"]
    old: dict[str, Any] = (before or {}).get("spec") or {}
    if spec.get("type") == "ExternalName":
        return
    if old.get("clusterIP") and not spec.get("clusterIP"):
        spec["clusterIP"], spec["clusterIPs"] = old["clusterIP"], old.get("clusterIPs")
    if not spec.get("clusterIP"):
        spec["clusterIP"] = _free_address(store)
    spec["clusterIPs"] = [spec["clusterIP"]] if not spec.get("clusterIPs") else spec["clusterIPs"]
    if spec["type"] in ("NodePort", "LoadBalancer"):
        taken = {p.get("nodePort") for s in store.all(by_kind("Service")) for p in s["spec"].get("ports") or []}
        old_ports = {(p.get("port"), p.get("protocol")): p.get("nodePort") for p in old.get("ports") or []}
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                kept = old_ports.get((port.get("port"), port.get("protocol")))
                port["nodePort"] = kept or next(n for n in range(30000, 32768) if n not in taken)
                taken.add(port["nodePort"])


def _take_ports(store: Store, resource: Resource, found: Object) -> None:
    """A node port is one Service's in the whole cluster; a dry run is told so as well."""
    metadata = found["metadata"]
    me = metadata.get("namespace"), metadata.get("name")
    taken = {
        (p.get("nodePort"), p.get("protocol", "TCP"))
        for s in store.all(resource)
        if (s["metadata"]["namespace"], s["metadata"]["name"]) != me
        for p in s["spec"].get("ports") or []
    }
    for at, port in enumerate(found["spec"].get("ports") or []):
        number = port.get("nodePort"), port.get("protocol", "TCP")
        if number[0] and number in taken:
            why = f"Invalid value: {number[0]}: provided port is already allocated"
            raise invalid(resource, str(me[1]), [("FieldValueInvalid", f"spec.ports[{at}].nodePort", why)])
        taken.add(number)


def take_address(store: Store, resource: Resource, found: Object) -> None:
    """An address is one Service's in the whole cluster. A real server looks only when it stores: a dry run is told
    nothing (seen on 1.36.3)."""
    address = found["spec"].get("clusterIP") if resource.kind == "Service" else None
    if address in (None, "", "None") or all(s["spec"].get("clusterIP") != address for s in store.all(resource)):
        return
    why = f'Invalid value: ["{address}"]: failed to allocate IP {address}: provided IP is already allocated'
    raise invalid(resource, str(found["metadata"].get("name")), [("FieldValueInvalid", "spec.clusterIPs", why)])


def _count_templates(found: Object, before: Object | None) -> None:
    """An old counter that a real server still keeps in an annotation of every DaemonSet."""
    number = 1
    if before is not None:
        number = int((before["metadata"].get("annotations") or {}).get(_COUNTER, "1"))
        number += before["spec"].get("template") != found["spec"].get("template")
    found["metadata"]["annotations"] = {**(found["metadata"].get("annotations") or {}), _COUNTER: str(number)}


def _free_address(store: Store) -> str:
    taken = {s["spec"].get("clusterIP") for s in store.all(by_kind("Service"))}
    for number in range(10, 65000):
        address = f"10.96.{number // 250}.{number % 250 + 1}"
        if address not in taken:
            return address
    raise AssertionError("no address is left")


def _job(found: Object) -> None:
    spec = found["spec"]
    if spec.get("manualSelector"):
        return
    name = found["metadata"]["name"]
    uid = secrets.token_hex(16)
    marks = {
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name, "controller-uid": uid,
        "job-name": name,
    }  # fmt: skip
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **marks}


def _pod(store: Store, resource: Resource, found: Object, namespace: str) -> None:
    spec, name = found["spec"], found["metadata"].get("name", "")
    account = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = account
    known = store.find(by_kind("ServiceAccount"), namespace, account)
    if known is None:
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise forbidden(resource, name, why)
    for quota in store.all(by_kind("ResourceQuota"), namespace):
        hard = (quota.get("spec") or {}).get("hard") or {}
        for what in ("pods", "count/pods"):
            if what in hard:
                used = sum(1 for p in store.all(resource, namespace)
                           if p.get("status", {}).get("phase") not in ("Succeeded", "Failed"))  # fmt: skip
                if used + 1 > int(hard[what]):
                    why = (
                        f"exceeded quota: {quota['metadata']['name']}, requested: {what}=1, used: {what}={used}, "
                        f"limited: {what}={hard[what]}"
                    )
                    raise forbidden(resource, name, why)
    mounts = spec.get("automountServiceAccountToken", known.get("automountServiceAccountToken", True))
    if mounts and not any(v["name"].startswith(TOKEN) for v in spec.get("volumes") or []):
        _mount_token(spec)
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None) and t.get("effect") in ("NoExecute", None) for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def _mount_token(spec: dict[str, Any]) -> None:
    name = TOKEN + suffix()
    spec.setdefault("volumes", []).append(
        {
            "name": name,
            "projected": {
                "defaultMode": 420,
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {
                        "downwardAPI": {
                            "items": [
                                {
                                    "path": "namespace",
                                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                }
                            ]
                        }
                    },
                ],
            },
        }
    )
    mount = {"name": name, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    for container in (*(spec.get("initContainers") or []), *(spec.get("containers") or [])):
        container.setdefault("volumeMounts", []).append(dict(mount))
