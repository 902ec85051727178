"""rollback plan."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("plan", help="Show what a rollback would do, with its diff. Changes nothing, tells nobody.")
@takes("plan")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.operations import run as operation

    with invocation.session(values, writes=False) as (session, console):
        run = invocation.new_run(session, values, dry_run=True)
        return ending.show(operation.plan(run, session.ports), run, console, values, plan=True)
