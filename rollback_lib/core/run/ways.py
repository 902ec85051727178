"""How the last run or deploy was left, and what each command makes of it: one table. Pure.

Whoever names a way on (the last line, `status`, a refusal) takes it from `ways`, which goes by the table; tests bring
each state about and hold every cell to what the command does (tests/cli/test_endings.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Held

Way = tuple[str, ...]  # a command and its arguments, without the program


class Left(enum.StrEnum):
    """What the next command finds. Whether a process still works on a run, `resume` sees by itself: a process shows
    life by what changes, and no look at a clock tells."""

    FREE = "free"  # the run has ended, well or before it changed anything
    DEAD = "dead"  # it has the lock, and stopped before its end
    SHUT = "shut"  # the same, behind closed doors
    UNDOING = "undoing"  # it is an undo, has the lock, and stopped before its end
    LOST = "lost"  # it has the lock, and neither its directory nor its copy is left
    DEPLOYING = "deploying"  # a deploy has the lock
    FOREIGN = "foreign"  # another program has the lock
    UNTOUCHED = "untouched"  # nobody has the lock; it had changed nothing, and its copy is there
    ABANDONED = "abandoned"  # its lock was taken away after it had changed something
    CLOSED = "closed"  # the same, and what it had closed is closed still
    UNDONE = "undone"  # another run has gone back to the state before it
    SUPERSEDED = "superseded"  # its lock was taken away, and another run came after it
    UNKNOWN = "unknown"  # it is approved and has not begun, and somebody brought it here


class Does(enum.StrEnum):
    """What a command does then."""

    GOES = "goes"  # 0: it does what it is for
    NOTHING = "nothing"  # 0: there is nothing for it to do, and it says so
    WRONG = "wrong"  # 2: the request cannot be meant
    REFUSES = "refuses"  # 3: nothing is changed, and what to do instead is named
    LOCKED = "locked"  # 6: it names the holder, and the ways on


RUN: Final = "run"  # a new one
AGAIN: Final = "again"  # `run --run-dir` of the one that was left
RESUME: Final = "resume"
UNDO: Final = "undo"
REOPEN: Final = "reopen"
UNLOCK: Final = "unlock"  # with --force
GUARD: Final = "guard"
STATUS: Final = "status"
COMMANDS: Final = (RUN, AGAIN, RESUME, UNDO, REOPEN, UNLOCK, GUARD, STATUS)


def _row(run: Does, again: Does, resume: Does, undo: Does, reopen: Does, unlock: Does, guard: Does) -> dict[str, Does]:
    return dict(zip(COMMANDS, (run, again, resume, undo, reopen, unlock, guard, Does.GOES), strict=True))


_G, _N, _W, _R, _L = Does.GOES, Does.NOTHING, Does.WRONG, Does.REFUSES, Does.LOCKED
TABLE: Final[Mapping[Left, Mapping[str, Does]]] = {
    #                     run again resume undo reopen unlock guard
    Left.FREE: _row(_N, _W, _N, _G, _N, _N, _G),
    Left.DEAD: _row(_L, _G, _G, _G, _N, _G, _L),
    Left.SHUT: _row(_L, _G, _G, _G, _G, _G, _L),
    Left.UNDOING: _row(_L, _W, _G, _G, _N, _G, _L),
    Left.LOST: _row(_L, _L, _R, _R, _N, _G, _L),
    Left.DEPLOYING: _row(_L, _R, _R, _L, _N, _G, _L),
    Left.FOREIGN: _row(_L, _R, _R, _L, _N, _G, _L),
    Left.UNTOUCHED: _row(_G, _G, _G, _N, _N, _N, _G),
    Left.ABANDONED: _row(_G, _R, _R, _G, _N, _N, _G),
    Left.CLOSED: _row(_R, _R, _R, _G, _G, _N, _G),
    Left.UNDONE: _row(_G, _R, _R, _N, _N, _N, _G),
    Left.SUPERSEDED: _row(_N, _R, _R, _G, _N, _N, _G),
    Left.UNKNOWN: _row(_G, _W, _R, _R, _N, _N, _G),
}
# In the order in which they are named: what ends the run, what lets people in, a new one, what goes back; force last.
_NAMED: Final = (RESUME, REOPEN, RUN, UNDO, UNLOCK)


def ways(left: Left, run: str = "", environment: str = "") -> tuple[Way, ...]:
    """The commands that lead on, the first one first; none where there is nothing to end. ``run``: what was left, or
    the release of the deploy that has the lock."""
    if left in (Left.FREE, Left.SUPERSEDED):  # the run that came after it has done what was to be done
        return ()
    at = ("-e", environment) if environment else ()
    named = [c for c in _NAMED if TABLE[left][c] is Does.GOES and (run or c not in (RESUME, UNDO))]
    if left is Left.UNDOING:
        named = [c for c in named if c != UNDO]  # one goes on with it, or anew
    arguments = {RESUME: (run,), UNDO: (run,), UNLOCK: ("--force",)}
    found = tuple((c, *filter(None, arguments.get(c, ())), *at) for c in named)
    return (("guard", "--release", run, "--done", *at), *found) if left is Left.DEPLOYING else found


def of_lock(held: Held | None, *, kept: bool = True, closed: bool = False) -> Left:
    """What a look at the lock says. ``kept``: its run's directory or copy is there. ``closed``: traffic is."""
    if held is None:
        return Left.CLOSED if closed else Left.FREE
    if held.claim is None:
        return Left.FOREIGN
    if held.claim.kind == lock.DEPLOY:
        return Left.DEPLOYING
    if not kept:
        return Left.LOST
    return Left.UNDOING if held.claim.undoes else Left.SHUT if closed else Left.DEAD


def holder(held: Held | None) -> str:
    """The run, or the release of the deploy, that has the lock; empty where that is nobody of ours."""
    return held.claim.holder if held is not None and held.claim is not None else ""


_SAID: Final = {
    RESUME: "goes on", REOPEN: "opens traffic", RUN: "begins anew", UNDO: "goes back", UNLOCK: "takes the lock away",
    GUARD: "frees it",
}  # fmt: skip


def text(found: tuple[Way, ...]) -> str:
    """The ways in words; empty where there is none."""
    return ", ".join(f"`rollback {' '.join(way)}` {_SAID[way[0]]}" for way in found)
