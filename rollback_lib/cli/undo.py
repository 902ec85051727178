"""rollback undo RUN."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("undo", help="Back to the state before RUN: a plan of its own, with the same checks and approval.")
@click.argument("run_id", metavar="RUN")
@takes("undo")
def command(values: dict[str, Any], run_id: str) -> int:
    from rollback_lib.cli import ending, invocation
    from rollback_lib.operations import run as operation
    from rollback_lib.operations import undo

    with invocation.session(values, writes=not values.get("dry_run"), of_run=run_id) as (session, console):
        of = undo.find(session, run_id)
        request = undo.request(invocation.new_request(session, values), of)
        run = session.runs.new(request, str(values.get("run_dir") or ""))
        operation.asked_again(run, request, own=session.runs.is_own(run))
        outcome = undo.undo(run, of, session.ports)
        return ending.show(outcome, run, console, values, plan=bool(values.get("dry_run")))
