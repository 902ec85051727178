"""rollback resume."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("resume", help="Finish a run that died or failed; without RUN the one that holds the lock.")
@click.argument("run_id", metavar="[RUN]", required=False, default="")
@takes("resume")
def command(values: dict[str, Any], run_id: str) -> int:
    from rollback_lib.cli import ended, entering
    from rollback_lib.cli.console import out
    from rollback_lib.operations import resume

    with entering.resuming(values, run_id) as (run, ports, console):
        if run is None:
            out("Nothing to resume: no run is unfinished.")
            return 0
        own = entering.is_own(values, run)
        return ended.show(resume.resume(run, ports, own=own), run, console, values, plan=False)
