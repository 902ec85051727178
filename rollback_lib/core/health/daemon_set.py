"""DaemonSets: a pod of the newest template on each node that wants one and is Ready."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rollback_lib.core.health.pods import causes, pods, troubles
from rollback_lib.core.health.pods.newest import desired_pods, is_newest, last_revision
from rollback_lib.core.health.pods.reading import Json, number, part, share, text
from rollback_lib.core.health.pods.report import Cause, Patience, View
from rollback_lib.core.health.verdict import Tally


def tally(view: View, patience: Patience) -> Tally:
    desired = desired_pods(view.workload)
    ours = pods.owned(view)
    live = pods.live(ours)
    newest = live if _all_updated(view, desired) else tuple(p for p in live if is_newest(view, p))
    judged = tuple(p for p in newest if not pods.is_lost(p, view))
    old = tuple(p for p in live if p not in newest and not pods.is_lost(p, view))
    ready = sum(pods.is_serving(p, patience) for p in judged)
    lost = _one_a_node(p for p in ours if pods.is_lost(p, view))

    holds = []
    wanted = desired - len(lost)
    if old and ready >= wanted:
        holds.append(f"{len(old)} of the old pods still run")
    pause = number(view.workload, "spec", "minReadySeconds")
    if pause and number(view.workload, "status", "numberAvailable") < min(wanted, ready):
        holds.append(f"its minReadySeconds ({pause} s) are not over")
    blocked = _used_up(view, desired, lost) if old and ready < wanted else ()
    by_pods = (c for p in judged for c in causes.causes(view, p, patience))
    return Tally(
        desired=desired,
        newest=newest,
        ready=ready,
        updated=len(judged),
        unjudged=lost,
        causes=(*blocked, *troubles.causes(view, patience), *by_pods),
        holds=tuple(holds),
        nothing="restored, but no node is to have a pod of it, so nothing is proven" if desired == 0 else "",
    )


def _used_up(view: View, desired: int, lost: Sequence[Json]) -> tuple[Cause, ...]:
    """Pods on nodes that are not Ready count as unavailable: where they are as many as may be, no other is replaced."""
    update = part(view.workload, "spec", "updateStrategy", "rollingUpdate")
    allowed = share(update.get("maxUnavailable", 1), desired, missing="0%", up=True)
    if share(update.get("maxSurge"), desired, missing="0%", up=True) or len(lost) < max(1, allowed):
        return ()
    nodes = ", ".join(sorted({pods.node_of(p) for p in lost} - {""})) or "a lost node"
    said = (
        f"its pods on nodes that are not Ready ({nodes}) use up its maxUnavailable of {allowed}, so no other pod is "
        f"replaced: bring the node back or delete it, or raise maxUnavailable"
    )
    return (Cause("MaxUnavailable", said),)


def refusable(workload: object) -> bool:
    return text(workload, "spec", "updateStrategy", "type") == "OnDelete"


def _all_updated(view: View, desired: int) -> bool:
    """Where neither its revisions may be read nor generations stand on it, its own count of updated pods decides."""
    generation = text(view.workload, "metadata", "annotations", "deprecated.daemonset.template.generation")
    if last_revision(view) or generation or not desired:
        return False
    return number(view.workload, "status", "updatedNumberScheduled") >= desired


def _one_a_node(lost: Iterable[Json]) -> tuple[Json, ...]:
    """An old pod on its way out and its successor are one place, not two."""
    by_node: dict[str, Json] = {}
    for pod in lost:
        by_node.setdefault(pods.node_of(pod), pod)
    return tuple(by_node.values())
