"""StatefulSets: each pod by its own revision, from the partition up."""

from __future__ import annotations

from rollback_lib.core.health.pods import causes, pods, troubles
from rollback_lib.core.health.pods.newest import desired_pods, is_newest, update_revision
from rollback_lib.core.health.pods.reading import Json, number, observed, part, parts, text
from rollback_lib.core.health.pods.report import Cause, Patience, View
from rollback_lib.core.health.verdict import Tally, not_final


def tally(view: View, patience: Patience) -> Tally:
    desired = desired_pods(view.workload)
    below = min(_partition(view.workload), desired)
    ours = tuple(p for p in pods.owned(view) if _is_wanted(view.workload, p))
    live = pods.live(ours)
    free = tuple(p for p in live if _is_free(view.workload, p))
    newest = tuple(p for p in free if is_newest(view, p))
    judged = tuple(p for p in newest if not pods.is_lost(p, view))
    kept = tuple(p for p in live if p not in free and not pods.is_lost(p, view))
    ready = sum(pods.is_serving(p, patience) for p in judged)

    holds, notes = [], []
    kept_ready = sum(pods.is_serving(p, patience) for p in kept)
    lost = tuple(p for p in ours if pods.is_lost(p, view))  # one on its way out holds its ordinal
    kept_lost = sum(not _is_free(view.workload, p) for p in lost)
    if below:
        notes.append(f"its partition keeps {below} of its pods at their old revision")
        if kept_ready + kept_lost < below:
            holds.append(f"{kept_ready} of the {below} pods below the partition ready")
    pause = number(view.workload, "spec", "minReadySeconds")
    if pause and number(view.workload, "status", "availableReplicas") < min(desired, ready + kept_ready):
        holds.append(f"its minReadySeconds ({pause} s) are not over")

    by_pods = (c for p in judged for c in causes.causes(view, p, patience))
    by_kept = (not_final(c) for p in kept for c in causes.causes(view, p, patience))
    return Tally(
        desired=desired - below,
        newest=newest,
        ready=ready,
        updated=len(judged),
        unjudged=tuple(p for p in lost if _is_free(view.workload, p)),
        causes=(*troubles.causes(view, patience), *by_pods, *_stuck(view), *by_kept),
        holds=tuple(holds),
        notes=tuple(notes),
        nothing=_nothing(desired, below),
    )


def stuck_pod(view: View) -> str | None:
    """The pod that must be deleted by hand, one at a time, before an OrderedReady StatefulSet goes on.

    Its controller waits for a not-Ready pod before it replaces any, also when that pod is of a revision that nobody
    wants any more: (T) it stays so after the template is put back. None while a pod is still Terminating, before the
    spec is observed, where the partition keeps the pod, and where its node is not Ready (the deletion would hang).
    """
    workload = view.workload
    if (
        text(workload, "kind") != "StatefulSet"
        or text(workload, "spec", "podManagementPolicy") == "Parallel"
        or refusable(workload)
        or not observed(workload)
        or not update_revision(view)
    ):
        return None
    ours = pods.owned(view)
    if any(pods.is_terminating(p) for p in ours):
        return None
    stuck = [p for p in pods.live(ours) if _is_wanted(workload, p) and not pods.is_ready(p) and _is_unwanted(view, p)]
    last = max(stuck, key=_ordinal, default=None)
    return None if last is None or pods.is_lost(last, view) else pods.name_of(last)


def misfit_pod(view: View) -> str | None:
    """The pod that lacks a volume for one of its StatefulSet's claims and must be deleted before anything goes on.

    A StatefulSet that was made again adopts its pods; one whose volumes do not fit it tries to change for ever
    (FailedUpdate, kubernetes/kubernetes#141876), in the order of the ordinals, so the lowest goes first. One at a time:
    None while another pod is not Ready.
    """
    workload = view.workload
    if text(workload, "kind") != "StatefulSet" or not observed(workload):
        return None
    ours = pods.owned(view)
    misfits = [p for p in pods.live(ours) if _is_wanted(workload, p) and not _fits(workload, p)]
    first = min(misfits, key=_ordinal, default=None)
    if first is None or pods.is_lost(first, view) or any(pods.is_terminating(p) for p in ours):
        return None
    others = [p for p in ours if _is_wanted(workload, p) and p is not first]
    waits = len(others) < desired_pods(workload) - 1 or not all(pods.is_ready(p) for p in others)
    return None if waits else pods.name_of(first)


def _fits(workload: object, pod: Json) -> bool:
    claims = {text(c, "metadata", "name") for c in parts(workload, "spec", "volumeClaimTemplates")}
    mounted = {text(v, "name") for v in parts(pod, "spec", "volumes") if part(v, "persistentVolumeClaim")}
    return claims <= mounted


def may_stick(view: View) -> bool:
    """Whether a pod that is not Ready now would hold up another template: then its deletion belongs into the plan."""
    if text(view.workload, "kind") != "StatefulSet" or text(view.workload, "spec", "podManagementPolicy") == "Parallel":
        return False
    return any(not pods.is_ready(p) for p in pods.live(pods.owned(view)))


def refusable(workload: object) -> bool:
    return text(workload, "spec", "updateStrategy", "type") == "OnDelete"


def _stuck(view: View) -> tuple[Cause, ...]:
    name = stuck_pod(view)
    if name is None:
        return ()
    said = f"pod {name} of another revision is not ready and its StatefulSet waits for it: delete pod {name}"
    return (Cause("StuckPod", said, name),)


def _is_unwanted(view: View, pod: Json) -> bool:
    theirs = pods.revision_of(pod)
    wanted = {update_revision(view)}
    if not _is_free(view.workload, pod):
        wanted.add(text(view.workload, "status", "currentRevision"))
    return theirs not in wanted


def _nothing(desired: int, below: int) -> str:
    if desired == 0:
        return "restored, but at 0 replicas, so nothing is proven"
    return "restored, but its partition lets no pod have the newest template" if below == desired else ""


def _is_wanted(workload: object, pod: Json) -> bool:
    """Whether the pod is within the replicas asked for; one above them is only not gone yet."""
    start = number(workload, "spec", "ordinals", "start")
    return start <= _ordinal(pod) < start + desired_pods(workload)


def _is_free(workload: object, pod: Json) -> bool:
    """Whether the partition lets the pod have the newest template."""
    return _ordinal(pod) >= number(workload, "spec", "ordinals", "start") + _partition(workload)


def _partition(workload: object) -> int:
    """How many of its pods, from the first ordinal on, the partition keeps at the old revision."""
    return number(part(workload, "spec", "updateStrategy", "rollingUpdate"), "partition")


def _ordinal(pod: Json) -> int:
    digits = pods.name_of(pod).rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else -1
