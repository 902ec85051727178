"""Points mutable tags at the restored images, where that was asked for; only once they have proven themselves.

The end of `reopen`, and all that `rollback retag` does. A rollback that stands is not undone by a tag that does not
move: each tag is tried, and what did not work is said.
"""

from __future__ import annotations

from rollback_lib.core.errors import FailedError, RefusedError, StaleError
from rollback_lib.core.plan import retag
from rollback_lib.core.plan.model import Plan, PlannedTag
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.core.run.records import Approval, Verification
from rollback_lib.ports import Ports, RunStore, Writer

ID = "retag"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    moves = run.find(TagMoves)  # `rollback retag`: the tags are all there is to do
    tags = moves.tags if moves else _of_plan(run)
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
    if moved_on and moves:
        raise StaleError("\n".join(moved_on))
    for said in moved_on:  # the tag names the failed image no more: what it was to be moved for is over
        ports.progress.say(f"  {said}")


def _of_plan(run: RunStore) -> tuple[PlannedTag, ...]:
    plan = run.get(Plan)
    if plan.retag and run.get(Approval).hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if plan.retag and not run.get(Verification).healthy:
        raise RefusedError("no tag is moved to images that have not proven themselves: `rollback stage verify` first.")
    return plan.retag
