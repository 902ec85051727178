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
    from rollback_lib.operations import running

    with invocation.session(values, writes=False) as (session, console):
        release, why = (str(values["to"]), "") if values.get("to") else running.named(session)
        run = invocation.new_run(session, {**values, "to": release}, dry_run=True)
        found = operation.not_known(run, session.ports, why) if why else operation.verify(run, session.ports)
        return ending.show(found, run, console, values, plan=False)
