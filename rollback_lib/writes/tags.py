"""Mutable tags, moved to the restored images, where that was asked for; only once they have proven themselves.

A rollback that stands is not undone by a tag that does not move: each tag is tried, and what did not work is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollback_lib.core.errors import FailedError, RefusedError, StaleError
from rollback_lib.core.plan import retag
from rollback_lib.core.plan.model import Plan, PlannedTag
from rollback_lib.core.run.records import Approval, Verification
from rollback_lib.ports import Ports, RunStore, Writer


def move_planned(run: RunStore, ports: Ports, write: Writer) -> None:
    """Those of the run's plan. Raises RefusedError where the release did not prove itself."""
    # such a tag names the failed image no more: what it was to be moved for is over
    for said in move(_of_plan(run), write):
        ports.progress.say(f"  {said}")


def move(tags: Iterable[PlannedTag], write: Writer) -> list[str]:
    """Move each; what is said of those that somebody moved since. Raises FailedError or RefusedError for the others."""
    moved_on: list[str] = []
    refused: list[str] = []
    failed: list[str] = []
    for tag in tags:
        try:
            write.do(retag.change(tag))
        except StaleError as error:
            moved_on.append(str(error))
        except RefusedError as error:
            refused.append(str(error))
        except FailedError as error:
            failed.append(str(error))
    if failed:
        raise FailedError("\n".join([*failed, *refused, *moved_on]))
    if refused:
        raise RefusedError(*refused, *moved_on)
    return moved_on


def _of_plan(run: RunStore) -> tuple[PlannedTag, ...]:
    plan = run.get(Plan)
    if plan.retag and run.get(Approval).hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if plan.retag and not run.get(Verification).healthy:
        raise RefusedError("no tag is moved to images that have not proven themselves: `rollback stage verify` first.")
    return plan.retag
