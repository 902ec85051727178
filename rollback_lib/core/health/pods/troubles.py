"""Causes that belong to the workload, not to one of its pods: pods that cannot be made at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from rollback_lib.core.health.pods import events, pods
from rollback_lib.core.health.pods.newest import desired_pods, newest_pods, newest_replica_set
from rollback_lib.core.health.pods.reading import condition, text, when
from rollback_lib.core.health.pods.report import Cause, Patience, View

REPLICA_FAILURE: Final = "replica-failure"
STANDS_FOR: Final = 15.0  # (T) a healthy rollback under a tight quota shows ReplicaFailure for a second


class Failure(msgspec.Struct, frozen=True):
    """The controller's last word on a pod that it could not make. ``stamp``: when it began to say so."""

    said: str
    stamp: datetime | None
    fresh: bool


def replica_failure(view: View, patience: Patience) -> Failure | None:
    """A refusal to make pods (quota, missing ServiceAccount, admission), if one stands that is not from before us."""
    failure = _refusal(view, patience)
    return failure if failure is not None and failure.fresh else None


def causes(view: View, patience: Patience) -> Iterator[Cause]:
    failure = _refusal(view, patience)
    if failure is not None and _lacks_pods(view):
        stood = patience.stood(REPLICA_FAILURE, failure.stamp if patience.patched_at is None else None)
        final = failure.fresh and lacks_pods_and_none_terminates(view) and stood >= STANDS_FOR
        yield Cause(
            "ReplicaFailure",
            f"no pod can be made ({failure.said or 'no reason given'}): {_advice(failure.said)}",
            final=final,
        )
    progress = condition(view.workload, "Progressing")
    if (
        text(progress, "status") == "False"
        and text(progress, "reason") == "ProgressDeadlineExceeded"
        and patience.fresh(when(progress, "lastUpdateTime"))
    ):
        yield Cause(
            "ProgressDeadline",
            "Kubernetes saw no progress within its progressDeadlineSeconds; "
            "that stops nothing, look at the pods for the reason",
        )


def lacks_pods_and_none_terminates(view: View) -> bool:
    """A pod on its way out still holds quota: while there is one, a refusal may end by itself."""
    return _lacks_pods(view) and not any(pods.is_terminating(p) for p in pods.owned(view))


def _lacks_pods(view: View) -> bool:
    return len(newest_pods(view)) < desired_pods(view.workload)


def _refusal(view: View, patience: Patience) -> Failure | None:
    if pods.kind_of(view.workload) != "Deployment":
        return _refusal_in_events(view, patience)
    # The ReplicaSet's own condition first: the Deployment's may speak of the ReplicaSet of the failed release.
    newest = newest_replica_set(view)
    for source in (newest, view.workload if newest is None else None):
        stands = condition(source, "ReplicaFailure")
        if text(stands, "status") == "True":
            stamps = [t for t in (when(stands, "lastUpdateTime"), when(stands, "lastTransitionTime")) if t]
            stamp = max(stamps, default=None)
            return Failure(events.flat(text(stands, "message")), stamp, patience.fresh(stamp))
    return None


def _refusal_in_events(view: View, patience: Patience) -> Failure | None:
    """StatefulSets and DaemonSets have no such condition: (T) they say it in events only."""
    told = [e for e in events.about(view.events, view.workload) if e.reason in ("FailedCreate", "SuccessfulCreate")]
    if not told or told[0].reason != "FailedCreate":
        return None
    return Failure(told[0].message, told[0].at, patience.fresh(told[0].at))


def _advice(said: str) -> str:
    lower = said.lower()
    if "exceeded quota" in lower or "failed quota" in lower:
        return "raise the namespace's quota or free some of it"
    if "serviceaccount" in lower or "service account" in lower:
        return "create the ServiceAccount that the template names"
    if "podsecurity" in lower:
        return "the namespace's PodSecurity level forbids this template; ask who set it"
    return "ask the owner of the rule that refuses it"
