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

    with entering.entered(values) as (run, ports, console):
        return ended.show(operation.execute(run, ports), run, console, values, plan=bool(values.get("dry_run")))
