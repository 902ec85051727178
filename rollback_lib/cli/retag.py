"""rollback retag."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command(
    "retag",
    help="Point the environment's mutable tags at what runs now, or at the images of --to. A registry write: asks "
    "first. Nothing is pulled, and the cluster is not changed.",
)
@takes("retag")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import Console, json_out, out
    from rollback_lib.core.errors import EXIT_DONE
    from rollback_lib.core.plan import retag
    from rollback_lib.core.run.journal import ending
    from rollback_lib.core.wording import wrapped
    from rollback_lib.operations import retag as operation

    as_json = values.get("output") == "json"
    with invocation.session(values, writes=not values.get("dry_run"), quiet=True) as (session, _):
        request = invocation.new_request(session, {**values, "to": values.get("to") or "what-runs"})
        moves = operation.look(session, str(values.get("to") or ""), request.services)
        if not as_json:
            out(retag.text(moves))
        looked = request.dry_run or not moves.tags
        ended, place = ending(()), ""
        if not looked:
            operation.approved(request, moves, session.ports)
            run = session.runs.aside(request)
            ended, place = operation.move(run, session.ports, moves), run.place
    if as_json:
        json_out({"exit_code": ended.code, "error": ended.error, "plan": moves, "moved": ended.moved_tags,
                  "run_dir": place})  # fmt: skip
        return ended.code
    if ended.code != EXIT_DONE:
        console = Console()  # what went wrong is told, although its progress was not
        for line in ended.error.splitlines():
            console.say("\n".join(wrapped(line, "  ✗ ")))
    out(retag.ended(moves, ended, looked=looked))
    return ended.code
