"""What a build of Jenkins does by its ACTION: which run its stages are of, and the two actions that are no run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from rollback_lib.collectors import approval, ledger, lock_reader
from rollback_lib.core.errors import EXIT_DONE, LockedError, NotApprovedError, RefusedError, StaleError, UsageError
from rollback_lib.core.jenkins import actions
from rollback_lib.core.jenkins.actions import Done, Look
from rollback_lib.core.report.observation import closed
from rollback_lib.core.run import cluster_copy, lock
from rollback_lib.core.run.journal import done_stages
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.action import Action
from rollback_lib.core.traffic import slots
from rollback_lib.operations import reopen, resume, state_before, undo, unlock
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import RunStore, Session

_AGAIN: Final = ("approve", "document")  # entered in a resumed run although they were before


class Asked(NamedTuple):
    """What a build was asked for. ``of_run``: the run that is meant, empty for the last one."""

    action: Action = Action.ROLL_BACK
    of_run: str = ""
    accept: Sequence[str] = ()
    dry_run: bool = False


def stage(session: Session, asked: Asked, new: Request, place: str, name: str) -> tuple[Outcome, RunStore]:
    """One stage of the run that the action is about, which lies in ``place`` from its first stage on.

    ``new``: the request, where it is a run of its own. Raises RefusedError where there is no such run or it may not go
    on, LockedError where another has the lock.
    """
    if not asked.action.is_run:
        raise UsageError(f"'{asked.action}' has no stages: `rollback jenkins look` and `rollback jenkins act` do it")
    if asked.of_run and asked.action is Action.ROLL_BACK:
        raise UsageError(f"RUN says which run to resume or undo, and '{asked.action}' is neither: choose the ACTION")
    if asked.action is Action.RESUME:
        run = session.runs.at(place) or _resumed(session, asked, place)
        return _again(session, run, name), run
    if asked.action is Action.UNDO:
        run = session.runs.at(place) or _undoing(session, asked, new, place)
    else:
        run = session.runs.new(new, place)
    return _one(session, run, name), run


def _one(session: Session, run: RunStore, name: str) -> Outcome:
    """A stage; of an undo with the state to go back to, and the run that it undoes is over with it."""
    of = resume.undone_by(session, run)
    return operation.one(run, session.ports, name) if of is None else state_before.one(run, of, session.ports, name)


def _undoing(session: Session, asked: Asked, new: Request, place: str) -> RunStore:
    """The run that undoes the one that is meant, in ``place``."""
    return session.runs.new(undo.request(new, undo.find(session, asked.of_run or _last(session))), place)


def _last(session: Session) -> str:
    """The last run of the environment as the cluster knows it: its lock, its copies, its ledger."""
    application, records = session.settings.application, session.ports.records
    held = lock_reader.find(records, application)
    if held is not None and held.claim is not None and held.claim.kind == lock.RUN:
        return held.claim.holder
    copies = records.list("ConfigMap", cluster_copy.labels(application, session.environment))
    last = ledger.read(records, application, session.environment).last_run
    known = [*map(cluster_copy.run_of, copies), *([last.run] if last else [])]
    if not known:
        raise RefusedError(f"the cluster knows no run of {session.environment}: there is nothing to undo.")
    return max(known)


def _resumed(session: Session, asked: Asked, place: str) -> RunStore:
    """The run that stopped, in ``place``; it is put there once the cluster has said that it may go on."""
    run = resume.find(session, asked.of_run)
    if run is None:
        raise RefusedError(f"no run of {session.environment} is unfinished: there is nothing to resume.")
    _, locked = lock_reader.by_another(run.get(Request), session.ports)
    if locked is not None:
        raise locked
    resume.answered(run, yes=False, take_over=False, accept=asked.accept)
    resume.entered_again(run, session.ports, own=session.runs.is_own(run))
    run.put(msgspec.structs.replace(run.get(Request), yes=False, dry_run=asked.dry_run))  # it takes another yes
    files = {name: run.read(name) for name in run.files()}
    return session.runs.restored(run.get(Request).run, files, place)


def _again(session: Session, run: RunStore, name: str) -> Outcome:
    """A stage of a run that goes on: what it had done is done, and somebody says yes to it once more."""
    if name == "approve" and not run.get(Request).dry_run:
        resume.entered_again(run, session.ports, own=session.runs.is_own(run))
    if name in done_stages(run.events()) and name not in _AGAIN:
        return _well(operation.stands(run, session.ports))
    outcome = _one(session, run, name)
    return _well(outcome) if name != "document" and name in _done_last(run) else outcome


def _done_last(run: RunStore) -> frozenset[str]:
    """The stage that ended last, where it ended well: what an earlier try failed in is still to come."""
    return done_stages([e for e in run.events() if e.mark.startswith("stage-")][-1:])


def _well(outcome: Outcome) -> Outcome:
    return outcome._replace(ending=msgspec.structs.replace(outcome.ending, code=EXIT_DONE, error=""))


def look(session: Session, action: Action, of_run: str = "") -> Look:
    """What there is to do. Changes nothing. Raises LockedError where a process of a run is at work."""
    ports, application = session.ports, session.settings.application
    identity, now = ports.cluster.identity(), ports.clock.now()
    found = Look(
        action=action, application=application, environment=session.environment, at=now.isoformat(timespec="seconds"),
        where=f"{session.environment} (namespace {identity.namespace} at {identity.server})",
    )  # fmt: skip
    held = lock_reader.find(ports.records, application)
    if held is not None and held.shows_life(now):
        raise LockedError(
            f"{lock.locked(application, held, now)} A process works on it: stop that build, or wait until it has shown "
            f"no life for {lock.DEAD_AFTER:.0f} s."
        )
    if action is Action.FREE:
        if held is None:
            return found
        whose = lock.who(held, now)
        if of_run and held.holder != of_run:
            raise LockedError(f"{application} is not locked by {of_run}, but by {whose}.")
        hash_ = actions.hash_of(action, identity, held)
        return msgspec.structs.replace(found, hash=hash_, holder=held.holder, whose=whose)
    snapshot = ports.cluster.snapshot(slots.CLOSABLE)
    unread = tuple(why for kind, why in snapshot.refused.items() if kind not in snapshot.unserved)
    there = closed(snapshot)
    return msgspec.structs.replace(
        found, closed=tuple(map(str, there)), unread=unread,
        hash=actions.hash_of(action, identity, there) if there else "",
    )  # fmt: skip


def act(session: Session, shown: Look, scratch: RunStore) -> tuple[int, str]:
    """Do what was ``shown`` and approved, and nothing else; the exit code, and what was done in words.

    Raises NotApprovedError where nobody said yes, LockedError where another has the lock by now, StaleError where
    anything else is not as it was shown.
    """
    ports = session.ports
    if denied := approval.denied(ports):
        raise NotApprovedError(f"not approved: {denied}")
    if not shown.hash or approval.given(ports) != shown.hash:
        raise NotApprovedError("nobody has said yes to this.")
    now = look(session, shown.action, shown.holder)
    if now.hash != shown.hash:
        raise StaleError(f"{shown.action}: what was asked about is not so any more. Nothing was done; look again.")
    if shown.action is Action.FREE:
        said = unlock.unlock(shown.application, ports, force=True, yes=True, holder=shown.holder, scratch=scratch)
        return EXIT_DONE, said
    found = reopen.reopen(session, yes=True)
    return found.code, reopen.text(found)


def record(session: Session, shown: Look, reason: str, code: int, said: str) -> Done:
    """What is kept of it beside the build."""
    ports = session.ports
    return Done(
        look=shown, by=session.by, origin=session.origin, reason=reason, code=code, said=said,
        approved_by=approval.by(ports) if approval.given(ports) else "",
        at=ports.clock.now().isoformat(timespec="seconds"),
    )  # fmt: skip
