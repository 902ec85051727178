"""What a run leaves to be done, from the run itself: each with a code, so that both languages can say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.manifests import bots
from rollback_lib.core.plan.model import LEFT, Plan
from rollback_lib.core.plan.text import left_tag, mutable_warning, still_failed
from rollback_lib.core.report.words import FOLLOW_UPS
from rollback_lib.core.run.journal import Ending, Event, Mark
from rollback_lib.core.run.records import Request, Verification

_NAMED: Final = 6


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do. ``text`` is English; other languages are made from ``code`` and ``values``."""

    code: str
    text: str
    values: Mapping[str, str] = {}


def derive(
    request: Request | None,
    plan: Plan | None,
    ending: Ending,
    verification: Verification | None,
    events: Sequence[Event],
) -> Iterator[FollowUp]:
    """In the order in which they matter."""
    if ending.traffic == "closed":
        yield _said("traffic-closed")
    if ending.locked:
        yield _said("locked")
    if ending.unclear:
        yield _said("unclear", names=_list(ending.unclear))
    if plan:
        yield from _tags(plan, ending)
        yield from _images(plan)
    if verification:
        at_zero = [str(w.ref) for w in verification.workloads if not w.desired]
        if at_zero:
            yield _said("at-zero", names=_list(at_zero))
    if plan and request and (untested := _untested(plan, request)):
        yield _said("no-smoke-test", names=_list(untested))
    for event in events:
        if event.mark is Mark.DONE and event.key.startswith("record/quarantine"):
            known = plan.current.release if plan and plan.current.release != "unknown" else event.what
            yield _said("quarantined", what=known)
    yield _said("cause")


OF_TAGS: Final = ("mutable-tag", "mutable-tags")  # a tag that would bring the failed release back


def _tags(plan: Plan, ending: Ending) -> Iterator[FollowUp]:
    if (found := still_failed(plan, ending.other_tags)) and (warning := mutable_warning(plan, ending.other_tags)):
        tags, where, failed = found
        values = {"tags": tags, "where": str(where), "failed": failed}
        yield FollowUp(code=OF_TAGS[not isinstance(where, str)], text=warning, values=values)
    if plan.bots:
        yield FollowUp(code="bots", text=bots.warning(plan.bots), values={"names": _list([b.name for b in plan.bots])})
    for tag in ending.left_tags:
        yield FollowUp(code="left-tag", text=left_tag(tag), values={"tag": tag})


def _images(plan: Plan) -> Iterator[FollowUp]:
    if "unproven-target" in plan.accepted or plan.target.is_proposal:
        yield _said("unproven-target", release=plan.target.release)
    by_reference = [s.name for s in plan.services if any(c.rung == "reference" for c in s.containers)]
    if by_reference:
        yield _said("reference-image", names=_list(by_reference), release=plan.target.release)
    if any(a in plan.accepted for a in ("image-on-nodes-only", "registry-unknown")):
        yield _said("image-on-nodes")
    kept = [str(o.ref) for s in plan.services for o in s.objects if o.kept]
    if kept:
        yield _said("kept", names=_list(kept))


def _untested(plan: Plan, request: Request) -> list[str]:
    tested = {test.service for test in request.settings.verify.smoke}
    return [
        s.name
        for s in plan.services
        if s.name not in tested and any(o.ref.type in AWAITED and o.change != LEFT for o in s.objects)
    ]


def _said(code: str, **values: str) -> FollowUp:
    return FollowUp(code=code, text=FOLLOW_UPS[code][0].format(**values), values=values)


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" … (+{rest})" if rest > 0 else "")
