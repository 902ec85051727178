"""`rollback unlock --force`: take the lock away, and say whose it was."""

from __future__ import annotations

from rollback_lib.collectors import lock_reader
from rollback_lib.core.errors import LockedError, NotApprovedError, RollbackError
from rollback_lib.core.report.observation import closed
from rollback_lib.core.run import lock
from rollback_lib.core.traffic import maintenance, slots
from rollback_lib.core.wording import some
from rollback_lib.operations.reopen import take_away
from rollback_lib.pipeline import holding
from rollback_lib.pipeline.run_copy import forget_old
from rollback_lib.ports import Ports, RunStore


def unlock(
    application: str, ports: Ports, *, force: bool, yes: bool, holder: str = "", scratch: RunStore | None = None
) -> str:
    """What was done, in words. ``scratch``: where what a dead run left of its maintenance page is taken away from.

    ``holder``: whose lock is meant, and no other. Raises LockedError, which says whose it is, without ``force`` and
    where somebody else has it by now; NotApprovedError where nobody says yes.
    """
    held = lock_reader.find(ports.records, application)
    if held is None:
        return f"{application} is not locked."
    now = ports.clock.now()
    if not force:
        raise LockedError(lock.locked(application, held, now))
    whose = lock.who(held, now)
    if holder and held.holder != holder:
        raise LockedError(f"{application} is not locked by {holder} any more, but by {whose}. Nothing was freed.")
    if not yes:
        answer = ports.approver.ask(f"{application} is locked by {whose}. Take the lock away?")
        if answer is None:
            raise NotApprovedError(f"{application} is locked by {whose}: taking it away needs a terminal, or --yes.")
        if not answer:
            raise NotApprovedError("not unlocked.")
    if not holding.remove(ports.records, application, lambda there: there.hold == held.hold):
        again = lock_reader.find(ports.records, application)
        if again is not None:
            other = lock.who(again, ports.clock.now())
            raise LockedError(f"{application} was locked by {whose}, and is by {other} now. Nothing was freed.")
    forget_old(ports.records, application)
    said = f"Unlocked. It was held by {whose}."
    if held.claim is not None and held.claim.kind == lock.RUN:
        back = f"`rollback undo {held.claim.holder}` goes back to the state before it, "
        said += (
            f" What that run left half done stays so: {'' if held.claim.undoes else back}a new run goes on from what "
            f"is there, and `rollback reopen` opens what is closed."
        )
    if scratch is not None:
        said += _left(ports, scratch)
    return said


def _left(ports: Ports, scratch: RunStore) -> str:
    """What the run that had the lock left closed, in words; a page of it that nobody is sent to goes."""
    try:
        snapshot = ports.cluster.snapshot((*slots.CLOSABLE, *maintenance.KINDS))
    except RollbackError as error:
        return f" How traffic is, is unknown: {error}"
    removed = take_away(maintenance.left(snapshot, ()), ports, scratch)
    gone = f" Of its maintenance page {some(removed)} was taken away." if removed else ""
    shut = closed(snapshot)
    return gone + (f" TRAFFIC IS CLOSED: {some([str(c) for c in shut])}." if shut else "")
