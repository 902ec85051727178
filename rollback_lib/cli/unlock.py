"""rollback unlock."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("unlock", help="Take the lock away with --force; without it, say who holds it (6).")
@takes("unlock")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.operations import unlock

    with invocation.session(values, writes=bool(values.get("force")), quiet=True, stoppable=False) as (session, _):
        scratch = session.runs.trial(invocation.new_request(session, {}))
        said = unlock.unlock(
            session.settings.application, session.ports, force=bool(values.get("force")), yes=bool(values.get("yes")),
            holder=str(values.get("holder") or ""), scratch=scratch,
        )  # fmt: skip
    if values.get("output") == "json":
        json_out({"message": said})
    else:
        out(said)
    return 0
