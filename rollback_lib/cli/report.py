"""rollback report."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command(
    "report",
    help="The incident record of a run, made again from its run directory: the one of --run-dir, else the newest. "
    "report.html wants report.css beside it, which lies in the run's report folder.",
)
@takes("report")
def command(values: dict[str, Any]) -> int:
    from rollback_lib import session as sessions
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import out
    from rollback_lib.operations import report

    form = "json" if values.get("output") == "json" else str(values.get("format") or "md")
    run = sessions.kept_run(invocation.place(values), str(values.get("run_dir") or ""))
    out(report.render(run, form, str(values.get("language") or "")))
    return 0
