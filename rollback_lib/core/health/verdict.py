"""From counts to a report: what all kinds have in common."""

from __future__ import annotations

import msgspec

from rollback_lib.core.health.pods import pods
from rollback_lib.core.health.pods.reading import Json, observed
from rollback_lib.core.health.pods.report import Cause, Health, Report, View


class Tally(msgspec.Struct, frozen=True):
    """What one kind counted. ``unjudged``: its places on nodes that are not Ready. ``holds``: what else stands in
    the way of healthy. ``notes``: what is said in any case."""

    desired: int
    newest: tuple[Json, ...]
    ready: int
    updated: int
    unjudged: tuple[Json, ...] = ()
    causes: tuple[Cause, ...] = ()
    holds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    nothing: str = ""  # why there is nothing to judge


def conclude(view: View, tally: Tally) -> Report:
    name = pods.name_of(view.workload)
    wanted = max(0, tally.desired - len(tally.unjudged))
    # What gives up first, then what a pod says; that Kubernetes lost patience explains least.
    known = tuple(sorted(tally.causes, key=lambda cause: (not cause.final, cause.name == "ProgressDeadline")))
    causes: tuple[Cause, ...] = ()
    if not observed(view.workload):
        health, said = Health.PROGRESSING, "its controller has not seen the newest spec yet"
    elif tally.nothing:
        health, said = Health.UNPROVEN, tally.nothing
    elif any(cause.final for cause in known):
        causes = known
        health, said = Health.FAILED, causes[0].text
    elif min(tally.ready, tally.updated) < wanted or tally.holds:
        causes = known
        health = Health.PROGRESSING
        said = "; ".join((f"{tally.ready} of {wanted} new pods ready", *tally.holds, *(c.text for c in causes[:1])))
    elif wanted == 0 and tally.unjudged:
        health, said = Health.UNPROVEN, "no pod of it can be judged"
    else:
        health, said = Health.HEALTHY, f"{tally.ready} of {wanted} new pods ready"
    return Report(
        kind=pods.kind_of(view.workload),
        name=name,
        health=health,
        message=f"{name}: " + "; ".join((said, *_unjudged(tally.unjudged), *tally.notes)),
        causes=causes,
        ready=tally.ready,
        desired=tally.desired,
        updated=tally.updated,
        pods=tuple(pods.name_of(p) for p in tally.newest),
    )


def waited_too_long(report: Report) -> Report:
    """Its limit is used up: what was only slow has failed."""
    known = f"; {report.causes[0].text}" if report.causes else ""
    missing = f"{report.ready} of {report.desired} new pods ready"
    never = Cause("NeverReady", f"not ready within its limit, {missing}{known}", final=True)
    return msgspec.structs.replace(
        report,
        health=Health.FAILED,
        causes=(never, *report.causes),
        message=f"{report.name}: not ready within its limit; {report.message.removeprefix(f'{report.name}: ')}",
    )


def not_final(cause: Cause) -> Cause:
    return msgspec.structs.replace(cause, final=False)


def _unjudged(lost: tuple[Json, ...]) -> tuple[str, ...]:
    if not lost:
        return ()
    nodes = ", ".join(sorted({pods.node_of(p) for p in lost} - {""})) or "a lost node"
    return (f"{len(lost)} on nodes that are not Ready ({nodes}), not judged",)
