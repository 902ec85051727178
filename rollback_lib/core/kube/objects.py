"""Kubernetes kinds as a rollback sees them: where they live in the API, and which are never written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import template_path
from rollback_lib.core.record import canonical

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"


# Of the whole cluster; only looked at.
# What the server fills in for a Service that does not ask for it (beside the ports' nodePort).
ASSIGNED: Final = ("clusterIP", "clusterIPs", "healthCheckNodePort")
HEADLESS: Final = "None"
Object = dict[str, Any]


def kind_of(obj: Mapping[str, Any]) -> str:
    """The object's kind as `core.kube.kinds` has it, or an empty text.

    One of another group that has the name of one of those is none of them: ``Service.serving.knative.dev``.
    """
    return ObjectRef.of(str(obj.get("apiVersion") or ""), str(obj.get("kind") or ""), "").type


def name_of(obj: Mapping[str, Any]) -> str:
    """The object's name, or an empty text."""
    return str((obj.get("metadata") or {}).get("name") or "")


def ref_of(obj: Mapping[str, Any], home: str = "") -> ObjectRef:
    """What the object is called. ``home``: the environment's namespace, where the object may be of another one."""
    own = str((obj.get("metadata") or {}).get("namespace") or "") if home else ""
    kind, version = str(obj.get("kind") or ""), str(obj.get("apiVersion") or "")
    return ObjectRef.of(version, kind, name_of(obj), own if own != home else "")


def named(by: Mapping[str, Any]) -> ObjectRef:
    """The object that an ownerReference or a scaleTargetRef names."""
    return ObjectRef.of(str(by.get("apiVersion") or ""), str(by.get("kind") or ""), str(by.get("name") or ""))


def notes_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's annotations, never None."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def is_leaving(obj: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted it, and something still holds it: it goes, whatever is written to it."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def template(obj: Mapping[str, Any]) -> Object | None:
    """The pod template of a workload (a CronJob's stands deeper), or None."""
    found: Any = obj
    for key in template_path(kind_of(obj)):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else None


def containers(pod_template: Mapping[str, Any] | None) -> list[tuple[bool, Object]]:
    """(is init, container) of a pod template, in order."""
    spec = (pod_template or {}).get("spec") or {}
    init = [(True, c) for c in spec.get("initContainers") or [] if isinstance(c, dict)]
    return init + [(False, c) for c in spec.get("containers") or [] if isinstance(c, dict)]


def named_containers(workload: Mapping[str, Any]) -> list[tuple[ContainerRef, Object]]:
    """(which one it is, container) of a workload's pod template, in order."""
    ref = ref_of(workload)
    return [(ContainerRef(ref, str(c.get("name") or ""), init), c) for init, c in containers(template(workload))]


def container_statuses(workload: Mapping[str, Any], pod: Mapping[str, Any]) -> list[tuple[ContainerRef, Object]]:
    """(which one of the workload, what this pod of it reports for it), init containers first."""
    ref, status = ref_of(workload), pod.get("status") or {}
    return [
        (ContainerRef(ref, str(one.get("name") or ""), init), one)
        for field, init in (("initContainerStatuses", True), ("containerStatuses", False))
        for one in status.get(field) or []
    ]


def field_of(init: bool) -> str:
    """The field of a pod template that the container stands in."""
    return "initContainers" if init else "containers"


def decided(obj: Mapping[str, Any]) -> Object:
    """What makes a plan stale when it changes: everything but status, metadata (labels aside) and replicas.

    (Design §6: an untouched crash-looping Deployment changes its resourceVersion 8 times a minute.)
    """
    kept = {k: v for k, v in obj.items() if k not in ("status", "metadata", "apiVersion")}
    kept["name"] = name_of(obj)
    kept["labels"] = (obj.get("metadata") or {}).get("labels") or {}
    if isinstance(spec := kept.get("spec"), dict):
        kept["spec"] = {k: v for k, v in spec.items() if k != "replicas"}
    return kept


def replicas_of(obj: Mapping[str, Any] | None) -> int | None:
    """How many pods the object asks for; None where it does not say."""
    found = ((obj or {}).get("spec") or {}).get("replicas")
    return found if isinstance(found, int) else None


def template_hash(obj: Mapping[str, Any]) -> str:
    """A hash of the pod template as the server stores it."""
    return hashlib.sha256(canonical(template(obj))).hexdigest()


def fingerprint(obj: Mapping[str, Any] | None) -> str:
    """A hash of what is decided about an object; empty for one that does not exist.

    What the server chooses by itself does not count: a Service that is created gets another address than its dry run.
    """
    return hashlib.sha256(canonical(_chosen(decided(obj)))).hexdigest() if obj else ""


def _chosen(obj: Object) -> Object:
    """``obj`` without a Service's addresses and node ports; that it is headless stays."""
    spec = obj.get("spec")
    if kind_of(obj) != "Service" or not isinstance(spec, dict):
        return obj
    kept = {k: v for k, v in spec.items() if k not in ASSIGNED or v == HEADLESS}
    ports = kept.get("ports")
    if isinstance(ports, list):
        kept["ports"] = [
            {k: v for k, v in p.items() if k != "nodePort"} if isinstance(p, Mapping) else p for p in ports
        ]
    return {**obj, "spec": kept}
