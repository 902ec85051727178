"""Kubernetes kinds as a rollback sees them: where they live in the API, and which are never written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from rollback_lib.core.run import canonical

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"


class Kind(NamedTuple):
    """A kind, its API group version and plural."""

    kind: str
    api: str  # as in apiVersion
    plural: str

    @property
    def group(self) -> str:
        return self.api.split("/")[0] if "/" in self.api else ""


_KINDS: Final = (
    Kind("ConfigMap", "v1", "configmaps"),
    Kind("Service", "v1", "services"),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("Pod", "v1", "pods"),
    Kind("LimitRange", "v1", "limitranges"),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("ReplicationController", "v1", "replicationcontrollers"),
    Kind("Secret", "v1", "secrets"),
    Kind("Event", "v1", "events"),
    Kind("Namespace", "v1", "namespaces"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("StatefulSet", "apps/v1", "statefulsets"),
    Kind("DaemonSet", "apps/v1", "daemonsets"),
    Kind("ReplicaSet", "apps/v1", "replicasets"),
    Kind("ControllerRevision", "apps/v1", "controllerrevisions"),
    Kind("Job", "batch/v1", "jobs"),
    Kind("CronJob", "batch/v1", "cronjobs"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    Kind("IPAddress", "networking.k8s.io/v1", "ipaddresses"),
    Kind("Lease", "coordination.k8s.io/v1", "leases"),
)
KINDS: Final[Mapping[str, Kind]] = {k.kind: k for k in _KINDS}

AWAITED: Final = ("Deployment", "StatefulSet", "DaemonSet")
WORKLOADS: Final = (*AWAITED, "CronJob")
_REVISIONS: Final = {"Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}
# Deleting one of these loses nothing that a later apply cannot bring back.
ORPHANS: Final = (
    "Deployment",
    "DaemonSet",
    "CronJob",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Service",
    "ConfigMap",
)
# Written: what an application's manifests normally hold, in its own namespace. All else is listed and left.
WRITTEN: Final = (
    "ConfigMap", "Service", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Ingress", "NetworkPolicy",
    "HorizontalPodAutoscaler", "PodDisruptionBudget",
)  # fmt: skip
# Of the whole cluster; only looked at.
CLUSTER_SCOPED: Final = ("Namespace", "IPAddress")
# What the server fills in for a Service that does not ask for it (beside the ports' nodePort).
ASSIGNED: Final = ("clusterIP", "clusterIPs", "healthCheckNodePort")
HEADLESS: Final = "None"
Object = dict[str, Any]


def told_by(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds that tell how rollouts of workloads of these kinds go: the revisions between, and the pods."""
    watched = tuple(kinds)
    return (*(_REVISIONS[kind] for kind in watched if kind in _REVISIONS), *(("Pod",) if watched else ()))


def kind_of(obj: Mapping[str, Any]) -> str:
    """The object's kind, or an empty text."""
    return str(obj.get("kind") or "")


def name_of(obj: Mapping[str, Any]) -> str:
    """The object's name, or an empty text."""
    return str((obj.get("metadata") or {}).get("name") or "")


def path_of(api_version: str, plural: str, namespace: str, name: str = "") -> str:
    """The API path of a collection in a namespace, or of one object in it."""
    start = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{start}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def label(kind: str, name: str) -> str:
    """How an object is named to people and in ``--accept``: ``Deployment/user-service``."""
    return f"{kind}/{name}"


def notes_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's annotations, never None."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def is_leaving(obj: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted it, and something still holds it: it goes, whatever is written to it."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def template(obj: Mapping[str, Any]) -> Object | None:
    """The pod template of a workload (a CronJob's stands deeper), or None."""
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return None
    if obj.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    found = spec.get("template")
    return found if isinstance(found, dict) else None


def template_path(kind: str) -> tuple[str, ...]:
    """Where the pod template stands."""
    return ("spec", "jobTemplate", "spec", "template") if kind == "CronJob" else ("spec", "template")


def containers(pod_template: Mapping[str, Any] | None) -> list[tuple[bool, Object]]:
    """(is init, container) of a pod template, in order."""
    spec = (pod_template or {}).get("spec") or {}
    init = [(True, c) for c in spec.get("initContainers") or [] if isinstance(c, dict)]
    return init + [(False, c) for c in spec.get("containers") or [] if isinstance(c, dict)]


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
