"""What a plan needs to be allowed."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.core.kube.kinds import AWAITED, told_by
from rollback_lib.core.kube.objects import kind_of, name_of
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import CREATE, DELETE, RESTART, UPDATE, Orphan
from rollback_lib.core.rights import permissions
from rollback_lib.core.run import lock
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import isolation, maintenance


def needed(
    request: Request,
    drafts: Sequence[Draft],
    found: Sequence[Orphan],
    closing: isolation.PlannedIsolation,
) -> list[tuple[str, str, str]]:
    """(verb, kind, name) of each question to ask before a plan is frozen; none where nothing is written."""
    asked = [
        (verb, kind_of(d.target), name_of(d.target))
        for d in drafts
        if d.change in (UPDATE, RESTART)
        for verb in ("get", "patch")
    ]
    asked += [("create", kind_of(d.target), "") for d in drafts if d.change == CREATE or d.anew]
    asked += [("delete", kind_of(d.target), name_of(d.target)) for d in drafts if d.anew]
    asked += [("delete", kind, "") for kind in dict.fromkeys(one.kind for d in drafts for one in d.leaves)]
    asked += [("delete", o.kind, o.name) for o in found if o.change == DELETE]
    asked += [("patch", t.kind, t.name) for t in closing.targets]
    if closing.ours:
        page = maintenance.name(request.run)
        asked += [(v, k, n) for k in maintenance.KINDS for v, n in (("create", ""), ("get", page), ("delete", page))]
    if not asked:
        return []
    awaited = dict.fromkeys(kind_of(d.target) for d in drafts if kind_of(d.target) in AWAITED)
    asked += [("list", kind, "") for kind in (*awaited, *told_by(awaited))]  # to see whether one has come back
    asked += [(n.verb, n.kind, n.name) for n in permissions.of_lock(lock.name(request.application))]
    return asked
