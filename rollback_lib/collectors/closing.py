"""What is to be closed, if that is asked for; each change is tried without writing."""

from __future__ import annotations

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.objects import kind_of, name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.reasons import Reason
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import isolation, maintenance, slots
from rollback_lib.ports import Ports


def look(request: Request, snapshot: Snapshot, ports: Ports, now: str, refused: list[Refusal]) -> isolation.Isolating:
    """What is closed and by whom, if it is asked for; each patch is tried without writing."""
    refused += isolation.closed_by_others(snapshot, request.runs)
    pages = tuple(
        isolation.LeftPage(kind=kind_of(o), name=name_of(o), uid=str(o["metadata"]["uid"]))
        for o in maintenance.left(snapshot, request.runs)
    )
    if not request.isolate:
        return isolation.Isolating(plan=isolation.PlannedIsolation(left=pages))
    found = isolation.decide(request.target_environment.isolation, snapshot, request.runs)
    said = {r.decision for r in refused}
    refused += [r for r in found.refusals if r.decision not in said]
    for live in found.live:
        change = isolation.closing_change(live, found.page, run=request.run, since=now, key="")
        answer = ports.cluster.dry_run_patch(change.kind, change.api_version, change.name, change.operations)
        what = change.ref
        if answer.object is None:
            text = f"{what} cannot be closed: the server answered {answer.status}: {answer.refused}"
            facts = (str(answer.status), answer.refused)
            refused.append(Refusal(text, reason=Reason.CLOSING_REFUSED, subject=str(what), facts=facts))
        elif not slots.holds(answer.object):
            text = f"{what} cannot be closed: the server says yes and keeps it open."
            refused.append(Refusal(text, reason=Reason.STAYS_OPEN, subject=str(what)))
    return msgspec.structs.replace(found, plan=msgspec.structs.replace(found.plan, left=pages))
