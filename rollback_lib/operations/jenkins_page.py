"""Writes what the page of a Jenkins build shows of its run."""

from __future__ import annotations

from datetime import datetime

from rollback_lib.core import jenkins_page, junit, plan_text
from rollback_lib.core.ending_text import last_line
from rollback_lib.core.journal import ending
from rollback_lib.core.plan import Plan
from rollback_lib.core.run import Request, Verification
from rollback_lib.ports import RunStore
from rollback_lib.stages import document


def write(run: RunStore, now: datetime) -> str:
    """The facts, also written into the run directory, with the plan as people read it and a test report."""
    request, plan, verification = run.get(Request), run.find(Plan), run.find(Verification)
    how = ending(run.events())
    seconds = (now - datetime.fromisoformat(request.started)).total_seconds()
    said = last_line(how, plan, verification, seconds)
    text = jenkins_page.text(request, plan, how, verification, said, round(seconds))
    run.write(jenkins_page.FILE, text.encode())
    run.write(f"report/{junit.FILE}", junit.xml(document.read(run)[0]).encode())
    if plan is not None:
        run.write(jenkins_page.PLAN_FILE, plan_text.text(plan).encode() + b"\n")
    return text
