"""The entry point: one snapshot in, one report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from rollback_lib.core.health import daemon_set, deployment, stateful_set
from rollback_lib.core.health.pods import pods, rounds
from rollback_lib.core.health.pods.newest import desired_pods
from rollback_lib.core.health.pods.reading import Json, dig
from rollback_lib.core.health.pods.report import Health, Patience, Report, View
from rollback_lib.core.health.verdict import Tally, conclude, waited_too_long

KINDS: Final[Mapping[str, Callable[[View, Patience], Tally]]] = MappingProxyType(
    {"Deployment": deployment.tally, "StatefulSet": stateful_set.tally, "DaemonSet": daemon_set.tally}
)


def assess(view: View, patience: Patience) -> Report:
    """Whether the newest template of a workload runs; if not, why, and whether waiting still makes sense.

    A series of rounds carries ``patience.seen = look(view, patience)`` from one to the next: what must stand for a
    while (ReplicaFailure) or repeat itself (``quick_crash``) is never final in the first round after a patch.
    """
    kind, name = pods.kind_of(view.workload), pods.name_of(view.workload)
    count = KINDS.get(kind)
    if count is None:
        said = f"{name}: restored; a {kind or 'thing of no kind'} is not awaited"
        return Report(kind, name, Health.UNPROVEN, said)
    report = conclude(view, count(view, msgspec.structs.replace(patience, seen=rounds.look(view, patience))))
    late = patience.deadline is not None and patience.now >= patience.deadline
    return waited_too_long(report) if late and report.health is Health.PROGRESSING else report


def ready_now(view: View) -> bool:
    """Whether a wave after this service may begin: a Ready pod, old or new, or none asked for."""
    if pods.kind_of(view.workload) not in KINDS or desired_pods(view.workload) == 0:
        return True
    return any(pods.is_ready(p) and not pods.is_lost(p, view) for p in pods.owned(view))


def refusable(workload: Json) -> str | None:
    """Why no patch of its template would roll out, for preflight; None where it would."""
    kind, name = pods.kind_of(workload), pods.name_of(workload)
    if kind == "Deployment" and dig(workload, "spec", "paused") is True:
        return (
            f"Deployment {name} is paused, so nothing would roll out: `kubectl rollout resume deployment/{name}` first."
        )
    if (kind == "StatefulSet" and stateful_set.refusable(workload)) or (
        kind == "DaemonSet" and daemon_set.refusable(workload)
    ):
        return (
            f"{kind} {name} has the update strategy OnDelete, so its pods change only when someone deletes them: "
            "set its updateStrategy to RollingUpdate first."
        )
    return None
