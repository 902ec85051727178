"""Makes the record of a run from whatever its directory holds; what the run did not get to is empty.

Every text in it is redacted and shortened in one place (`made`), so that no renderer has to think of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from rollback_lib.core.manifests.grouping import is_shared
from rollback_lib.core.plan.model import LEFT, WRITING, Plan
from rollback_lib.core.redact import cleaned
from rollback_lib.core.report import followups
from rollback_lib.core.report.changed import Changed, changed
from rollback_lib.core.report.model import (
    ChangedContainer,
    ChangedObject,
    Moment,
    MovedTag,
    Report,
    StageTime,
    Times,
    Took,
)
from rollback_lib.core.report.observation import counted, is_restored
from rollback_lib.core.run.journal import CLOSES, OPENS, Ending, Event, Mark, done_keys
from rollback_lib.core.run.records import Approval, Detection, Images, Incident, Request, Resolution, Verification

_MOST: Final = 1000  # entries of one list: a page is read by people


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a run; what it did not get to is None. ``unread``: files that do not read."""

    events: tuple[Event, ...] = ()
    ending: Ending
    request: Request | None = None
    detection: Detection | None = None
    incident: Incident | None = None
    resolution: Resolution | None = None
    images: Images | None = None
    plan: Plan | None = None
    approval: Approval | None = None
    verification: Verification | None = None
    unread: tuple[str, ...] = ()


def made(story: Story, zone: tzinfo | None) -> Report:
    """The record. ``zone``: of the environment's people; None is this machine's."""
    request, plan, ending, found = story.request, story.plan, story.ending, story.verification
    detection, incident = story.detection, story.incident
    times = _times(story)
    report = Report(
        follow_ups=tuple(followups.derive(request, plan, ending, found, story.events)),
        exit_code=ending.code, failed_in=ending.stage, error=ending.error, traffic=ending.traffic,
        closed_by=ending.closed_by,
        changed=ending.changed, unclear=ending.unclear, wrote=bool(ending.changed or ending.unclear),
        restored=is_restored(plan, found), left_tags=ending.left_tags,
        to_release=story.resolution.target if story.resolution else None, approved=story.approval,
        times=times, timeline=tuple(_timeline(story, times, zone))[-_MOST:], stages=_stages(story.events),
        affected=_affected(detection, plan), verification=found,
        warnings=(*(plan.warnings if plan else ()), *(f"{name} does not read." for name in story.unread)),
        took=Took(
            detect=_between(times.first_evidence, times.started), decide=_between(times.started, times.approved),
            restore=_between(times.started, times.healthy),
        ),
    )  # fmt: skip
    more: dict[str, Any] = {}
    if request:
        more |= {
            "run": request.run, "application": request.application, "environment": request.environment,
            "by": request.by, "origin": request.origin, "reason": request.reason, "asked_for": request.to,
        }  # fmt: skip
    if plan:
        more |= {
            "from_release": plan.current, "to_release": plan.target, "plan_hash": plan.hash, "cluster": plan.cluster,
            "repository": plan.repository, "namespace": plan.namespace, "accepted": plan.accepted,
            "objects": tuple(_objects(plan, story.events)),
            "leftovers": tuple(f"{x.ref}: {x.what}" for x in plan.leftovers),
            "orphans": tuple(f"{o.ref} ({o.change})" + (f": {o.why}" if o.why else "") for o in plan.orphans),
            "tags": tuple(MovedTag(done=t.reference in ending.moved_tags, **asdict(t)) for t in plan.retag),
        }  # fmt: skip
    if detection:
        more |= {"verdict": detection.verdict, "reasons": detection.reasons, "findings": detection.findings[:_MOST]}
    if incident:
        more |= {"incident": incident.id, "evidence": incident.evidence, "not_saved": incident.missing}
    if plan and found:
        seen = counted(plan, found)
        more |= {
            "undoes": plan.undoes,
            "as_before": found.as_before,
            "workloads": seen.has,
            "ready": seen.ready,
            "unproven": seen.zero,
            "but": seen.but,
        }
    return cleaned(msgspec.structs.replace(report, **more), Report)


def _times(story: Story) -> Times:
    events, found = story.events, story.verification
    done = [e for e in events if e.mark is Mark.DONE]
    first = next((e.at for e in events if e.mark is Mark.ANNOUNCED and not e.key.startswith(_OURS)), "")
    return Times(
        first_evidence=story.detection.since if story.detection else "",
        started=story.request.started if story.request else events[0].at if events else "",
        approved=story.approval.at if story.approval else "",
        first_write=first,
        traffic_closed=next((e.at for e in done if e.key.startswith(f"{CLOSES}/")), ""),
        traffic_opened=next(
            (e.at for e in reversed(events) if e.mark in _OPENED and e.key.startswith(f"{OPENS}/")), ""
        ),
        healthy=found.at if found and is_restored(story.plan, found) else "",
        ended=events[-1].at if events else "",
    )


_OPENED: Final = (Mark.DONE, Mark.SEEN)
_OURS: Final = ("lock/", "record/")  # keys of changes that leave the application as it is


def _timeline(story: Story, times: Times, zone: tzinfo | None) -> Iterator[Moment]:
    announced = {e.key: e for e in story.events if e.mark is Mark.ANNOUNCED}
    found: list[tuple[str, str, str, str, Changed]] = [
        (e.at, *said, changed(e, announced)) for e in story.events if (said := _said(e))
    ]
    for finding in story.detection.findings if story.detection else ():
        if finding.since and finding.severity != "note":
            found.append(
                (finding.since, "evidence", "", f"{finding.service or finding.source}: {finding.text}", Changed())
            )
    # The records' own times are whole seconds, and would stand before what came first.
    ends = {e.stage: e.at for e in story.events if e.mark is Mark.STAGE_DONE}
    if story.approval and story.approval.by:
        by = f"{story.approval.by} ({story.approval.how})"
        found.append((ends.get("approve", story.approval.at), "approved", "", by, Changed()))
    if times.healthy:
        found.append((ends.get("verify", times.healthy), "healthy", "", "", Changed()))
    for at, what, stage, text, of in sorted(found, key=lambda row: _when(row[0]) or datetime.max.replace(tzinfo=UTC)):
        yield Moment(at=in_utc(at), local=_local(at, zone), what=what, stage=stage, text=text, **of._asdict())


def _said(event: Event) -> tuple[str, str, str] | None:
    match event.mark:
        case Mark.STAGE_BEGIN:
            return "begun", event.stage, ""
        case Mark.STAGE_FAILED:
            return "failed", event.stage, f"({event.code}): {event.error}"
        case Mark.DONE:
            return "changed", event.stage, event.what
        case Mark.NOT_DONE:
            return "not-changed", event.stage, event.what
        case Mark.TOLD:
            return "told", event.stage, event.what
        case Mark.NOT_TOLD:
            return "not-told", event.stage, f"{event.what}: {event.error}"
    return None


def _when(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def in_utc(text: str) -> str:
    """The moment in UTC, as RFC 3339 with ``Z``; what is no time stays as it is."""
    found = _when(text)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if found else text


def _local(text: str, zone: tzinfo | None) -> str:
    found = _when(text)
    try:
        return found.astimezone(zone).isoformat(timespec="seconds") if found else ""
    except (OverflowError, OSError, ValueError):  # a time of which the zone knows nothing
        return ""


def _between(start: str, end: str) -> float | None:
    began, ended = _when(start), _when(end)
    return round(max((ended - began).total_seconds(), 0.0), 3) if began and ended else None


def _stages(events: Sequence[Event]) -> tuple[StageTime, ...]:
    begun: dict[str, str] = {}
    took: dict[str, float] = {}
    failed: dict[str, str] = {}
    for event in events:
        if event.mark is Mark.STAGE_BEGIN:
            begun[event.stage], failed[event.stage] = event.at, "did not end"
        elif event.mark in (Mark.STAGE_DONE, Mark.STAGE_FAILED) and (start := begun.pop(event.stage, "")):
            took[event.stage] = took.get(event.stage, 0.0) + (_between(start, event.at) or 0.0)
            bad = event.mark is Mark.STAGE_FAILED
            failed[event.stage] = (event.error or f"ended with {event.code}") if bad else ""
    failed.pop(WRITES_THIS, None)  # the one that is at it
    return tuple(StageTime(stage=s, seconds=round(took.get(s, 0.0), 1), failed=why) for s, why in failed.items())


WRITES_THIS: Final = "document"


def _affected(detection: Detection | None, plan: Plan | None) -> tuple[str, ...]:
    if detection and (bad := [f.service for f in detection.findings if f.service and f.severity == "broken"]):
        return tuple(dict.fromkeys(bad))
    changing = [s.name for s in plan.services if any(o.change in WRITING for o in s.objects)] if plan else []
    return tuple(name for name in changing if not is_shared(name))


def _objects(plan: Plan, events: Sequence[Event]) -> Iterator[ChangedObject]:
    done = {e.key for e in events if e.mark is Mark.DONE}
    named = {m.reference: m.digest for m in plan.mutable_tags}
    for service in plan.services:
        for planned in service.objects:
            if planned.change not in (*WRITING, LEFT) and not planned.kept:
                continue
            key = str(planned.ref)
            yield ChangedObject(
                **asdict(planned), service=service.name,
                done=not done.isdisjoint(done_keys(planned.change_key)),
                containers=tuple(
                    ChangedContainer(**asdict(c), from_digest=named.get(c.from_, ""))
                    for c in service.containers if c.workload == key
                ),
            )  # fmt: skip
