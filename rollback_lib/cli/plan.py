"""rollback plan."""

from __future__ import annotations

import sys
from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("plan", help="Show what a rollback would do, with its diff. Changes nothing, tells nobody.")
@takes("plan")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.core.errors import Problem, UsageError
    from rollback_lib.operations import run as operation

    if values.get("show_values") and (values.get("output") == "json" or not sys.stdout.isatty()):
        raise UsageError(
            Problem("shows secrets, and this is no terminal", key="--show-values", fix="leave it out here")
        )
    with invocation.session(values, writes=False) as (session, console):
        run = invocation.new_run(session, values, dry_run=True)
        outcome = operation.plan(run, session.ports)
        if values.get("show_values") and outcome.plan is not None:
            outcome = outcome._replace(plan=operation.with_values(outcome.plan, session.ports))
        return ending.show(outcome, run, console, values, plan=True)
