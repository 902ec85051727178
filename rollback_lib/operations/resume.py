"""`rollback resume`: find the run that did not end, here or in the cluster, and go on through the one loop."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from rollback_lib.collectors import lock_reader
from rollback_lib.core.errors import RefusedError, RollbackError
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.plan.model import Plan, PlannedObject
from rollback_lib.core.run import cluster_copy, lock, states
from rollback_lib.core.run.changes import WRITE_LIMIT
from rollback_lib.core.run.journal import (
    CLOSES,
    LOCK_TAKEN,
    OPENS,
    Event,
    ending,
    lock_announced,
    traffic_key,
    unconfirmed,
)
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.traffic.isolation import Target
from rollback_lib.core.wording import counted
from rollback_lib.operations import run as operation
from rollback_lib.operations import standing, state_before
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import Ports, RunStore, Session
from rollback_lib.writes import traffic

_LOOK_EVERY: Final = 2.0  # seconds, while an announced write may still arrive


def find(session: Session, wanted: str, place: str = "") -> RunStore | None:
    """The run that is ``wanted``; without a name the one that holds the lock, else the newest that did not end.

    Those of this machine come first, then the copies in the cluster, of which a run directory is made. With ``place``
    only the run that lies there is of this machine, and without a name it is meant. Raises RefusedError where the one
    that is meant is in neither place.
    """
    records, application, environment = session.ports.records, session.settings.application, session.environment

    def restore(run: str, files: Mapping[str, bytes]) -> RunStore:
        return session.runs.restored(run, files, place)

    there = session.runs.at(place) if place else None
    wanted = wanted or (there.get(Request).run if there else "")
    known: dict[str, RunStore] = {}
    for run in ([there] if there else []) if place else session.runs.all():
        with contextlib.suppress(RollbackError, msgspec.MsgspecError, OSError):
            request = run.find(Request)
            if request is not None and request.environment == environment and not request.dry_run:
                known[request.run] = run
    held = None
    if not wanted:
        held = lock_reader.find(records, application)
        claim = held.claim if held else None
        wanted = claim.holder if claim and claim.kind == lock.RUN and claim.environment == environment else ""
    if wanted:
        if wanted in known:
            return known[wanted]
        if (copy := records.get("ConfigMap", cluster_copy.name(wanted))) is not None:
            return restore(wanted, cluster_copy.unpack(copy))
        held = held or lock_reader.find(records, application)
        frees = held is not None and held.is_of(lock.RUN, wanted)
        raise RefusedError(
            f"run {wanted} is neither here nor in the cluster: go on where its run directory is"
            + (", or `rollback unlock --force`." if frees else "; `rollback history` names the runs of this machine.")
        )
    open_ones = [r for r in known if is_open(known[r])]
    if open_ones:
        return known[max(open_ones)]
    copies = {
        cluster_copy.run_of(c): c for c in records.list("ConfigMap", cluster_copy.labels(application, environment))
    }
    if not copies:
        return None
    newest = max(copies)
    return known[newest] if newest in known else restore(newest, cluster_copy.unpack(copies[newest]))


def is_open(run: RunStore) -> bool:
    """Whether there is something left to do: it has the lock, or never came to its last stage."""
    try:
        events = run.events()
    except RollbackError:
        return False
    stands = ending(events)
    return stands.locked or not (stands.finished or states.is_undone(events))


def answered(run: RunStore, *, yes: bool, take_over: bool, accept: Sequence[str] = ()) -> None:
    """What is said anew: a yes where nobody has approved yet, taking the lock over, going on with an unknown run."""
    request = run.get(Request)
    yes = request.yes or (yes and run.find(Approval) is None)
    known = [code for code in accept if code.startswith(states.CODE)]
    again = msgspec.structs.replace(
        request, yes=yes, take_over=take_over, accept=tuple(dict.fromkeys((*request.accept, *known)))
    )
    if again != request:
        run.put(again)


def undone_by(session: Session, run: RunStore) -> RunStore | None:
    """The run that this one undoes; None where it undoes none, or that one is neither here nor in the cluster."""
    if wanted := run.get(Request).undo:
        with contextlib.suppress(RefusedError):
            return find(session, wanted)
    return None


def resume(run: RunStore, ports: Ports, *, own: bool = True, of: RunStore | None = None) -> Outcome:
    """Go on where the run stopped, to the same end as if nothing had happened.

    ``own``: its directory was made by a run on this machine, or from its copy in the cluster (`Runs.is_own`). ``of``:
    the run that it undoes (`undone_by`), which is over with it. Raises RefusedError where the run is over, or something
    came after it (`core.run.states`).
    """
    entered_again(run, ports, own=own)
    return state_before.execute(run, of, ports) if of is not None else operation.execute(run, ports)


def entered_again(run: RunStore, ports: Ports, *, own: bool) -> None:
    """Make sure that the run may go on, once what it had begun to write has arrived. See `resume`."""
    ports.progress.say(stopped(run.get(Request), run))
    _wait_for_announced(run, ports)
    standing.check(run, ports, own=own)
    plan = run.find(Plan)
    if plan is not None and plan.closes:  # opened by hand meanwhile: it is closed again before the shop is changed
        for said in traffic.opened_by_others(run, ports, plan, "isolate"):
            ports.progress.say(f"  {said}")


def stopped(request: Request, run: RunStore) -> str:
    """Where the run stopped, and what it had done, in one line."""
    events = run.events()
    stands = ending(events)
    where = stands.stage or (events[-1].stage if events else "resolve")
    done = counted(len(stands.changed), "object", "objects") + " changed"
    unclear = f", not certain: {', '.join(stands.unclear[:3])}" if stands.unclear else ""
    return f"Run {request.run} by {request.by or 'unknown'} stopped in {where}: {done}{unclear}. It goes on from there."


def _wait_for_announced(run: RunStore, ports: Ports) -> None:
    """A write that was begun may still arrive: kubectl outlives us. Wait until it has, or no longer can."""
    plan = run.find(Plan)
    planned: dict[str, PlannedObject | Target] = {}
    events = run.events()
    if plan:
        planned |= {o.change_key: o for s in plan.services for o in s.objects}
        for target in plan.isolation.targets:
            planned |= {traffic_key(what, target.kind, target.name, events): target for what in (CLOSES, OPENS)}
    lock_taken, began = lock_announced(events), ports.clock.now()
    announced = [*([lock_taken] if lock_taken else ()), *unconfirmed(events)]
    while waited := [e for e in announced if _left(e, began, ports) > 0 and not _arrived(e, run, planned, ports)]:
        left = max(_left(e, began, ports) for e in waited)
        what = ", ".join(e.what for e in waited[:3])
        ports.progress.waiting(f"It may still be on its way: {what}; {left:.0f} s more")
        ports.clock.sleep(min(_LOOK_EVERY, left))


def _left(event: Event, began: datetime, ports: Ports) -> float:
    """Seconds that the write may still take. A clock that is behind the one that announced it never makes them more
    than they were then: we have waited ourselves since ``began``."""
    now = ports.clock.now()
    return WRITE_LIMIT - max((now - datetime.fromisoformat(event.at)), now - began).total_seconds()


def _arrived(event: Event, run: RunStore, planned: Mapping[str, PlannedObject | Target], ports: Ports) -> bool:
    """Whether the object is as the write leaves it; what else it may be is judged when its turn comes."""
    if event.key == LOCK_TAKEN:
        return lock_reader.find(ports.records, run.get(Request).application) is not None
    of = planned.get(event.key)
    if of is None or not event.after:
        return False
    live: Object | None = ports.cluster.snapshot([of.kind], {of.kind: of.api_version}).get(of.ref)
    return fingerprint(live) == event.after
