"""Deployments: the pods of the ReplicaSet whose template is the Deployment's, counted one by one.

Its status and conditions lag and may be from before the patch: (T) with strategy Recreate it says
NewReplicaSetAvailable for 2.5 s without any updated pod, and Progressing=False outlives what it was about.
"""

from __future__ import annotations

from rollback_lib.core.health.pods import causes as pod_causes
from rollback_lib.core.health.pods import pods, troubles
from rollback_lib.core.health.pods.newest import desired_pods, is_newest, newest_replica_set
from rollback_lib.core.health.pods.reading import number, part, share, text
from rollback_lib.core.health.pods.report import Patience, View
from rollback_lib.core.health.verdict import Tally, not_final


def tally(view: View, patience: Patience) -> Tally:
    desired = desired_pods(view.workload)
    live = pods.live(pods.owned(view))
    newest = tuple(p for p in live if is_newest(view, p))
    judged = tuple(p for p in newest if not pods.is_lost(p, view))
    old = tuple(p for p in live if p not in newest and not pods.is_lost(p, view))
    ready = sum(pods.is_serving(p, patience) for p in judged)

    lost = tuple(p for p in newest if pods.is_lost(p, view))

    holds = []
    replica_set = newest_replica_set(view)
    if replica_set is None:
        holds.append("no ReplicaSet of the newest template yet")
    if old and ready >= desired - len(lost):
        holds.append(f"{len(old)} of the old pods still run")
    pause = number(view.workload, "spec", "minReadySeconds")
    if pause and number(replica_set, "status", "availableReplicas") < min(desired, ready):
        holds.append(f"its minReadySeconds ({pause} s) are not over")

    holding = tuple(pods.name_of(p) for p in old) if _keeps_old_pods(view) else ()
    by_pod = [pod_causes.causes(view, p, patience, holding) for p in judged]
    found = tuple(cause for causes in by_pod for cause in causes)
    if not all(any(c.final for c in causes) for causes in by_pod):
        # Krane's rule: while one new pod is well or may become so, a doomed sibling does not decide.
        found = tuple(not_final(c) for c in found)
    return Tally(
        desired=desired,
        newest=newest,
        ready=ready,
        updated=len(judged),
        unjudged=lost,
        causes=(*troubles.causes(view, patience), *found),
        holds=tuple(holds),
        nothing="restored, but at 0 replicas, so nothing is proven" if desired == 0 else "",
    )


def rolling_steps(workload: object, replicas: int) -> tuple[int, int]:
    """(surge, unavailable) of its strategy, in pods; never both 0, as the controller has it."""
    strategy = part(workload, "spec", "strategy")
    if text(strategy, "type") == "Recreate":
        return 0, max(1, replicas)
    rolling = part(strategy, "rollingUpdate")
    surge = share(rolling.get("maxSurge"), replicas, missing="25%", up=True)
    unavailable = share(rolling.get("maxUnavailable"), replicas, missing="25%", up=False)
    return surge, unavailable if surge or unavailable else 1


def _keeps_old_pods(view: View) -> bool:
    _surge, unavailable = rolling_steps(view.workload, desired_pods(view.workload))
    return unavailable == 0
