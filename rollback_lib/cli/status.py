"""rollback status."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("status", help="What runs now: release, health, images; and the last run. Changes nothing.")
@takes("status")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.readouts import status as core_status
    from rollback_lib.operations import status

    with invocation.session(values, writes=False, quiet=True, stoppable=False) as (session, _):
        found = status.look(session)
    if values.get("output") == "json":
        json_out(found)
    else:
        out(core_status.text(found))
    return 0
