"""The incident record: what happened, from what the run directory holds. No blame, times in UTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rollback_lib.core import bots
from rollback_lib.core.journal import Ending, Event, Mark
from rollback_lib.core.plan import LEFT, NONE, Plan
from rollback_lib.core.plan_text import left_tag, mutable_warning
from rollback_lib.core.redact import redact
from rollback_lib.core.run import Approval, Request, Resolution, Verification


class Story:
    """Everything that is known of a run; what it did not get to is None."""

    def __init__(
        self,
        request: Request,
        events: Sequence[Event],
        ending: Ending,
        resolution: Resolution | None,
        plan: Plan | None,
        approval: Approval | None,
        verification: Verification | None,
    ) -> None:
        self.request, self.events, self.ending = request, tuple(events), ending
        self.resolution, self.plan, self.approval, self.verification = resolution, plan, approval, verification

    @property
    def times(self) -> dict[str, str]:
        """Decision, first write and healthy, as far as they came."""
        found = {"started": self.request.started}
        if self.approval:
            found["approved"] = self.approval.at
        if first := next((e.at for e in self.events if e.mark is Mark.ANNOUNCED), ""):
            found["first_write"] = first
        if self.verification and self.verification.healthy:
            found["healthy"] = self.verification.at
        return found

    @property
    def seconds_to_restore(self) -> float | None:
        """From the start of the run to healthy; None where it did not get there."""
        times = self.times
        if "healthy" not in times or not times["started"]:
            return None
        return round(
            (datetime.fromisoformat(times["healthy"]) - datetime.fromisoformat(times["started"])).total_seconds(), 3
        )


def report(story: Story) -> dict[str, Any]:
    """report.json."""
    plan = story.plan
    return {
        "run": story.request.run,
        "application": story.request.application,
        "environment": story.request.environment,
        "by": story.request.by,
        "origin": story.request.origin,
        "reason": redact(story.request.reason),
        "asked_for": story.request.to,
        "from": plan.current if plan else None,
        "to": story.resolution.target if story.resolution else None,
        "plan_hash": plan.hash if plan else "",
        "cluster": plan.cluster if plan else None,
        "approved": story.approval,
        "accepted": plan.accepted if plan else (),
        "exit_code": story.ending.code,
        "failed_in": story.ending.stage,
        "error": story.ending.error,
        "traffic": story.ending.traffic,
        "changed": story.ending.changed,
        "unclear": story.ending.unclear,
        "times": story.times,
        "seconds_to_restore": story.seconds_to_restore,
        "services": plan.services if plan else (),
        "leftovers": plan.leftovers if plan else (),
        "orphans": plan.orphans if plan else (),
        "mutable_tags": plan.mutable_tags if plan else (),
        "moved_tags": story.ending.moved_tags,
        "left_tags": story.ending.left_tags,
        "warnings": plan.warnings if plan else (),
        "verification": story.verification,
    }


def markdown(story: Story) -> str:
    """incident.md: a person only has to finish it."""
    return "\n".join(_markdown(story)) + "\n"


def _markdown(story: Story) -> Iterator[str]:
    request, plan, ending = story.request, story.plan, story.ending
    target = story.resolution.target.release if story.resolution else request.to
    yield f"# Rollback of {request.application} {request.environment} to {target}"
    yield ""
    yield f"- Run: `{request.run}`, exit code {ending.code}"
    yield f"- Why: {_cell(request.reason) or '(no reason was given)'}"
    yield f"- Who: {_cell(request.by)} from {_cell(request.origin) or '(unknown)'}"
    if story.approval:
        approval = story.approval
        yield f"- Approved: by {_cell(approval.by) or '-'} ({approval.how}), plan `{approval.hash[:12]}`"
    if plan:
        yield f"- From: {plan.current.release}; to: {plan.target.release} (`{plan.target.commit[:12]}`)"
        where = plan.cluster
        yield f"- Cluster: {where.context} {where.server}, namespace {plan.namespace} ({where.namespace_uid})"
        yield f"- Accepted: {', '.join(f'`{a}`' for a in plan.accepted) or 'nothing'}"
    yield f"- Traffic: {ending.traffic}"
    restore = story.seconds_to_restore
    yield f"- Time to restore: {f'{restore:.0f} s' if restore is not None else 'not restored'}"
    if ending.error:
        yield f"- Failed in `{ending.stage}`: {_cell(ending.error)}"
    yield ""
    yield "## Timeline (UTC)"
    yield ""
    for event in story.events:
        if said := _event(event):
            yield f"- {event.at} {said}"
    if plan:
        yield from _changes(plan)
    if story.verification:
        yield from _verified(story.verification)
    yield ""
    yield "## To do"
    yield ""
    yield "| What | Owner | Due |"
    yield "|---|---|---|"
    if plan and (warning := mutable_warning(plan, ending.other_tags)):
        yield f"| {warning} | | |"
    if plan and (warning := bots.warning(plan.bots)):
        yield f"| {_cell(warning)} | | |"
    for tag in ending.left_tags:
        yield f"| {_cell(left_tag(tag))} | | |"
    yield "| Find the cause of the failure | | |"


def _event(event: Event) -> str:
    what = _cell(event.what)
    match event.mark:
        case Mark.STAGE_BEGIN:
            return f"{event.stage} begins"
        case Mark.STAGE_FAILED:
            return f"{event.stage} failed ({event.code}): {_cell(event.error)}"
        case Mark.DONE:
            return what
        case Mark.NOT_DONE:
            return f"{what}: not done"
    return ""


def _changes(plan: Plan) -> Iterator[str]:
    yield ""
    yield "## What was changed"
    yield ""
    yield "| Service | Object | Change | Container | From | To | Known by |"
    yield "|---|---|---|---|---|---|---|"
    for service in plan.services:
        for planned in service.objects:
            if planned.change in (NONE, LEFT):
                continue
            mine = [c for c in service.containers if c.workload == f"{planned.kind}/{planned.name}"]
            for c in mine or (None,):
                cells = (c.name, f"`{c.from_}`", f"`{c.to}`", c.rung) if c else ("", "", "", "")
                row = (service.name, f"{planned.kind}/{planned.name}", planned.change, *cells)
                yield f"| {' | '.join(map(_cell, row))} |"
    for title, lines in (
        (
            "Kept, because somebody else owns it",
            [f"{o.kind}/{o.name}: {', '.join(o.kept)}" for s in plan.services for o in s.objects if o.kept],
        ),
        (
            "Left as it is",
            [f"{o.kind}/{o.name}: {o.why}" for s in plan.services for o in s.objects if o.change == LEFT],
        ),
        (
            "An ordinary apply would have left these; taken away",
            [f"{x.kind}/{x.name}: {x.what}" for x in plan.leftovers],
        ),
        ("Only the failed release had", [f"{o.kind}/{o.name} ({o.change}): {o.why}" for o in plan.orphans]),
        ("Warnings", list(plan.warnings)),
    ):
        if lines:
            yield ""
            yield f"### {title}"
            yield ""
            yield from (f"- {_cell(line)}" for line in lines)


def _verified(found: Verification) -> Iterator[str]:
    yield ""
    yield "## Verification"
    yield ""
    yield f"{'Healthy' if found.healthy else 'NOT healthy'} at {found.at}."
    yield ""
    for w in found.workloads:
        digests = ", ".join(f"`{d[:19]}`" for d in w.digests)
        yield f"- {w.kind}/{w.name}: {w.health}, {w.ready} of {w.desired} ready. {_cell(w.message)} {digests}"
        yield from (f"      {line}" for line in w.logs)
    yield from (f"- {_cell(line)}" for line in (*found.smoke, *found.problems))


def _cell(text: str) -> str:
    return redact(" ".join(str(text).split())).replace("|", "\\|").replace("<", "&lt;")
