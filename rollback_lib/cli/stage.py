"""rollback stage ID."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("stage", help="Run one stage of the run in --run-dir (default .rollback/current).")
@click.argument("stage", metavar="ID")
@takes("stage")
def command(values: dict[str, Any], stage: str) -> int:
    import os

    from rollback_lib.cli import ending, invocation
    from rollback_lib.core.errors import RollbackError, UsageError
    from rollback_lib.core.settings import action, parameters
    from rollback_lib.operations import acting, jenkins_page
    from rollback_lib.operations import run as operation

    if stage not in operation.STAGES:
        raise UsageError(f"there is no stage {stage!r}; the stages are {', '.join(operation.STAGES)}")
    asked = acting.Asked(
        action=action.asked(values),
        of_run=str(values.get("of_run") or ""),
        accept=tuple(values.get("accept") or ()),
        dry_run=bool(values.get("dry_run")),
    )
    with invocation.session(values, writes=True) as (session, console):
        place = str(values.get("run_dir") or invocation.CURRENT_RUN)
        try:
            new = invocation.new_request(session, values)
            outcome, run = acting.stage(session, asked, new, place, stage)
        except RollbackError as error:
            if session.runs.at(place) is None and os.environ.get(parameters.FROM) == "jenkins":
                said = jenkins_page.of_no_run(error, parameters.asked(os.environ), session.settings.language)
                session.runs.restored("", said, place)
            raise
        return ending.show(outcome, run, console, values, plan=stage == "preflight", stage=stage)
