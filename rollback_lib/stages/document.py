"""Writes the run down, on every ending. Never changes the exit code.

What does not read is left out and said, and a form that cannot be made costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import UsageError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.record import Record
from rollback_lib.core.report import junit, page, pages
from rollback_lib.core.report import story as reporting
from rollback_lib.core.report.model import Report
from rollback_lib.core.report.story import Story
from rollback_lib.core.run.journal import ending
from rollback_lib.core.run.records import Approval, Detection, Images, Incident, Request, Resolution, Verification
from rollback_lib.core.settings.local_time import zone
from rollback_lib.ports import Ports, RunStore, Writer

ID = "document"
WRITES = False
_RECORDS: Final[dict[str, type[Record]]] = {
    "request": Request, "detection": Detection, "incident": Incident, "resolution": Resolution, "images": Images,
    "plan": Plan, "approval": Approval, "verification": Verification,
}  # fmt: skip


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    made, language = read(run)
    problem: Exception | None = None
    for name, form in FORMS.items():
        try:
            run.write(f"report/{name}", form(made, language).encode())
        except Exception as error:
            problem = problem or error
    if problem is not None:
        raise problem


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
    story = Story(events=events, ending=ending(events), unread=tuple(unread), **found)
    request = story.request
    place = request.settings.environments.get(request.environment) if request else None
    return reporting.made(story, zone(place.timezone if place else "")), request.settings.language if request else "en"


def as_json(made: Report, language: str) -> str:
    return (msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n").decode()


def as_markdown(made: Report, language: str) -> str:
    return page.markdown(pages.page(made, language))


def as_html(made: Report, language: str) -> str:
    return page.as_html(pages.page(made, language))


def _styles(made: Report, language: str) -> str:
    return files("rollback_lib").joinpath("report.css").read_text(encoding="utf-8")


FORMS: Final[dict[str, Callable[[Report, str], str]]] = {
    "report.json": as_json,
    "incident.md": as_markdown,
    page.STYLES: _styles,
    "report.html": as_html,
    junit.FILE: lambda made, language: junit.xml(made),
}
