"""The stages in order, the one loop that runs them, and the journalled writer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from rollback_lib.collectors import ledger
from rollback_lib.collectors.outage import through
from rollback_lib.core import errors
from rollback_lib.core.images.reference import repository_of, tag_of
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.redact import redact
from rollback_lib.core.run import lock
from rollback_lib.core.run.changes import Change, KeepRecord, PointTag, ReleaseLock, TakeLock, release_lock, take_lock
from rollback_lib.core.run.journal import LOCK_RELEASED, Ending, Event, Mark, done_stages, ending, holds_lock, result_of
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.pipeline.background import Beside, Unseen
from rollback_lib.pipeline.holding import Holding
from rollback_lib.pipeline.notifications import Telling
from rollback_lib.pipeline.run_copy import RunCopy, forget_old
from rollback_lib.ports import Clock, Ports, RunStore, Stage
from rollback_lib.stages import (
    apply,
    approve,
    detect,
    document,
    images,
    incident,
    isolate,
    preflight,
    reopen,
    resolve,
    retag,
    rewrite,
    verify,
)

STAGES: Final[tuple[Stage, ...]] = (
    detect, incident, resolve, images, rewrite, preflight, approve, isolate, apply, verify, reopen, document,
)  # fmt: skip
# These look for evidence beside the stages up to this one, which waits for them: evidence costs a run no time.
BESIDE: Final[Mapping[str, str]] = {
    detect.ID: preflight.ID,
    incident.ID: next(s.ID for s in STAGES if s.WRITES),
}
_UNDER_LOCK: Final = (isolate.ID, apply.ID, verify.ID, reopen.ID)
# What the server, read back, did not take.
_TOOK_NOTHING: Final = (errors.StaleError, errors.RefusedError, errors.LockedError, errors.InterruptedRunError)


class JournalledWriter:
    """Announce, act, confirm. What the journal calls done is not done again. Safe to call from several threads."""

    def __init__(self, run: RunStore, ports: Ports, stage: Stage, holding: Holding, copy: RunCopy) -> None:
        self._run, self._ports, self._stage, self._holding, self._copy = run, ports, stage, holding, copy
        self._lock = threading.Lock()

    def do(self, change: Change) -> Mapping[str, str]:
        """Make the change once, while we hold the lock.

        Raises LockedError, StaleError or FailedError; BugError when the stage may not write.
        """
        stage = self._stage.ID
        if not self._stage.WRITES:
            raise errors.BugError(f"stage {stage} may not write, and asked for {change.key}")
        if isinstance(change, TakeLock):
            return self.hold()
        if isinstance(change, ReleaseLock):
            return self.let_go()
        with self._lock:
            known = result_of(self._run.events(), change.key)
            if known is not None:
                return known
            self._ports.clock.check()
            if not isinstance(change, PointTag):  # the lock is the cluster's
                self._still_mine() if self._holding.is_mine else self.hold()
            self._announce(change)
        try:
            result = through(self._ports, lambda: self._act(change))
        except _TOOK_NOTHING as error:
            self._not_done(change, error)
            raise
        self._run.append(Mark.DONE, stage, key=change.key, what=change.what, result=result)
        return result

    def _act(self, change: Change) -> Mapping[str, str]:
        if isinstance(change, PointTag):
            repository, tag = repository_of(change.name), tag_of(change.name)
            self._ports.tags.put_tag(repository, change.after, tag, was=change.before)
            return {"fingerprint": change.after}
        if isinstance(change, KeepRecord):
            now: Object | None = ledger.write(self._ports.records, lambda _: change.record, change.name)
        else:
            now = self._ports.acts.act(change, self._run)
        result = {"uid": str((now or {}).get("metadata", {}).get("uid", "")), "fingerprint": fingerprint(now)}
        if change.after and result["fingerprint"] != change.after:
            raise errors.FailedError(
                f"{change.kind}/{change.name} was written, but is not what the plan says: another program changes it "
                f"as it is stored. See `kubectl get {change.kind.lower()} {change.name} -o yaml`."
            )
        return result

    def _still_mine(self) -> None:
        try:
            through(self._ports, self._holding.check)
        except errors.LockedError as error:
            if not holds_lock(self._run.events()):
                raise errors.LostError(f"another process has ended this run: {error}") from None
            raise

    def hold(self) -> Mapping[str, str]:
        """Take the lock for this process, if it has not got it. What another process of this run had is taken over."""
        if self._holding.is_mine:
            return {}
        change = take_lock(lock.name(self._run.get(Request).application))
        self._ports.clock.check()
        self._announce(change)
        self._copy.keep()  # before the lock: a lock must never be there without what finishes its run
        try:
            over = self._holding.take()
        except _TOOK_NOTHING as error:
            if not isinstance(error, errors.UnreachableError) or self._holding.withdraw():
                self._not_done(change, error)
            self._copy.withdraw()
            raise
        what = f"{change.what} over from {over}" if over else change.what
        self._run.append(Mark.DONE, self._stage.ID, key=change.key, what=what)
        return {}

    def let_go(self) -> Mapping[str, str]:
        """Give the lock back, if this run has it."""
        if not holds_lock(self._run.events()):
            return {}
        if self._holding.is_mine:
            self._still_mine()
        else:
            self.hold()
        change = release_lock(lock.name(self._run.get(Request).application))
        self._announce(change)
        through(self._ports, self._holding.release)
        self._copy.remove(self._run.get(Request).undo)
        self._run.append(Mark.DONE, self._stage.ID, key=change.key, what=change.what)
        return {}

    def _announce(self, change: Change) -> None:
        self._run.append(
            Mark.ANNOUNCED, self._stage.ID, key=change.key, before=change.before, after=change.after, what=change.what
        )

    def _not_done(self, change: Change, error: Exception) -> None:
        self._run.append(
            Mark.NOT_DONE, self._stage.ID, key=change.key, what=change.what, error=redact(str(error)),
            code=error.exit_code if isinstance(error, errors.RollbackError) else 0,
        )  # fmt: skip


def advance(run: RunStore, ports: Ports, *, until: str = "document", only: str | None = None) -> Ending:
    """Do what is left of the run, up to and with ``until``, or the one stage ``only``; say how it stands.

    ``plan``, ``run``, ``stage`` and ``resume`` are this call with other arguments. An error ends the stages, and
    `document` still runs when it is within ``until``. A run that holds the lock keeps it unless it ended well or has
    changed nothing. Raises only errors that came before a journal could be kept.
    """
    problem: Exception | None = None
    began, telling = ports.clock.now(), Telling(run, ports)
    holding, copy, beside = _holding(run, ports), RunCopy(run, ports), Beside()
    try:
        for stage in (retag,) if only == retag.ID else STAGES:
            if only is not None and only != stage.ID:
                continue
            if problem is not None and stage.ID != "document":
                continue
            if only is None and stage.ID in done_stages(run.events()) and stage.ID != "document":
                continue
            within = _limited(run, ports, stage, began) if stage.ID in _UNDER_LOCK else ports
            began = began if stage.ID in _UNDER_LOCK else ports.clock.now()  # a person's approval takes its time
            write = JournalledWriter(run, within, stage, holding, copy)
            if only is None and stage.ID in BESIDE:
                if _is_needed(stage.ID, until, run):
                    unseen = replace(ports, progress=Unseen())
                    beside.begin(BESIDE[stage.ID], partial(_enter, stage, run, unseen, write))
                continue
            try:
                if stage.ID == document.ID:
                    beside.end()
                _enter(stage, run, within, write, partial(beside.wait, stage.ID))
            except errors.LostError as error:
                stands = ending(run.events())
                code = errors.EXIT_FAILED_OPEN if stands.touched else errors.EXIT_LOCKED
                return msgspec.structs.replace(stands, code=code, error=str(error), stage=stage.ID, locked=False)
            except Exception as error:
                if stage.ID != "document" and problem is None:
                    problem = error
                    if holding.is_mine and not ending(run.events()).touched:
                        _let_go_of_nothing(run, write)
            if holding.is_mine and stage.ID != document.ID and (stage.ID == apply.ID or problem is not None):
                copy.keep()
            telling.after(stage.ID)
            if until == stage.ID:
                break
    finally:
        beside.end()
        if holding.is_mine and problem is not None:
            forget_old(ports.records, run.get(Request).application)
        holding.rest()
        telling.wait()
    return _ending(run, problem)


def _ending(run: RunStore, problem: Exception | None) -> Ending:
    """How the run stands by its journal; and by what ended it where the journal could not take that any more."""
    events = run.events()
    found = ending(events)
    if problem is None or found.error:
        return found
    code, text = _code_and_text(problem)
    stage = next((e.stage for e in reversed(events) if e.stage != document.ID), "")
    lost = Event(seq=len(events), at="", mark=Mark.STAGE_FAILED, stage=stage, error=redact(text), code=code)
    return ending([*events, lost])


def _code_and_text(error: Exception) -> tuple[int, str]:
    if isinstance(error, errors.RollbackError):
        return error.exit_code, str(error)
    return errors.EXIT_BUG, f"{type(error).__name__}: {error}"


def _is_needed(beside: str, until: str, run: RunStore) -> bool:
    """Whether a stage that waits for this evidence is still to come: evidence after a change would be of the change."""
    order, needed_by = [s.ID for s in STAGES], BESIDE[beside]
    return until in order[order.index(needed_by) :] and needed_by not in done_stages(run.events())


class _LimitedClock:
    """A clock that ends what takes too long, as it ends what somebody stops: before the next write."""

    def __init__(self, clock: Clock, ends: Sequence[tuple[datetime, str]]) -> None:
        self._clock, self._ends = clock, ends
        self.now = clock.now

    def check(self) -> None:
        self._clock.check()
        for end, why in self._ends:
            if self.now() >= end:
                raise errors.FailedError(why)

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self.check()


def _limited(run: RunStore, ports: Ports, stage: Stage, began: datetime) -> Ports:
    limits = run.get(Request).settings.limits
    ends = (
        (ports.clock.now() + timedelta(seconds=seconds(limits.stage)),
         f"{stage.ID} has taken longer than {limits.stage} (limits.stage)."),
        (began + timedelta(seconds=seconds(limits.run)), f"the run has taken longer than {limits.run} (limits.run)."),
    )  # fmt: skip
    return replace(ports, clock=_LimitedClock(ports.clock, ends))


def _holding(run: RunStore, ports: Ports) -> Holding:
    request = run.get(Request)
    claim = Claim(
        holder=request.run, by=request.by, origin=request.origin, environment=request.environment,
        since=ports.clock.now().isoformat(timespec="seconds"),
    )  # fmt: skip
    return Holding(ports, request.application, claim, take_over=request.take_over, instead_of=request.undo)


def _let_go_of_nothing(run: RunStore, write: JournalledWriter) -> None:
    """A run that stops before it has changed anything leaves neither lock nor copy."""
    try:
        write.let_go()
    except Exception as error:  # the first error is the one that is told
        with contextlib.suppress(errors.RefusedError):
            run.append(Mark.NOT_DONE, reopen.ID, key=LOCK_RELEASED, error=redact(str(error)))


def _enter(
    stage: Stage, run: RunStore, ports: Ports, write: JournalledWriter, first: Callable[[], None] | None = None
) -> None:
    run.append(Mark.STAGE_BEGIN, stage.ID)
    ports.progress.stage(stage.ID)
    try:
        if first:
            first()  # in here, so that what went wrong with it is this stage's failure
        if stage.ID in _UNDER_LOCK and holds_lock(run.events()):
            write.hold()  # of this run, and maybe of a process that is gone: it shows no life while we wait
        record = stage.run(run, ports, write)
        if record is not None:
            run.put(record)
    except errors.LostError:
        raise
    except Exception as error:
        code, text = _code_and_text(error)
        with contextlib.suppress(errors.RefusedError):  # the first error is the one that is told
            if code == errors.EXIT_BUG:
                _keep_traceback(run, error)
            run.append(Mark.STAGE_FAILED, stage.ID, error=redact(text), code=code)
        raise
    run.append(Mark.STAGE_DONE, stage.ID)


def _keep_traceback(run: RunStore, error: BaseException) -> None:
    import traceback

    run.write("traceback.txt", redact("".join(traceback.format_exception(error))).encode())
