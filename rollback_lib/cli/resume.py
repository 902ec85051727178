"""rollback resume."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("resume", help="Finish a run that died or failed; without RUN the one that holds the lock.")
@click.argument("run_id", metavar="[RUN]", required=False, default="")
@takes("resume")
def command(values: dict[str, Any], run_id: str) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.cli.console import out
    from rollback_lib.operations import resume

    place = str(values.get("run_dir") or "")
    with invocation.session(values, writes=True, of_run=place or run_id) as (session, console):
        run = resume.find(session, run_id, place)
        if run is None:
            out("Nothing to resume: no run is unfinished.")
            return 0
        accepted = [str(code) for code in values.get("accept") or ()]
        resume.answered(run, yes=bool(values.get("yes")), take_over=bool(values.get("take_over")), accept=accepted)
        own, of = session.runs.is_own(run), resume.undone_by(session, run)
        return ending.show(resume.resume(run, session.ports, own=own, of=of), run, console, values, plan=False)
