"""Kinds: where they live in the API, and what a rollback may do with each. One more kind is one more row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_PODS: Final = ("spec", "template")


class Kind(NamedTuple):
    """A kind and what it can do.

    ``api`` is its usual apiVersion. ``template``: where its pod template stands, if it has one. ``written``: an
    application's manifests normally hold it in its own namespace; all else is listed and left. ``awaited``: its rollout
    is waited for, by a rule of `core.health`. ``goes``: deleting one loses nothing that a later apply cannot bring
    back. ``revisions``: the kind that keeps its earlier templates. ``namespaced``: it lives in a namespace.
    """

    kind: str
    api: str
    plural: str
    template: tuple[str, ...] = ()
    written: bool = False
    awaited: bool = False
    goes: bool = False
    revisions: str = ""
    namespaced: bool = True

    @property
    def group(self) -> str:
        return self.api.split("/")[0] if "/" in self.api else ""


_KINDS: Final = (
    Kind("ConfigMap", "v1", "configmaps", written=True, goes=True),
    Kind("Service", "v1", "services", written=True, goes=True),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("Pod", "v1", "pods"),
    Kind("LimitRange", "v1", "limitranges"),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("ReplicationController", "v1", "replicationcontrollers", _PODS),
    Kind("Secret", "v1", "secrets"),
    Kind("Event", "v1", "events"),
    Kind("Namespace", "v1", "namespaces", namespaced=False),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Deployment", "apps/v1", "deployments", _PODS, written=True, awaited=True, goes=True, revisions="ReplicaSet"),
    Kind("StatefulSet", "apps/v1", "statefulsets", _PODS, written=True, awaited=True),
    Kind(
        "DaemonSet", "apps/v1", "daemonsets", _PODS, written=True, awaited=True, goes=True,
        revisions="ControllerRevision",
    ),
    Kind("ReplicaSet", "apps/v1", "replicasets", _PODS),
    Kind("ControllerRevision", "apps/v1", "controllerrevisions"),
    Kind("Job", "batch/v1", "jobs", _PODS),
    Kind("CronJob", "batch/v1", "cronjobs", ("spec", "jobTemplate", *_PODS), written=True, goes=True),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses", written=True),
    Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies", written=True),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers", written=True, goes=True),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets", written=True, goes=True),
    Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    Kind("IPAddress", "networking.k8s.io/v1", "ipaddresses", namespaced=False),
    Kind("Lease", "coordination.k8s.io/v1", "leases"),
)  # fmt: skip
# Where Deployments, DaemonSets, Ingresses and NetworkPolicies were served before: the same objects.
FORMER_GROUP: Final = "extensions"
KINDS: Final[Mapping[str, Kind]] = {k.kind: k for k in _KINDS}
AUTOSCALER: Final = "HorizontalPodAutoscaler"
AWAITED: Final = tuple(k.kind for k in _KINDS if k.awaited)
WRITTEN: Final = tuple(k.kind for k in _KINDS if k.written)
WORKLOADS: Final = tuple(k.kind for k in _KINDS if k.written and k.template)
ORPHANS: Final = tuple(k.kind for k in _KINDS if k.goes)
CLUSTER_SCOPED: Final = tuple(k.kind for k in _KINDS if not k.namespaced)


_IN_LOWER_CASE: Final = {kind.lower(): kind for kind in KINDS}


def as_written(kind: str) -> str:
    """A kind that is in lower case, as in the journal's keys, as people write it; one that is not known stays so."""
    return _IN_LOWER_CASE.get(kind, kind)


def told_by(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds that tell how rollouts of workloads of these kinds go: the revisions between, and the pods."""
    watched = tuple(kinds)
    between = (KINDS[kind].revisions for kind in watched if kind in KINDS)
    return (*(kind for kind in between if kind), *(("Pod",) if watched else ()))


def template_path(kind: str) -> tuple[str, ...]:
    """Where the pod template stands; for a kind that is not known, where it stands in most."""
    return (KINDS[kind].template if kind in KINDS else ()) or _PODS
