"""The record of a run, made from whatever its directory holds. What does not read is left out and said."""

from __future__ import annotations

from typing import Any, Final

from rollback_lib.core.errors import UsageError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.record import Record
from rollback_lib.core.report import story as reporting
from rollback_lib.core.report.model import Report
from rollback_lib.core.report.observation import Looked, how_it_stands
from rollback_lib.core.report.story import Story
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Approval, Detection, Images, Incident, Request, Resolution, Verification
from rollback_lib.core.settings.local_time import zone
from rollback_lib.ports import RunStore

_RECORDS: Final[dict[str, type[Record]]] = {
    "request": Request, "detection": Detection, "incident": Incident, "resolution": Resolution, "images": Images,
    "plan": Plan, "approval": Approval, "verification": Verification, "looked": Looked,
}  # fmt: skip


def stands(run: RunStore) -> Ending:
    """How the run stands, by its journal and by what was seen of the cluster."""
    return how_it_stands(run.events(), run.find(Looked))


def read(run: RunStore) -> tuple[Report, str]:
    """The report of a run, from whatever its directory holds, and the language that its settings ask for."""
    found: dict[str, Any] = {}
    unread: list[str] = []
    for name, kind in _RECORDS.items():
        try:
            found[name] = run.find(kind)
        except (UsageError, OSError):
            unread.append(name)
    events = tuple(run.events())
    story = Story(events=events, ending=how_it_stands(events, found.pop("looked", None)), unread=tuple(unread), **found)
    request = story.request
    place = request.settings.environments.get(request.environment) if request else None
    return reporting.made(story, zone(place.timezone if place else "")), request.settings.language if request else "en"
