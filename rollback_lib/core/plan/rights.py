"""What a plan needs to be allowed."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.kinds import AWAITED, KINDS
from rollback_lib.core.kube.objects import kind_of, name_of
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import CREATE, DELETE, RESTART, UPDATE, Orphan, StuckPod
from rollback_lib.core.reasons import Reason
from rollback_lib.core.rights import permissions, role, table
from rollback_lib.core.rights.table import Need
from rollback_lib.core.run import lock
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import isolation, maintenance


def needed(
    request: Request,
    drafts: Sequence[Draft],
    found: Sequence[Orphan],
    stuck: Sequence[StuckPod],
    closing: isolation.PlannedIsolation,
) -> tuple[Need, ...]:
    """What to ask about before a plan is frozen; nothing where nothing is written."""
    asked: list[Need] = []
    for draft in drafts:
        kind, name = kind_of(draft.target), name_of(draft.target)
        if draft.anew:
            asked += table.needs(table.AGAIN, kind, name)
        elif draft.change == CREATE:
            asked += table.needs(table.CREATE, kind)
        elif draft.change in (UPDATE, RESTART):
            asked += table.needs(table.PUT_BACK, kind, name)
        for one in draft.leaves:
            asked += table.needs(table.LEAVES, one.kind)
    for orphan in found:
        if orphan.change == DELETE:
            asked += table.needs(table.DELETE, orphan.kind, orphan.name)
    asked += table.needs(table.STUCK) if stuck else ()
    for target in closing.targets:
        asked += table.needs(table.CLOSE, target.kind, target.name)
    if closing.ours:
        for kind in maintenance.KINDS:
            asked += table.needs(table.PAGE, kind, maintenance.name(request.run))
    if not asked:
        return ()
    if request.upstream_job:
        asked += table.needs(table.AUTOMATIC)
    verify = request.settings.verify
    asked += permissions.of_requests([*verify.smoke, *(step for flow in verify.flows for step in flow.steps)])
    watched = {kind_of(d.target): None for d in drafts if kind_of(d.target) in AWAITED}
    watched |= {"Deployment": None} if closing.ours else {}
    return table.each_once([*asked, *permissions.of_each_run(lock.name(request.application), list(watched))])


def refused(lacking: Sequence[Need]) -> list[Refusal]:
    """What the run cannot do without, each with what it is for and the rule that allows it."""
    return [
        Refusal(
            f"we may not {n.verb} {n.what}: {n.why}.",
            code="" if n.verb == "list" else f"permission:{n.name or n.part}",  # blind, nobody goes on
            fix=f"Add to the Role: {role.rule(KINDS[n.kind].group, [n.resource], [n.verb])}",
            reason=Reason.NO_RIGHT, subject=n.what, facts=(n.verb,),
        )
        for n in lacking
        if not n.optional
    ]  # fmt: skip


def lost(lacking: Sequence[Need]) -> list[str]:
    """What the run goes without, and what it would take not to."""
    found: dict[str, list[Need]] = {}
    for need in lacking:
        if need.optional:
            found.setdefault(need.why, []).append(need)
    return [f"{why[0].upper()}{why[1:]}: we may not {role.what(needs)}." for why, needs in found.items()]
