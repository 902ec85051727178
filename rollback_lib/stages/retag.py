"""Moves the tags that `rollback retag` was asked for. No part of a rollback: it has no place in the order of stages.

A rollback that moves tags does so at the end of `reopen` (`writes.tags`).
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
