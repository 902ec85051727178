"""Whether a run that is entered again may go on: what its journal says, beside what the cluster says of it. Pure.

A run is finished while its claim stands and nothing came after it (design §6, "A run that dies"). Its plan and its
approval are of the moment before it died: once somebody has taken its lock away, deployed or rolled back, going on
would do to what runs now what was decided about something else.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.reasons import Reason
from rollback_lib.core.run import lock
from rollback_lib.core.run.journal import CLOSED, LOCK_RELEASED, LOCK_TAKEN, Event, Mark, ending
from rollback_lib.core.run.lock import Held
from rollback_lib.core.wording import some

CODE = "unknown-run"


class Is(enum.StrEnum):
    """How an object of the plan is now, beside how the plan found it and how it leaves it."""

    BEFORE = "before"
    AFTER = "after"
    OTHER = "other"  # neither, or as before by another rollout than the one that the plan saw


class Standing(enum.StrEnum):
    """What is right to do with the run."""

    NEW = "new"  # it has not begun to write
    HOLDS = "holds"  # it has the lock, and nothing came after it
    UNTOUCHED = "untouched"  # its lock is gone, and nothing was changed: it takes it again
    OVER = "over"  # all is as it left it; only its record is to be ended
    UNKNOWN = "unknown"  # neither the cluster nor this machine knows it: somebody brought it here
    ABANDONED = "abandoned"  # it changed things, and does not hold the lock any more
    OUTDATED = "outdated"  # somebody deployed or rolled back after it


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What was found beside the journal.

    ``copy``: its copy is in the cluster. ``own``: its directory was made on this machine, by a run. ``later``: runs
    that wrote after this one was planned. ``objects``: what the plan changes, as it is now. ``closed``: this run's
    closing of traffic stands.
    """

    held: Held | None = None
    copy: bool = False
    own: bool = True
    later: tuple[str, ...] = ()
    objects: tuple[tuple[str, Is], ...] = ()  # (the key of its change, how it is)
    closed: bool = False
    undoes: bool = False  # it undoes another run
    tags: bool = False  # registry tags are still to be moved

    def those(self, *states: Is) -> tuple[str, ...]:
        return tuple(key for key, state in self.objects if state in states)


def standing(run: str, events: Sequence[Event], seen: Circumstances, *, approved: bool = False) -> Standing:
    """Where the run stands. ``approved``: somebody has said yes to it, so that it would go on without a question."""
    has, touched = _lock_by(events), ending(events).touched
    if has is _Lock.UNDONE:
        return Standing.ABANDONED
    if has is _Lock.GIVING_BACK or (has is _Lock.GIVEN_BACK and touched):
        return Standing.OUTDATED if seen.tags and (seen.later or seen.those(Is.OTHER)) else Standing.OVER
    if seen.held is not None and seen.held.is_of(lock.RUN, run):
        done = {e.key for e in events if e.mark is Mark.DONE}
        passed = any(key in done for key in seen.those(Is.BEFORE))
        return Standing.OUTDATED if passed or seen.those(Is.OTHER) else Standing.HOLDS
    begun = has in (_Lock.ANNOUNCED, _Lock.TAKEN)
    changed = touched or (begun and bool(seen.those(Is.AFTER)))
    if seen.later or (seen.those(Is.OTHER) and (approved or begun) and not changed):
        return Standing.OUTDATED
    if not begun:
        return Standing.UNKNOWN if approved and not (seen.own or seen.copy) else Standing.NEW
    if not changed:
        is_known = seen.copy or (seen.own and has is _Lock.ANNOUNCED)
        return Standing.UNTOUCHED if is_known else Standing.UNKNOWN
    if seen.held is None and not seen.closed and not seen.those(Is.BEFORE, Is.OTHER):
        return Standing.OVER  # it died between giving the lock back and taking its copy away
    return Standing.ABANDONED


class _Lock(enum.Enum):
    """What the journal says of the run's lock."""

    NONE = enum.auto()
    ANNOUNCED = enum.auto()
    TAKEN = enum.auto()
    GIVING_BACK = enum.auto()
    GIVEN_BACK = enum.auto()
    UNDONE = enum.auto()  # another run has ended this one, and says so in its journal


def has_begun(events: Sequence[Event]) -> bool:
    """Whether by its journal the run has the lock, may have it, or had it: the cluster says if it may go on."""
    return _lock_by(events) is not _Lock.NONE


def is_undone(events: Sequence[Event]) -> bool:
    """Whether another run has ended this one, and its journal says so."""
    return _lock_by(events) is _Lock.UNDONE


def _lock_by(events: Sequence[Event]) -> _Lock:
    now = _Lock.NONE
    for event in events:
        if event.key == LOCK_TAKEN:
            if event.mark is Mark.DONE:
                now = _Lock.TAKEN
            elif event.mark is Mark.ANNOUNCED and now is not _Lock.TAKEN:
                now = _Lock.ANNOUNCED
            elif event.mark is Mark.NOT_DONE and now is _Lock.ANNOUNCED:
                now = _Lock.NONE
        elif event.key == LOCK_RELEASED:
            if event.mark is Mark.ANNOUNCED:
                now = _Lock.GIVING_BACK
            elif event.mark is Mark.DONE:
                now = _Lock.GIVEN_BACK if now is _Lock.GIVING_BACK else _Lock.UNDONE
            elif event.mark is Mark.NOT_DONE and now is _Lock.GIVING_BACK:
                now = _Lock.TAKEN
    return now


def refusal(
    standing: Standing, run: str, events: Sequence[Event], seen: Circumstances, accepted: Collection[str] = ()
) -> Refusal | None:
    """Why the run does not go on, and what to do instead; None where it may."""
    code = f"{CODE}:{run}"
    if standing is Standing.UNKNOWN and code not in accepted:
        brought = "" if seen.own else ", and its directory was not made by a run on this machine"
        return Refusal(
            f"run {run} is not known to the cluster: neither its lock nor its copy is there{brought}. It would be "
            f"applied with the approval that lies in it.",
            code=code,
            fix="Start a new run with `rollback run`, unless you know that nothing came after it.",
            reason=Reason.RUN_UNKNOWN,
            subject=run,
        )
    if standing not in (Standing.ABANDONED, Standing.OUTDATED):
        return None
    stands = ending(events)
    why = _why(standing, run, events, seen)
    traffic = " Traffic is closed by it: `rollback reopen` opens it." if stands.traffic == CLOSED or seen.closed else ""
    has_it = seen.held is not None and seen.held.is_of(lock.RUN, run)
    anew = "rollback run --take-over" if has_it else "rollback run"
    tags = ", and `rollback retag` moves tags to what runs" if seen.tags else ""
    undo = f", or back to the state before it with `rollback undo {run}`" if stands.touched and not seen.undoes else ""
    return Refusal(
        f"run {run} does not go on: {why}.{traffic}",
        fix=f"Look with `rollback status`; then a new run, `{anew}`{undo}{tags}.",
        reason=Reason.RUN_IS_OVER,
        subject=run,
        facts=(standing,),
    )


def _why(standing: Standing, run: str, events: Sequence[Event], seen: Circumstances) -> str:
    if seen.later:
        return f"run {some(seen.later)} came after it, and what was decided before that is not decided now"
    if standing is Standing.OUTDATED:
        moved = [key.removeprefix("apply/") for key in seen.those(Is.OTHER)] or ["what it had changed"]
        return f"somebody deployed after it; {some(moved)} is neither as it found it nor as it left it"
    if _lock_by(events) is _Lock.UNDONE:
        return "another run has undone it"
    claim = seen.held.claim if seen.held else None
    whose = "its lock was taken away" if seen.held is None else f"{claim.holder if claim else 'somebody'} has its lock"
    return f"{whose}, and it had changed objects"
