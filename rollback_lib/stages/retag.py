"""Moves the tags that `rollback retag` was asked for. A stage, so that it has a journal; no part of a rollback.

It stands in `pipeline.loop.APART`, beside the order, and is entered by name alone: by `operations.retag`, which finds
what to move, or as `rollback stage retag`. A rollback that moves tags does so at the end of `reopen`. `core.plan.retag`
says which tags these are, for both, and `writes.tags` moves them.
"""

from __future__ import annotations

from rollback_lib.core.errors import StaleError
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.writes import tags

ID = "retag"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    if moves := run.find(TagMoves):
        if moved_on := tags.move(moves.tags, write):
            raise StaleError("\n".join(moved_on))
    else:  # entered by name in a run: those of its plan
        tags.move_planned(run, ports, write)
