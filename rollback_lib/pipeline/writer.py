"""The journalled writer: announce, act, confirm. What the journal calls done is not done again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Final

from rollback_lib.collectors import as_planned, ledger
from rollback_lib.collectors.outage import through
from rollback_lib.core import errors
from rollback_lib.core.images.reference import repository_of, tag_of
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.redact import redact
from rollback_lib.core.run import lock
from rollback_lib.core.run.changes import (
    Change,
    KeepRecord,
    PointTag,
    ReleaseLock,
    TakeLock,
    not_given_back,
    release_lock,
    take_lock,
)
from rollback_lib.core.run.journal import LOCK_RELEASED, Mark, holds_lock, result_of
from rollback_lib.core.run.records import Request
from rollback_lib.pipeline.holding import Holding
from rollback_lib.pipeline.run_copy import RunCopy
from rollback_lib.ports import Ports, RunStore, Stage

# What the server, read back, did not take.
_TOOK_NOTHING: Final = (errors.StaleError, errors.RefusedError, errors.LockedError, errors.InterruptedRunError)


class JournalledWriter:
    """`Writer` for one stage of one run. Safe to call from several threads."""

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
            return self.let_go(tags_follow=self._moves_tags())
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
        self._run.append(Mark.DONE, stage, result=result, **_said(change))
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
            if said := not_given_back(change, now):
                self._ports.progress.say(f"  ! {said}")
        result = {"uid": str((now or {}).get("metadata", {}).get("uid", "")), "fingerprint": fingerprint(now)}
        differs = bool(change.after) and result["fingerprint"] != change.after
        if differs and as_planned.state(self._run, change.ref, now) != change.after:
            raise errors.FailedError(
                f"{change.ref} was written, but is not what the plan says: another program changes it "
                f"as it is stored. See `kubectl get {change.kind.lower()} {change.name} -o yaml`."
            )
        return result

    def _still_mine(self) -> None:
        try:
            through(self._ports, self._holding.check)
        except errors.LockedError as error:
            if not holds_lock(self._run.events()):
                raise errors.LostError(f"another process has ended this run: {error}") from None
            if not isinstance(error, errors.LostError):
                self._run.append(Mark.SEEN, self._stage.ID, key=LOCK_RELEASED, what="the lock was taken away")
            raise

    def hold(self) -> Mapping[str, str]:
        """Take the lock for this process, if it has not got it. What another process of this run had is taken over."""
        if self._holding.is_mine:
            return {}
        change = take_lock(lock.name(self._run.get(Request).application))
        self._ports.clock.check()
        self._announce(change)
        try:
            self._copy.keep(first=True)  # before the lock: a lock must never be there without what finishes its run
        except errors.RefusedError as error:
            with contextlib.suppress(errors.RefusedError):
                self._not_done(change, error)
            raise
        try:
            over = self._holding.take()
        except _TOOK_NOTHING as error:
            if not isinstance(error, errors.UnreachableError) or self._holding.withdraw():
                self._not_done(change, error)
            self._copy.withdraw()
            raise
        said = _said(change)
        if over:  # from whom is told in words only
            said |= {"what": f"{change.what} over from {over}", "change": ""}
        self._run.append(Mark.DONE, self._stage.ID, **said)
        return {}

    def let_go(self, *, tags_follow: bool = False) -> Mapping[str, str]:
        """Give the lock back, if this run has it. Its copy goes with it, unless what is left to do needs none."""
        if not holds_lock(self._run.events()):
            return {}
        if self._holding.is_mine:
            self._still_mine()
        else:
            self.hold()
        change = release_lock(lock.name(self._run.get(Request).application))
        self._announce(change)
        through(self._ports, self._holding.release)
        if not tags_follow:
            self._copy.remove(self._run.get(Request).undo)
        self._run.append(Mark.DONE, self._stage.ID, **_said(change))
        if tags_follow:
            self._copy.keep()
        return {}

    def all_is_done(self) -> None:
        """The run's tags are where they belong: nobody has to finish it any more."""
        request = self._run.get(Request)
        if self._moves_tags() and not holds_lock(self._run.events()):
            self._copy.remove(request.undo)

    def _moves_tags(self) -> bool:
        plan = self._run.find(Plan)
        return plan is not None and bool(plan.retag)

    def _announce(self, change: Change) -> None:
        self._run.append(Mark.ANNOUNCED, self._stage.ID, before=change.before, after=change.after, **_said(change))

    def _not_done(self, change: Change, error: Exception) -> None:
        self._run.append(
            Mark.NOT_DONE, self._stage.ID, **_said(change), error=redact(str(error)),
            code=error.exit_code if isinstance(error, errors.RollbackError) else 0,
        )  # fmt: skip


def _said(change: Change) -> dict[str, str]:
    """What every line of the journal about a change says of it."""
    return {"key": change.key, "what": change.what, "change": change.code, "subject": change.subject}
