"""What people are told of a run, when, and in which words. Short: what happened, why, who, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from rollback_lib.core.plan.model import Plan
from rollback_lib.core.plan.text import mutable_warning
from rollback_lib.core.redact import short
from rollback_lib.core.report import followups
from rollback_lib.core.report.page import is_http
from rollback_lib.core.report.words import follow_up, words
from rollback_lib.core.run.journal import Ending, Event, Mark, done_stages
from rollback_lib.core.run.records import Approval, Request

PLAN_READY: Final = "plan-ready"
REFUSED: Final = "refused"
STARTED: Final = "started"
TRAFFIC_CLOSED: Final = "traffic-closed"
DONE: Final = "done"
FAILED: Final = "failed"
STILL_CLOSED: Final = "traffic-still-closed"

TELL: Final = "tell/"  # how the keys of notices begin in the journal
_IMAGES: Final = 6
_LONGEST: Final = 300  # characters of one line
_BAD: Final = (FAILED, STILL_CLOSED)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``key`` is what is told once: an event, or a failure in one stage. ``link`` may be a directory."""

    event: str
    key: str
    title: str
    lines: tuple[str, ...]
    next: str
    link: str
    application: str
    environment: str
    run: str
    release_from: str = ""
    release_to: str = ""
    code: int = 0
    traffic: str = "unknown"

    @property
    def bad(self) -> bool:
        return self.event in _BAD

    @property
    def text(self) -> str:
        """The message without its title, as plain text."""
        return "\n".join((*self.lines, self.next))


class Delivery(msgspec.Struct, frozen=True):
    """How telling ended. ``unclear``: it was sent and nobody answered, so it may have arrived."""

    error: str = ""
    unclear: bool = False


class Lack(msgspec.Struct, frozen=True):
    """What a channel needs and has not, by its variable's name, never its value. ``fix``: empty for "set it"."""

    text: str
    fix: str = ""


def event_after(
    stage: str, events: Sequence[Event], request: Request, plan: Plan | None, ending: Ending, *, waiting: bool
) -> str:
    """What is to be told once ``stage`` has ended, well or not; empty for nothing.

    Nobody is told anything by a run that only looks, before preflight has answered, or where there is nothing to do.
    ``waiting``: a person has to approve.
    """
    answered = any(e.stage == "preflight" and e.mark in (Mark.STAGE_DONE, Mark.STAGE_FAILED) for e in events)
    if request.dry_run or request.offline or not answered or (plan is not None and not plan.writes and not ending.code):
        return ""
    if ending.code:
        return _bad_end(ending)
    if plan is None:
        return ""
    if stage == "preflight":
        return PLAN_READY if waiting else ""
    if stage == "isolate":
        return TRAFFIC_CLOSED if ending.traffic == "closed" else ""
    if stage == "document":
        return DONE if "verify" in done_stages(events) and ending.changed else ""
    return STARTED if stage == "approve" else ""


def _bad_end(ending: Ending) -> str:
    if ending.traffic == "closed":
        return STILL_CLOSED
    return FAILED if ending.changed or ending.unclear else REFUSED


def notice(
    event: str, request: Request, plan: Plan | None, approval: Approval | None, ending: Ending, place: str
) -> Notice:
    """The message. ``place``: the run directory, linked to where no build is known."""
    said = words(request.settings.language)
    lines = [short(line, _LONGEST) for line in _lines(event, request, plan, approval, ending)]
    headed = said.get(f"n-{event}-{ending.traffic}") or said[f"n-{event}"]
    return Notice(
        event=event, key=f"{event}/{ending.stage}" if ending.code else event, code=ending.code, traffic=ending.traffic,
        title=short(f"{headed}: {request.application} {request.environment}", _LONGEST),
        lines=tuple(lines), next=f"{said['n-next']}: {_next(event, plan, said)}", run=request.run,
        link=request.origin if is_http(request.origin) else place,
        application=request.application, environment=request.environment,
        release_from=plan.current.release if plan else "", release_to=plan.target.release if plan else request.to,
    )  # fmt: skip


def _lines(event: str, request: Request, plan: Plan | None, approval: Approval | None, ending: Ending) -> Iterator[str]:
    said = words(request.settings.language)
    if plan:
        yield f"{plan.current.release} → {plan.target.release}"
    yield f"{said['why']}: {' '.join(request.reason.split()) or said['no-reason']}"
    who = said["n-asked"].format(who=request.by or said["unknown"])
    if approval and approval.by:
        who += ", " + said["n-approved"].format(who=approval.by, how=approval.how)
    yield who
    if ending.error:
        yield from (f"✗ {line}" for line in ending.error.splitlines()[:3])
    if plan and event in (DONE, FAILED, STILL_CLOSED, STARTED, PLAN_READY):
        yield from _images(plan)
    if ending.changed or ending.unclear:
        yield said["n-changed"].format(count=len(ending.changed) + len(ending.unclear))
    elif ending.code:
        by = f" ({', '.join(ending.closed_by)})" if ending.closed_by else ""
        yield f"{said['n-unchanged']}; {said[f'n-is-{ending.traffic}'].format(by=by)}"
    if plan and event == DONE and (warning := mutable_warning(plan, ending.other_tags)):
        yield f"! {_translated(plan, ending, warning, request.settings.language)}"


def _translated(plan: Plan, ending: Ending, warning: str, language: str) -> str:
    for found in followups.derive(None, plan, ending, None, ()):
        if found.code in followups.OF_TAGS:
            return follow_up(found.code, dict(found.values), found.text, language)
    return warning


def _images(plan: Plan) -> Iterator[str]:
    """Failed and restored image of each container that changes, digests as far as people compare them."""
    named = {m.reference: m.digest for m in plan.mutable_tags}
    rows = [
        f"{c.name}: {_brief(c.from_, named.get(c.from_, ''))} → {_brief(c.to, c.digest)}"
        for s in plan.services
        for c in s.containers
        if c.from_ != c.to
    ]
    yield from rows[:_IMAGES]
    if len(rows) > _IMAGES:
        yield f"… (+{len(rows) - _IMAGES})"


def _brief(reference: str, digest: str) -> str:
    name, _, own = reference.partition("@")
    digest = (own or digest).rpartition(":")[2][:12]
    tag = name.rpartition("/")[2]
    return f"{tag}@{digest}" if digest else tag


def _next(event: str, plan: Plan | None, said: dict[str, str]) -> str:
    key = {
        PLAN_READY: "n-approve", STARTED: "n-wait", TRAFFIC_CLOSED: "n-wait", DONE: "n-review", FAILED: "n-resume",
        STILL_CLOSED: "n-reopen",
    }.get(event, "n-fix")  # fmt: skip
    return said[key].format(hash=plan.hash[:12] if plan else "")


def may_tell(events: Sequence[Event], key: str, channel: str, *, last: bool) -> bool:
    """Whether this channel may be told this now: once, and not after it failed, unless it is the last word.

    What may have arrived is not sent again either.
    """
    about = [e for e in events if e.key.startswith(TELL) and e.key.endswith(f"/{channel}")]
    mine = [e for e in about if e.key == mark_key(key, channel)]
    if any(e.mark is Mark.TOLD or e.result.get("unclear") for e in mine):
        return False
    return last or not any(e.mark is Mark.NOT_TOLD for e in about)


def mark_key(key: str, channel: str) -> str:
    return f"{TELL}{key}/{channel}"


def waited(events: Sequence[Event]) -> float:
    """Seconds that this run has waited for channels so far, in all of its processes."""
    by_notice: dict[str, float] = {}
    for event in events:
        if event.mark in (Mark.TOLD, Mark.NOT_TOLD):
            key = event.key.rpartition("/")[0]
            by_notice[key] = max(by_notice.get(key, 0.0), float(event.result.get("waited") or 0))
    return sum(by_notice.values())
