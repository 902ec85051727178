"""Who holds the lock: the Lease as it is now."""

from __future__ import annotations

from rollback_lib.core.errors import LockedError, RefusedError, UnreachableError
from rollback_lib.core.report.observation import Looked
from rollback_lib.core.run import cluster_copy, lock, ways
from rollback_lib.core.run.lock import Held
from rollback_lib.core.run.records import Request
from rollback_lib.ports import ClusterRecords, Ports


def find(records: ClusterRecords, application: str) -> Held | None:
    """The lock as it is now, or None where it is free."""
    found = records.get("Lease", lock.name(application))
    return lock.read(found) if found is not None else None


def by_another(request: Request, ports: Ports) -> tuple[Looked, LockedError | None]:
    """(who else holds the lock, why the run may not go on: nobody shall approve what cannot be done).

    Whoever may not read the Lease is told by the first write.
    """
    try:
        held = find(ports.records, request.application)
    except UnreachableError:
        raise
    except RefusedError:
        return Looked(), None
    now = ports.clock.now()
    mine = held is not None and any(held.is_of(lock.RUN, run) for run in request.runs)
    if held is None or held.is_over(now) or mine:
        copy = ports.records.get("ConfigMap", cluster_copy.name(request.undo)) if request.undo and not mine else None
        return Looked(ends=bool(request.undo) and (mine or copy is not None)), None
    seen = Looked(lock=lock.who(held, now), left=ways.of_lock(held), holder=ways.holder(held))
    if request.dry_run or (request.take_over and held.claim is not None):
        return seen, None
    return seen, LockedError(lock.locked(request.application, held, now))
