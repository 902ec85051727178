"""Who holds the lock: the Lease as it is now."""

from __future__ import annotations

from rollback_lib.core.errors import LockedError, RefusedError, UnreachableError
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Held
from rollback_lib.core.run.records import Request
from rollback_lib.ports import ClusterRecords, Ports


def find(records: ClusterRecords, application: str) -> Held | None:
    """The lock as it is now, or None where it is free."""
    found = records.get("Lease", lock.name(application))
    return lock.read(found) if found is not None else None


def by_another(request: Request, ports: Ports) -> str:
    """Who else holds the lock, in words; empty where the run may take it.

    Raises LockedError where the run is to write: nobody shall approve what cannot be done. Whoever may not read the
    Lease is told by the first write.
    """
    try:
        held = find(ports.records, request.application)
    except UnreachableError:
        raise
    except RefusedError:
        return ""
    now = ports.clock.now()
    if held is None or held.is_over(now) or any(held.is_of(lock.RUN, run) for run in request.runs):
        return ""
    if request.dry_run:
        return lock.who(held, now)
    if request.take_over and held.claim is not None:
        return ""
    raise LockedError(lock.locked(request.application, held, now))
