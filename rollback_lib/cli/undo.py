"""rollback undo RUN."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("undo", help="Back to the state before RUN: a plan of its own, with the same checks and approval.")
@click.argument("run_id", metavar="RUN")
@takes("undo")
def command(values: dict[str, Any], run_id: str) -> int:
    from rollback_lib.cli import ended, entering
    from rollback_lib.operations import undo

    with entering.undoing(values, run_id) as (run, of, ports, console):
        return ended.show(undo.undo(run, of, ports), run, console, values, plan=bool(values.get("dry_run")))
