"""rollback reopen."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command(
    "reopen", help="Open what a run has closed, from the cluster's own record: needs no repository and no settings."
)
@takes("reopen")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.errors import RollbackError
    from rollback_lib.core.redact import redact
    from rollback_lib.operations import reopen

    try:
        with invocation.bare_session(values) as (session, _):
            found = reopen.reopen(session, yes=bool(values.get("yes")))
    except RollbackError as error:  # never "traffic is open": what is closed is so still
        out(f"{redact(str(error))}\nNothing was opened; traffic is as it was.")
        return error.exit_code
    if values.get("output") == "json":
        json_out({"exit_code": found.code, "traffic": found.traffic, "message": reopen.text(found), **_plain(found)})
    else:
        out(reopen.text(found))
    return found.code


def _plain(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__struct_fields__}
