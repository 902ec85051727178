"""rollback run."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("run", help="Roll back: plan, approve, apply, verify, write it down. Asks before the first write.")
@takes("run")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.operations import run as operation

    with invocation.session(values, writes=not values.get("dry_run")) as (session, console):
        run = invocation.new_run(session, values)
        outcome = operation.execute(run, session.ports)
        return ending.show(outcome, run, console, values, plan=bool(values.get("dry_run")))
