"""rollback init."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollback_lib.cli.options import takes


@click.command("init", help="Write rollback.yaml from what the repository shows. Never overwrites one.")
@click.option("--print", "only_print", is_flag=True, help="Print the file, and write nothing.")
@takes("init")
def command(values: dict[str, Any], only_print: bool) -> int:
    from rollback_lib import wiring
    from rollback_lib.cli.console import json_out, out
    from rollback_lib.core.errors import Problem, RefusedError, UsageError
    from rollback_lib.core.readouts import init as proposal
    from rollback_lib.operations import init

    start = wiring.current_folder()
    named = values.get("config")
    there = Path(str(named)) if named and Path(str(named)).exists() else None
    there = there or (None if named else wiring.find_config(None, start))
    if there is not None and not only_print:
        fix = "see what init would write with `rollback init --print`, or move the file away first"
        raise UsageError(Problem("exists already and is never overwritten", file=str(there), fix=fix))
    git = wiring.repository(start)
    try:
        where = git.identity()
        found = init.look(git, Path(where.root).name.removesuffix(".git"))
    finally:
        git.close()
    file = Path(str(named)) if named else Path(where.root) / wiring.CONFIG
    if not only_print:
        if where.bare and not named:
            raise RefusedError(
                f"{where.root} is a bare repository, which has no place for a file. Use `rollback init --print`, "
                f"and commit the file in a clone."
            )
        wiring.write_new(file, found.text)
    if values.get("output") == "json":
        json_out({"file": str(file), "written": not only_print, "proposal": found})
    elif only_print:
        out(found.text)
    else:
        out(f"Wrote {file}:\n{proposal.summary(found)}")
        out("\nRead it once, every guess says why, and commit it. Then run `rollback doctor`.")
    return 0
