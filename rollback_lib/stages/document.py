"""Writes the run down, on every ending. Never changes the exit code."""

from __future__ import annotations

import msgspec

from rollback_lib.core.incident import Story, markdown, report
from rollback_lib.core.journal import ending
from rollback_lib.core.plan import Plan
from rollback_lib.core.run import Approval, Request, Resolution, Verification
from rollback_lib.ports import Ports, RunStore, Writer

ID = "document"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    events = run.events()
    story = Story(
        run.get(Request), events, ending(events), run.find(Resolution), run.find(Plan), run.find(Approval),
        run.find(Verification),
    )  # fmt: skip
    run.write("report/report.json", msgspec.json.format(msgspec.json.encode(report(story)), indent=2) + b"\n")
    run.write("report/incident.md", markdown(story).encode())
