"""rollback status."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("status", help="What runs now, per service, and how the last run ended. Changes nothing.")
@takes("status")
def command(values: dict[str, Any]) -> int:
    from pathlib import Path

    from rollback_lib import wiring
    from rollback_lib.cli import entering
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core import state_text
    from rollback_lib.core.run import Request
    from rollback_lib.operations import doctor, status

    with entering.looking(values, to=doctor.NEWEST) as (run, ports, _):
        last = wiring.latest_run(Path(run.get(Request).repository))
        state = status.look(run, ports, last)
    if values.get("output") == "json":
        json_out(state)
    else:
        out(state_text.text(state))
    return 0
