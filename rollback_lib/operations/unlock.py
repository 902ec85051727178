"""`rollback unlock --force`: take the lock away, and say whose it was."""

from __future__ import annotations

from rollback_lib.core.errors import LockedError, NotApprovedError
from rollback_lib.core.run import lock
from rollback_lib.pipeline import holding
from rollback_lib.pipeline.run_copy import forget_old
from rollback_lib.ports import Ports


def unlock(application: str, ports: Ports, *, force: bool, yes: bool) -> str:
    """What was done, in words.

    Raises LockedError, which says whose it is, without ``force``; NotApprovedError where nobody says yes.
    """
    held = holding.find(ports.records, application)
    if held is None:
        return f"{application} is not locked."
    now = ports.clock.now()
    if not force:
        raise LockedError(lock.locked(application, held, now))
    whose = lock.who(held, now)
    if not yes:
        answer = ports.approver.ask(f"{application} is locked by {whose}. Take the lock away?")
        if answer is None:
            raise NotApprovedError(f"{application} is locked by {whose}: taking it away needs a terminal, or --yes.")
        if not answer:
            raise NotApprovedError("not unlocked.")
    holding.remove(ports.records, application, lambda there: there.claim == held.claim)
    forget_old(ports.records, application)
    said = f"Unlocked. It was held by {whose}."
    if held.claim is not None and held.claim.kind == lock.RUN:
        said += (
            f" What that run left half done stays so: `rollback undo {held.claim.holder}` goes back to the state "
            f"before it, a new run goes on from what is there, and `rollback reopen` opens traffic."
        )
    return said
