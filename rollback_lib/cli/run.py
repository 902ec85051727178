"""rollback run."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("run", help="Roll back: plan, approve, apply, verify, write it down. Asks before the first write.")
@takes("run")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import ended, entering
    from rollback_lib.operations import run as operation

    with entering.session(values, writes=not values.get("dry_run")) as (session, console):
        run = entering.new_run(session, values)
        outcome = operation.execute(run, session.ports)
        return ended.show(outcome, run, console, values, plan=bool(values.get("dry_run")))
