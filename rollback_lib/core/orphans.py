"""Objects that only the failed release had, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.core.owners import owner
from rollback_lib.core.plan import DELETE, LEFT, Orphan
from rollback_lib.core.references import uses
from rollback_lib.core.resources import (
    LAST_APPLIED,
    ORPHANS,
    Object,
    fingerprint,
    is_leaving,
    kind_of,
    name_of,
    notes_of,
    template,
)


def orphan(live: Object, workloads: Sequence[Object]) -> Orphan:
    """Deleted only where a later apply could bring all of it back and nothing needs it; else listed and left.

    ``workloads``: everything with a pod template that stays: workloads, and live pods as ``{"template": …}`` alike.
    """
    kind, name = kind_of(live), name_of(live)
    why = _why_left(live, workloads)
    return Orphan(
        kind=kind, name=name, api_version=live.get("apiVersion", ""), change=LEFT if why else DELETE,
        why=why or "only the failed release had it", before=fingerprint(live),
    )  # fmt: skip


def left(manifest: Object, why: str = "") -> Orphan:
    """An object of the failed release that is not read, or is out of reach: it stays."""
    kind = kind_of(manifest)
    return Orphan(
        kind=kind, name=name_of(manifest), api_version=manifest.get("apiVersion", ""), change=LEFT,
        why=why or f"a {kind} is never deleted by a rollback",
    )  # fmt: skip


def elsewhere(manifest: Object, namespace: str) -> str:
    """Why an object is none of this namespace's: ours of the same name is another one. Empty where it is."""
    own = (manifest.get("metadata") or {}).get("namespace")
    return (
        f"it belongs to namespace {own}; a rollback writes only to {namespace}" if own not in (None, namespace) else ""
    )


def owned_by(obj: Object) -> list[tuple[str, str]]:
    """Kind and name of the object's owners: a pod's ReplicaSet, a ReplicaSet's Deployment."""
    references = (obj.get("metadata") or {}).get("ownerReferences") or []
    return [(str(r.get("kind")), str(r.get("name"))) for r in references]


def _why_left(live: Object, workloads: Sequence[Object]) -> str:
    kind, name = kind_of(live), name_of(live)
    if kind not in ORPHANS:
        return f"a {kind} is never deleted by a rollback"
    if is_leaving(live):
        return "it is on its way out already"
    if LAST_APPLIED not in notes_of(live):
        return "it was not made by `kubectl apply`"
    if who := owner(live):
        return f"it is owned by {who}"
    spec = live.get("spec") or {}
    if kind == "Service" and (spec.get("type", "ClusterIP") != "ClusterIP" or spec.get("clusterIP") == "None"):
        return "only a ClusterIP Service is deleted: others hold an address or names"
    if kind == "ConfigMap":
        for workload in workloads:
            if uses(template(workload), "ConfigMap", name):
                return f"{kind_of(workload)}/{name_of(workload)} refers to it"
    return ""


def as_template(pod: Object) -> Object:
    """A live pod in the shape of a workload, so that it is asked the same questions."""
    return {"kind": "Pod", "metadata": pod.get("metadata"), "spec": {"template": {"spec": pod.get("spec")}}}
