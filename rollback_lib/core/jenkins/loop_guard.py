"""Whether an automatic rollback may go ahead: it must not undo itself, repeat itself, or go on failing. Pure.

The rules (issue "Jenkins", loop guard): depth one; a request never twice; at most so many in a time; after one that
failed only a person; never to a release that an automatic rollback left. None of them can be accepted by a parameter:
a person starts the job without UPSTREAM_JOB instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.run.journal import Ending

KEPT: Final = 50  # attempts: the oldest are forgotten
BY_HAND: Final = "A person can start the job without UPSTREAM_JOB."
Outcome = Literal["begun", "done", "nothing", "failed", "cleared"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One automatic rollback. ``left`` is the release that it went away from; ``outcome`` begun: nobody said more."""

    request_id: str
    run: str
    at: str
    job: str
    build: int
    left: str
    target: str
    outcome: Outcome = "begun"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All attempts that are remembered, oldest first."""

    attempts: tuple[Attempt, ...] = ()


def refusals(
    history: Sequence[Attempt], asked: Attempt, *, upstream_is_rollback: bool, limit: int, window: float
) -> tuple[Refusal, ...]:
    """Every reason against it. ``window`` is in seconds; ``asked`` is the attempt that it would become."""
    return tuple(Refusal(text, fix=BY_HAND) for text in _reasons(history, asked, upstream_is_rollback, limit, window))


def _reasons(
    history: Sequence[Attempt], asked: Attempt, upstream_is_rollback: bool, limit: int, window: float
) -> Iterator[str]:
    if upstream_is_rollback:
        yield f"{asked.job} {asked.build} was itself a rollback, or started by one."
    same = [a for a in history if a.request_id == asked.request_id or (a.job, a.build) == (asked.job, asked.build)]
    if same:
        yield f"this was asked for already, as request {same[0].request_id} at {same[0].at} (run {same[0].run})."
    since = datetime.fromisoformat(asked.at) - timedelta(seconds=window)
    recent = [a for a in history if datetime.fromisoformat(a.at) > since and a.outcome != "cleared"]
    if len(recent) >= limit:
        yield f"there were {len(recent)} automatic rollbacks since {since.isoformat(timespec='minutes')}, of {limit}."
    open_ends = [a for a in history if a.outcome in ("failed", "begun") and a not in same]
    if open_ends:
        last = open_ends[-1]
        how = "failed" if last.outcome == "failed" else "never said how it ended"
        yield f"the automatic rollback {last.run} to {last.target} {how}, so the next one is a person's."
    left = [a for a in history if a.left == asked.target]
    if left:
        yield f"{asked.target} is the release that the automatic rollback {left[-1].run} went away from."


def with_attempt(history: History, asked: Attempt) -> History:
    return History(attempts=(*history.attempts, asked)[-KEPT:])


def settled(history: History, run: str, ending: Ending, *, automatic: bool) -> History:
    """After a run: how an automatic one ended; a person's that brought a release back clears what stands open."""
    if automatic:
        outcome: Outcome = "done" if ending.code == 0 else "failed" if ending.changed or ending.unclear else "nothing"
        return History(
            attempts=tuple(msgspec.structs.replace(a, outcome=outcome) if a.run == run else a for a in history.attempts)
        )
    if ending.code != 0 or not ending.changed:
        return history
    return History(
        attempts=tuple(
            msgspec.structs.replace(a, outcome="cleared") if a.outcome in ("failed", "begun") else a
            for a in history.attempts
        )
    )
