"""Showing how a run ended."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rollback_lib.cli.console import Console, closing, json_out, out
from rollback_lib.core.errors import EXIT_DONE
from rollback_lib.core.plan import text
from rollback_lib.core.redact import redact
from rollback_lib.core.report.last_line import ways_on
from rollback_lib.core.wording import wrapped
from rollback_lib.operations.run import STAGES, Outcome
from rollback_lib.ports import RunStore

_LAST: Final = STAGES[-1]


def show(
    outcome: Outcome, run: RunStore, console: Console, values: Mapping[str, Any], *, plan: bool, stage: str = ""
) -> int:
    """Print the end; the exit code. With ``--output json`` one document, else text with the last line last.

    ``stage``: where only that one was run, as a build does twelve times: how the run stands is said where it ends, and
    an error where it happened.
    """
    ending = outcome.ending
    if values.get("output") == "json":
        json_out(
            {
                "exit_code": ending.code, "traffic": ending.traffic,
                "closed_by": ending.closed_by, "locked_by": ending.locked_by, "changed": ending.changed,
                "unclear": ending.unclear, "failed_in": ending.stage, "error": ending.error,
                "message": outcome.text, "run_dir": run.place, "next": ways_on(ending, outcome.plan),
                "plan": outcome.plan, "verification": outcome.verification,
            }
        )  # fmt: skip
        return ending.code
    if plan and outcome.plan is not None:
        out(text.text(outcome.plan))
    if stage and stage != _LAST and ending.code == EXIT_DONE:
        return ending.code
    if stage == _LAST:
        closing(outcome.text)
        return ending.code
    if ending.code != EXIT_DONE and ending.error and not (outcome.plan and outcome.plan.refusals and plan):
        for line in redact(ending.error).splitlines():
            console.say("\n".join(wrapped(line, "  ✗ ")))
    for w in outcome.verification.workloads if outcome.verification and ending.code != EXIT_DONE else ():
        for line in w.logs[-6:]:
            console.say(f"    {line}")
    console.say(f"Run directory: {_near(run.place)}")
    closing(outcome.text)
    return ending.code


def _near(place: str) -> str:
    """A path as it is typed from here."""
    with contextlib.suppress(ValueError):
        return str(Path(place).relative_to(Path.cwd()))
    return place
