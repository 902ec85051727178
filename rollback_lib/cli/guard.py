"""rollback guard."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("guard", help="Whether a deploy may go on: 0 go, 6 locked, 3 quarantined or not session.")
@takes("guard")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.errors import UsageError
    from rollback_lib.core.settings.model import seconds
    from rollback_lib.operations import guard

    release = values.get("release")
    if not release:
        raise UsageError("guard needs the release that is deployed: --release v1.2.0")
    writes = bool(values.get("hold") or values.get("done"))
    with invocation.session(values, writes=writes, quiet=True, stoppable=False) as (session, _):
        application, ports = session.settings.application, session.ports
        if values.get("done"):
            said = guard.done(application, ports, release)
        else:
            asked = guard.Options(
                session.settings, session.environment, release, session.origin,
                wait=seconds(values["wait"]) if values.get("wait") else 0.0,
                hold=seconds(session.settings.limits.hold) if values.get("hold") else 0.0,
                accept=tuple(values.get("accept") or ()),
            )  # fmt: skip
            said = guard.go(asked, ports)
    if values.get("output") == "json":
        json_out({"message": said})
    else:
        out(said)
    return 0
