"""Kinds: where they live in the API, and what a rollback may do with each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple


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


_IN_LOWER_CASE: Final = {kind.lower(): kind for kind in KINDS}


def as_written(kind: str) -> str:
    """A kind that is in lower case, as in the journal's keys, as people write it; one that is not known stays so."""
    return _IN_LOWER_CASE.get(kind, kind)


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


def told_by(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds that tell how rollouts of workloads of these kinds go: the revisions between, and the pods."""
    watched = tuple(kinds)
    return (*(_REVISIONS[kind] for kind in watched if kind in _REVISIONS), *(("Pod",) if watched else ()))


def path_of(api_version: str, plural: str, namespace: str, name: str = "") -> str:
    """The API path of a collection in a namespace, or of one object in it."""
    start = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{start}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def template_path(kind: str) -> tuple[str, ...]:
    """Where the pod template stands."""
    return ("spec", "jobTemplate", "spec", "template") if kind == "CronJob" else ("spec", "template")
