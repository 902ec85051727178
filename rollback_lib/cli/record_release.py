"""rollback record-release."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("record-release", help="After a good deploy: prove it healthy and keep what runs. 0, or 1 where sick.")
@takes("record-release")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.errors import EXIT_DONE, EXIT_NO
    from rollback_lib.core.releases import recording
    from rollback_lib.operations import record_release

    with invocation.session(values, writes=True, stoppable=False) as (session, _):
        asked = record_release.Options(
            session.settings, session.environment, str(values.get("release") or ""), bool(values.get("pin")),
            bool(values.get("from_live")), str(values.get("keep_tag") or ""),
        )  # fmt: skip
        result = record_release.record(asked, session.ports)
    if values.get("output") == "json":
        json_out(result)
    else:
        out(recording.text(result))
    return EXIT_NO if result.untagged else EXIT_DONE
