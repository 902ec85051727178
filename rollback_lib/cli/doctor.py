"""rollback doctor."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("doctor", help="Whether everything that a rollback needs is there: 0 or 1. Changes nothing.")
@takes("doctor")
def command(values: dict[str, Any]) -> int:
    from rollback_lib import session as sessions
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.errors import EXIT_DONE, EXIT_NO, RollbackError
    from rollback_lib.core.readouts import prerequisites
    from rollback_lib.operations import doctor

    place = invocation.place(values)
    try:
        sessions.settled(place)
    except RollbackError as error:  # what is wrong with the settings is a finding and not the end
        with sessions.without_settings(place) as (git, acts):
            checks = doctor.without_settings(error, git, acts)
    else:
        with invocation.session(values, writes=False, quiet=True, stoppable=False) as (session, _):
            checks = doctor.examine(session)
    ready = prerequisites.all_there(checks)
    if values.get("output") == "json":
        json_out({"ready": ready, "checks": checks})
    else:
        out(prerequisites.text(checks))
    return EXIT_DONE if ready else EXIT_NO
