"""Writes what the page of a Jenkins build shows of its run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from rollback_lib.collectors import run_record
from rollback_lib.core.errors import RollbackError, UsageError
from rollback_lib.core.jenkins import page, upstream
from rollback_lib.core.jenkins.page import Moment
from rollback_lib.core.jenkins.upstream import Upstream
from rollback_lib.core.plan import text as plan_text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.report import junit
from rollback_lib.core.report.closing import closing
from rollback_lib.core.run.records import Request, Verification
from rollback_lib.core.settings.local_time import zone
from rollback_lib.core.settings.parameters import OF_JENKINS
from rollback_lib.ports import RunStore


def write(
    run: RunStore, now: datetime, moment: Moment = "ended", wait: timedelta = timedelta(), approvers: str = "",
    *, resumes: bool = False,
) -> str:  # fmt: skip
    """The facts, also written into the run directory, with the plan as people read it and a test report.

    ``moment``: where the build stands. ``wait``: how long a question waits, for ``approvers`` or anybody. ``resumes``:
    the build goes on with a run that stopped.
    """
    request, plan, verification = run.get(Request), run.find(Plan), run.find(Verification)
    how = run_record.stands(run)
    seconds = (now - datetime.fromisoformat(request.started)).total_seconds()
    said = closing(request.settings.language, how, plan, verification, seconds)
    local = now.astimezone(zone(request.target_environment.timezone))
    text = page.text(
        request, plan, how, verification, said, max(round(seconds), 0), moment, now=local, wait=wait,
        approvers=approvers, deploy_url=_deploy_url(run), resumes=resumes,
    )  # fmt: skip
    run.write(page.FILE, text.encode())
    run.write(f"report/{junit.FILE}", junit.xml(run_record.read(run)[0]).encode())
    if plan is not None:
        run.write(page.PLAN_FILE, plan_text.text(plan).encode() + b"\n")
    return text


def of_no_run(error: RollbackError, asked: Mapping[str, str], language: str) -> dict[str, bytes]:
    """The files of a page for a request that could not become a run: why, and what was asked for."""
    theirs = {p.option: p.jenkins for p in OF_JENKINS}
    problems = (
        [str(msgspec.structs.replace(p, key=theirs.get(p.key, p.key))) for p in error.problems]
        if isinstance(error, UsageError)
        else str(error).splitlines()
    )
    shown, kept = page.of_no_run(error.exit_code, problems, asked, language, wrong=isinstance(error, UsageError))
    return {page.FILE: shown.encode(), page.WRONG_FILE: kept.encode()}


def _deploy_url(run: RunStore) -> str:
    """The address of the deploy that asked for this, as Jenkins gave it."""
    with contextlib.suppress(RollbackError, OSError, msgspec.MsgspecError):
        if upstream.FILE in run.files():
            return msgspec.json.decode(run.read(upstream.FILE), type=Upstream).url
    return ""
