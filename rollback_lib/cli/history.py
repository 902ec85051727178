"""rollback history."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("history", help="The releases: which ran well, and what going back to each means. Changes nothing.")
@takes("history")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.readouts import history as core_history
    from rollback_lib.operations import history

    past = bool(values.get("runs"))
    with invocation.session(values, writes=False, quiet=True, stoppable=False) as (session, _):
        found = history.past_runs(session) if past else history.look(session)
    if values.get("output") == "json":
        json_out(found.runs if past else found)
    else:
        out(core_history.text(found, runs=past))
    return 0
