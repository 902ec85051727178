"""rollback verify."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("verify", help="Whether the release runs, whole and healthy: 0 or 1. Changes nothing.")
@takes("verify")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.operations import run as operation

    with invocation.session(values, writes=False) as (session, console):
        run = invocation.new_run(session, values, dry_run=True)
        return ending.show(operation.verify(run, session.ports), run, console, values, plan=False)
