"""Objects that only the failed release had, and what becomes of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from rollback_lib.core.kube import owners
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, ORPHANS
from rollback_lib.core.kube.objects import (
    LAST_APPLIED,
    Object,
    fingerprint,
    is_leaving,
    kind_of,
    named,
    notes_of,
    ref_of,
    template,
)
from rollback_lib.core.kube.references import uses
from rollback_lib.core.plan.beginnings import Failed, doubt
from rollback_lib.core.plan.model import DELETE, LEFT, Orphan
from rollback_lib.core.releases.tags import UNDONE, ReleaseRef

_MAY_HOLD_UP: Final = ("NetworkPolicy", "Ingress", "HTTPRoute", "ResourceQuota", "LimitRange")


def orphan(
    live: Object, workloads: Sequence[Object], failed: Failed | None = None, staying: Sequence[Object] = (),
    accepted: Collection[str] = (),
) -> Orphan:  # fmt: skip
    """Deleted only where it began with the ``failed`` release, a later apply could bring all of it back and nothing
    needs it; else listed and left. A workload that is Ready goes only with its accept code.

    ``workloads``: everything with a pod template that stays: workloads, and live pods as ``{"template": …}`` alike.
    ``staying``: those of the failed release's own workloads that stay. ``failed`` is None where the proof is another:
    the journal of the run that created it.
    """
    ref = ref_of(live)
    why = _why_left(live) or (doubt(live, failed) if failed else "")
    why = why or _referred(live, workloads) or _needed(live, staying)
    if failed and not why and _is_ready(live) and code(ref) not in accepted:
        why = f"pods of it are Ready: it goes only with --accept {code(ref)}"
    return Orphan(
        kind=ref.kind, name=ref.name, api_version=live.get("apiVersion", ""), change=LEFT if why else DELETE,
        why=why or "only the failed release had it", before=fingerprint(live),
    )  # fmt: skip


def code(ref: ObjectRef) -> str:
    """What ``--accept`` takes to delete a workload of the failed release that is Ready."""
    return f"orphan:{ref}"


def not_known(current: ReleaseRef, target: ReleaseRef) -> tuple[str, ...]:
    """What is to be said where no release stands for what runs; an undo goes by its own run's journal instead."""
    if current.commit or target.chosen_how == UNDONE:
        return ()
    return (
        "No release that we know is what runs: what only the failed release brought is not known, so nothing of it was "
        "taken away.",
    )


def told_first(orphan: Orphan) -> tuple[int, str, str]:
    """The order in which those that stay are told: first what may hold up what was restored."""
    place = _MAY_HOLD_UP.index(orphan.kind) if orphan.kind in _MAY_HOLD_UP else len(_MAY_HOLD_UP)
    return place, orphan.kind, orphan.name


def _is_ready(live: Object) -> bool:
    status = live.get("status") or {}
    return kind_of(live) in AWAITED and bool(status.get("readyReplicas") or status.get("numberReady"))


def _needed(live: Object, staying: Sequence[Object]) -> str:
    """Which workload of the failed release stays and needs the Service, budget or autoscaler; empty where none."""
    return next((f"{ref_of(w)} stays and needs it" for w in staying if _serves(live, w)), "")


def _serves(live: Object, workload: Object) -> bool:
    spec = live.get("spec") or {}
    selector = spec.get("selector") or {}
    labels = ((template(workload) or {}).get("metadata") or {}).get("labels") or {}
    match kind_of(live):
        case "HorizontalPodAutoscaler":
            return named(spec.get("scaleTargetRef") or {}) == ref_of(workload)
        case "Service":
            return bool(selector) and selector.items() <= labels.items()
        case "PodDisruptionBudget":  # expressions are not worked out: it may
            return (
                bool(selector.get("matchExpressions")) or (selector.get("matchLabels") or {}).items() <= labels.items()
            )
    return False


def left(ref: ObjectRef, manifest: Object, why: str = "") -> Orphan:
    """An object of the failed release that is not read, or is out of reach: it stays."""
    return Orphan(
        kind=ref.kind, name=ref.name, namespace=ref.namespace, api_version=manifest.get("apiVersion", ""), change=LEFT,
        why=why or f"a {ref.type} is never deleted by a rollback",
    )  # fmt: skip


def elsewhere(manifest: Object, namespace: str) -> str:
    """Why an object is none of this namespace's: ours of the same name is another one. Empty where it is."""
    own = (manifest.get("metadata") or {}).get("namespace")
    return (
        f"it belongs to namespace {own}; a rollback writes only to {namespace}" if own not in (None, namespace) else ""
    )


def owned_by(obj: Object) -> list[ObjectRef]:
    """The object's owners: a pod's ReplicaSet, a ReplicaSet's Deployment."""
    references = (obj.get("metadata") or {}).get("ownerReferences") or []
    return [named(r) for r in references]


def _why_left(live: Object) -> str:
    kind = kind_of(live)
    if kind not in ORPHANS:
        return f"a {kind} is never deleted by a rollback"
    if is_leaving(live):
        return "it is on its way out already"
    if LAST_APPLIED not in notes_of(live):
        return "it was not made by `kubectl apply`"
    if by := owners.owner(live):
        return f"it is owned by {owners.who(by)}"
    spec = live.get("spec") or {}
    if kind == "Service" and (spec.get("type", "ClusterIP") != "ClusterIP" or spec.get("clusterIP") == "None"):
        return "only a ClusterIP Service is deleted: others hold an address or names"
    return ""


def _referred(live: Object, workloads: Sequence[Object]) -> str:
    """What that stays reads the ConfigMap; empty where nothing does."""
    for workload in workloads if kind_of(live) == "ConfigMap" else ():
        if uses(template(workload), ref_of(live)):
            return f"{ref_of(workload)} refers to it"
    return ""


def as_template(pod: Object) -> Object:
    """A live pod in the shape of a workload, so that it is asked the same questions."""
    return {"kind": "Pod", "metadata": pod.get("metadata"), "spec": {"template": {"spec": pod.get("spec")}}}
