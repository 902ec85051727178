"""Traffic, opened exactly as it was: whatever of it this run has closed, and as far as nobody else has opened it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from rollback_lib.collectors.outage import through
from rollback_lib.core.errors import FailedError, RefusedError, StaleError
from rollback_lib.core.kube.objects import kind_of, name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.journal import (
    CLOSES,
    GONE,
    OPENS,
    RECORDS,
    Mark,
    closed_targets,
    traffic_key,
    traffic_keys,
    unconfirmed,
)
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import isolation, maintenance, slots
from rollback_lib.core.traffic.isolation import Target
from rollback_lib.ports import Ports, RunStore, Writer

T = TypeVar("T")
_OPENING: Final = "reopen"  # the stage that is written where one is found open at its end
_TRIES: Final = 5  # somebody else may write the same object in between
SETTLED: Final = 2.0  # seconds until every node sends to the shop again (0.7 s were seen), and none to the page


def open_all(run: RunStore, ports: Ports, write: Writer, plan: Plan) -> None:
    """Open what this run has closed, then take our page away. Raises FailedError where something stays closed."""
    for target in plan.isolation.targets:
        until_current(partial(_open, run, ports, write, target))
    if plan.isolation.ours:
        _take_page_away(run, ports, write)


def until_current(attempt: Callable[[], T]) -> T:
    """What ``attempt`` gives, made again where somebody else wrote the object that it had read."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StaleError):
            return attempt()
    return attempt()


def _open(run: RunStore, ports: Ports, write: Writer, target: Target) -> None:
    what = target.ref
    live = look(ports, [target]).get(target.ref)
    record = slots.closing(live or {})
    key = traffic_key(OPENS, target.kind, target.name, run.events())
    if live is None or record is None or record.run != run.get(Request).run:
        if live is not None and slots.closed_by(live):
            raise FailedError(slots.closed_already(live))
        if live is not None and key in {e.key for e in unconfirmed(run.events())}:
            write.do(isolation.opening_change(live, key=key)[0])  # by us, when we died: confirmed, and that is all
        elif target in still_closed(run, run.get(Plan)):
            if live is None:
                found_gone(run, target, _OPENING)
                raise FailedError(
                    f"{what}, which this run has closed, is gone: nobody gets in there. Make it again, from its "
                    f"manifest; then `rollback resume`."
                )
            found_open(run, target, _OPENING, f"{what} was opened by somebody else.")
        return
    if undone := slots.undone(live, target.ref):
        ports.progress.say(f"  {undone}")
    change, kept = isolation.opening_change(live, key=key)
    write.do(change)
    for said in kept:
        ports.progress.say(f"  {said}; it stays")


def look(ports: Ports, targets: Sequence[Target]) -> Snapshot:
    """The targets as they are now."""
    versions = {t.kind: t.api_version for t in targets}
    return through(ports, lambda: ports.cluster.snapshot(list(versions), versions))


def still_closed(run: RunStore, plan: Plan) -> list[Target]:
    """The targets that this run has closed and not opened, by its journal."""
    closed = closed_targets(run.events())
    return [t for t in plan.isolation.targets if f"{t.kind.lower()}/{t.name}" in closed]


def found_open(run: RunStore, target: Target, stage: str, said: str) -> None:
    """Keep in the journal that a target is open, and that it was not us."""
    key = traffic_key(OPENS, target.kind, target.name, run.events())
    run.append(Mark.SEEN, stage, key=key, what=said)


def found_gone(run: RunStore, target: Target, stage: str) -> None:
    """Keep in the journal that a target is not there: it is not open with that."""
    key = traffic_keys(GONE, target.kind, target.name)
    run.append(Mark.SEEN, stage, key=key, what=f"{target.ref} is gone", subject=str(target.ref))


def _take_page_away(run: RunStore, ports: Ports, write: Writer) -> None:
    """By uid: what is there of it, and what this run was about to delete when it died."""
    request = run.get(Request)
    snapshot = through(ports, lambda: ports.cluster.snapshot(maintenance.KINDS))
    pages = maintenance.there(snapshot, request.runs)
    there = [(kind_of(page), str(page["metadata"]["uid"]), name_of(page)) for page in pages]
    if there:
        ports.clock.sleep(SETTLED)
    begun = [e.key.split("/") for e in unconfirmed(run.events()) if e.key.startswith(maintenance.DELETES)]
    name = maintenance.name(request.run)
    begun_too = [(k, uid, name) for *_, lower, uid in begun for k in maintenance.KINDS if k.lower() == lower]
    known = {uid for _, uid, _ in there}
    for each in dict.fromkeys([*(b for b in begun_too if b[1] not in known), *there]):
        write.do(maintenance.deletion(*each))


def tidy(ports: Ports, write: Writer, plan: Plan) -> None:
    """Take away what dead runs left of their pages. One that stays harms nobody, and is said."""
    for page in plan.isolation.left:
        try:
            write.do(maintenance.deletion(page.kind, page.uid, page.name, f"{RECORDS}page/"))
        except (FailedError, RefusedError, StaleError) as error:
            ports.progress.say(f"  {page.kind}/{page.name} stays: {error}")


def opened_by_others(run: RunStore, ports: Ports, plan: Plan, stage: str) -> Sequence[str]:
    """What this run has closed and somebody else opened or deleted, in sentences; the journal keeps what it is now.

    What this run was about to close or to open when it died is not looked at: its turn comes.
    """
    begun = {e.key.rpartition("/")[0] for e in unconfirmed(run.events())}
    targets = [
        t for t in still_closed(run, plan) if not begun & {traffic_keys(w, t.kind, t.name) for w in (CLOSES, OPENS)}
    ]
    if not targets:
        return ()
    snapshot = look(ports, targets)
    said = []
    for target in targets:
        live = snapshot.get(target.ref)
        if undone := slots.undone(live, target.ref):
            said.append(undone)
            if live is None:
                found_gone(run, target, stage)
            else:
                found_open(run, target, stage, undone)
    return said
