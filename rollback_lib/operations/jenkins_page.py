"""Writes what the page of a Jenkins build shows of its run."""

from __future__ import annotations

from datetime import datetime, timedelta

from rollback_lib.collectors import run_record
from rollback_lib.core.jenkins import page
from rollback_lib.core.jenkins.page import Moment
from rollback_lib.core.plan import text as plan_text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.report import junit
from rollback_lib.core.report.last_line import last_line
from rollback_lib.core.run.records import Request, Verification
from rollback_lib.core.settings.local_time import zone
from rollback_lib.ports import RunStore


def write(
    run: RunStore, now: datetime, moment: Moment = "ended", wait: timedelta = timedelta(), approvers: str = ""
) -> str:
    """The facts, also written into the run directory, with the plan as people read it and a test report.

    ``moment``: where the build stands. ``wait``: how long a question waits, for ``approvers`` or anybody.
    """
    request, plan, verification = run.get(Request), run.find(Plan), run.find(Verification)
    how = run_record.stands(run)
    seconds = (now - datetime.fromisoformat(request.started)).total_seconds()
    said = last_line(how, plan, verification, seconds)
    local = now.astimezone(zone(request.target_environment.timezone))
    text = page.text(
        request, plan, how, verification, said, round(seconds), moment, now=local, wait=wait, approvers=approvers
    )
    run.write(page.FILE, text.encode())
    run.write(f"report/{junit.FILE}", junit.xml(run_record.read(run)[0]).encode())
    if plan is not None:
        run.write(page.PLAN_FILE, plan_text.text(plan).encode() + b"\n")
    return text
