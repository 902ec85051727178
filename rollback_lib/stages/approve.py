"""A person, the command line or the policy says yes, to this plan's hash only."""

from __future__ import annotations

from rollback_lib.collectors import approval
from rollback_lib.core.errors import NotApprovedError, RefusedError, StaleError, UsageError
from rollback_lib.core.plan import text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.ports import Ports, RunStore, Writer

ID = "approve"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Approval:
    request, plan = run.get(Request), run.get(Plan)
    if plan.refusals:
        raise RefusedError(*plan.refusals)
    if request.plan_hash and request.plan_hash != plan.hash:
        raise StaleError(
            f"the plan is no longer the one with hash {request.plan_hash[:12]}…: it is {plan.hash[:12]}… now. "
            f"Look at it again with `rollback plan`."
        )
    if not plan.writes:
        return _approval(plan, ports, "", "nothing to do")
    hash_, by, denied = approval.given(ports), approval.by(ports), approval.denied(ports)
    if request.yes or not (hash_ or denied):  # who has answered elsewhere has seen it there
        ports.progress.say(text.text(plan))
    approval.sure_of_cluster(request, plan.cluster, ports)
    if request.yes:
        return _approval(plan, ports, request.by, "--yes")
    if hash_:
        if hash_ != plan.hash:
            raise StaleError(f"the approval is for plan {hash_[:12]}…, and the plan is {plan.hash[:12]}… now.")
        if not by:
            raise UsageError("ROLLBACK_APPROVED_HASH is set without ROLLBACK_APPROVED_BY: nobody approved this plan")
        before = run.find(Approval)  # of a run that stopped, and goes on with another yes
        began = f"; it began with the yes of {before.by} ({before.how})" if before else ""
        return _approval(plan, ports, by, f"ROLLBACK_APPROVED_HASH{began}")
    if denied:
        raise NotApprovedError(f"not approved: {denied}")
    if request.target_environment.approval == "auto":
        return _approval(plan, ports, "policy", "approval: auto")
    question = " ".join((*text.cautions(plan), f"Roll {plan.environment} back to {plan.target.release} as planned?"))
    answer = ports.approver.approve(plan, question, run.place)
    if answer is None:
        raise NotApprovedError(
            f"this needs a yes and there is no terminal: use --yes, or ROLLBACK_APPROVED_HASH={plan.hash} with "
            f"ROLLBACK_APPROVED_BY."
        )
    if not answer.yes:
        raise NotApprovedError("not approved.")
    return _approval(plan, ports, answer.by or request.by, answer.how)


def _approval(plan: Plan, ports: Ports, by: str, how: str) -> Approval:
    return Approval(hash=plan.hash, by=by, how=how, at=ports.clock.now().isoformat(timespec="seconds"))
