"""rollback init."""

from __future__ import annotations

from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("init", help="Write rollback.yaml from what the repository shows; each guess says why.")
@click.option("--print", "only_print", is_flag=True, help="Print it, and write nothing.")
@takes("init")
def command(values: dict[str, Any], only_print: bool) -> int:
    from pathlib import Path

    from rollback_lib import wiring
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core import proposal
    from rollback_lib.core.errors import UsageError
    from rollback_lib.operations import init

    git = wiring.repository(wiring.current_folder())
    try:
        root = Path(git.identity().root)
        found = init.from_repository(git, root.name)
    finally:
        git.close()
    if values.get("output") == "json":
        json_out({"text": found.text, "releases": found.releases, "services": found.services, "open": found.open})
    if only_print:
        if values.get("output") != "json":
            out(found.text)
        return 0
    file = Path(values["config"]) if values.get("config") else root / wiring.CONFIG
    try:
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(found.text)
    except FileExistsError:
        raise UsageError(f"{file} exists already; `rollback init --print` shows what would be proposed") from None
    if values.get("output") != "json":
        out(f"Wrote {file} from what is committed:\n{proposal.summary(found)}Read it once, then: rollback doctor")
    return 0
