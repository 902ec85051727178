"""rollback doctor."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("doctor", help="Whether everything is there that a rollback needs: 0 or 1. Changes nothing.")
@takes("doctor")
def command(values: dict[str, Any]) -> int:
    from rollback_lib.cli import entering
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core import examination
    from rollback_lib.core.errors import RollbackError
    from rollback_lib.core.examination import Finding
    from rollback_lib.operations import doctor

    findings: list[Finding] = []
    try:
        with entering.looking(values, to=doctor.NEWEST) as (run, ports, _):
            findings = list(doctor.examine(run, ports))
    except RollbackError as error:
        findings.append(Finding("fail", "settings", " ".join(str(error).split()), "Mend this first; then ask again."))
    bad = any(f.state == "fail" for f in findings)
    if values.get("output") == "json":
        json_out({"exit_code": int(bad), "findings": findings})
    else:
        out(examination.text(findings))
        out("Something is missing: a rollback would not go through." if bad else "A rollback can go through.")
    return int(bad)
