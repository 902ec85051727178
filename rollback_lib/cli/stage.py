"""rollback stage ID."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("stage", help="Run one stage of the run in --run-dir (default .rollback/current).")
@click.argument("stage", metavar="ID")
@takes("stage")
def command(values: dict[str, Any], stage: str) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.core.errors import UsageError
    from rollback_lib.operations import run as operation

    if stage not in operation.STAGES:
        raise UsageError(f"there is no stage {stage!r}; the stages are {', '.join(operation.STAGES)}")
    with invocation.session(values, writes=True) as (session, console):
        run = invocation.new_run(session, values, place=invocation.CURRENT_RUN)
        outcome = operation.one(run, session.ports, stage)
        return ending.show(outcome, run, console, values, plan=stage == "preflight", stage=stage)
