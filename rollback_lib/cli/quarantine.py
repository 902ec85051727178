"""rollback quarantine."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("quarantine", help="Keep RELEASE from coming back by itself; --lift frees it (also by a run's id).")
@click.argument("release", metavar="RELEASE")
@takes("quarantine")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.operations import quarantine

    with invocation.session(values, writes=True, quiet=True, stoppable=False) as (session, _):
        asked = quarantine.Options(
            session.settings, session.environment, values["release"], str(values.get("reason") or ""),
            bool(values.get("lift")),
        )  # fmt: skip
        done = quarantine.mark(asked, session.ports)
    if values.get("output") == "json":
        json_out(done)
    else:
        out(done.text)
    return 0
