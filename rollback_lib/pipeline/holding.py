"""Holding the lock: the claim on the Lease, and the signs of life of this process while it works."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from rollback_lib.collectors.lock_reader import find
from rollback_lib.core.errors import FailedError, LockedError, LostError, RollbackError
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim, Held
from rollback_lib.ports import ClusterRecords, Ports

_TRIES: Final = 5  # times that somebody was faster, before we say so
_LOOK_EVERY: Final = 3.0  # seconds, while another process is watched for signs of life


def remove(records: ClusterRecords, application: str, mine: Callable[[Held], bool]) -> bool:
    """Free the lock if it is ``mine``; whether it was. Renewals in between do not keep it from that."""
    for _ in range(_TRIES):
        held = find(records, application)
        if held is None or not mine(held):
            return False
        if records.delete(held.lease):
            return True
    return False


def _is(held: Held, nonce: str) -> bool:
    return held.claim is not None and held.claim.nonce == nonce


class Holding:
    """One process's hold. Nothing is asked of the cluster before `take`."""

    def __init__(
        self, ports: Ports, application: str, claim: Claim, *, take_over: bool = False, instead_of: str = ""
    ) -> None:
        """``instead_of``: the run whose claim passes to this one."""
        self._instead_of = instead_of
        self._ports, self._application, self._take_over = ports, application, take_over
        self._claim = msgspec.structs.replace(claim, nonce=secrets.token_hex(8))
        self._lease: Held | None = None  # as we last stored or saw it; None: not ours (any more)
        self._lost: Held | str = ""
        self._seen: datetime | None = None
        self._mutex = threading.Lock()
        self._end = threading.Event()
        self._renewals: threading.Thread | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this process has taken the lock, and has not seen it lost."""
        return self._lease is not None

    def take(self) -> str:
        """Take the lock, or take it over; from whom it was taken over, in words.

        The claim of the same run is taken over when no process works on it; another's only with ``take_over``. Raises
        LockedError where somebody else holds it, RefusedError where the cluster does not let us.
        """
        taken = ""
        records = self._ports.records
        for _ in range(_TRIES):
            now = self._ports.clock.now()
            stored = records.put(lock.lease(self._application, self._claim, now))
            if stored is None and (held := find(records, self._application)) is not None:
                if held.claim is not None and held.claim.nonce == self._claim.nonce:
                    stored = held.lease  # ours: the answer to an earlier try got lost
                else:
                    taken = self._may_take(held)
                    now = self._ports.clock.now()
                    stored = records.put(lock.lease(self._application, self._since(held), now, held.lease))
            if stored is not None:
                self._claim, self._seen = lock.read(stored).claim or self._claim, now
                self._lease = lock.read(stored)
                self._show_life()
                return taken
        raise LockedError(f"the lock of {self._application} changes faster than we can take it; try again.")

    def _since(self, held: Held) -> Claim:
        """Our claim; the same run's keeps the time since when it holds."""
        same = held.claim is not None and held.is_of(self._claim.kind, self._claim.holder)
        return msgspec.structs.replace(self._claim, since=held.claim.since) if same and held.claim else self._claim

    def _may_take(self, held: Held) -> str:
        """From whom it is taken over; empty for our own. Raises LockedError."""
        now = self._ports.clock.now()
        mine = held.is_of(self._claim.kind, self._claim.holder) or held.is_of(lock.RUN, self._instead_of)
        over = held.is_over(now)
        if not (mine or over or self._take_over):
            raise LockedError(lock.locked(self._application, held, now))
        if not over and held.claim is None:
            raise LockedError(lock.locked(self._application, held, now))
        self._wait_for_death(held)
        return "" if mine or over else lock.who(held, now)

    def _wait_for_death(self, held: Held) -> None:
        """A process that shows life is never taken over from: a renewal that we see counts, not the time in it."""
        clock, began = self._ports.clock, self._ports.clock.now()
        wait = held.watch_for(began)
        while (passed := (clock.now() - began).total_seconds()) < wait:
            self._ports.progress.waiting(
                f"Another process held the lock: {wait - passed:.0f} s more without a sign of life"
            )
            clock.sleep(min(_LOOK_EVERY, wait - passed))
            again = find(self._ports.records, self._application)
            if again is None or again.version == held.version:
                continue
            raise LockedError(
                lock.locked(self._application, again, clock.now()) + " It shows life: stop that process first."
            )

    def check(self) -> None:
        """Make sure that the lock is still ours, before a write. Asks the cluster at most every `lock.FRESH` seconds.

        Every write carries its own precondition as well: this is why not more is asked. Raises LockedError.
        """
        with self._mutex:
            now = self._ports.clock.now()
            fresh = self._seen is not None and now - self._seen < timedelta(seconds=lock.FRESH)
            if not self._lost and not fresh:
                self._look(find(self._ports.records, self._application))
                self._seen = now
            if not self._lost:
                return
            self._lease = None
            if isinstance(self._lost, str):
                raise LockedError(self._lost)
            if self._lost.is_of(self._claim.kind, self._claim.holder):
                raise LostError(f"another process goes on with run {self._claim.holder}; this one ends.")
            raise LockedError(lock.locked(self._application, self._lost, now) + " It was taken from this run.")

    def _look(self, held: Held | None) -> None:
        if held is None:
            self._lost = f"the lock of {self._application} was taken away from this run (`rollback unlock`)."
        elif held.claim is None or held.claim.nonce != self._claim.nonce:
            self._lost = held
        else:
            self._lease = held

    def release(self) -> None:
        """Give the lock back. Another's stays as it is. Raises FailedError where ours stays."""
        self._stop()
        nonce = self._claim.nonce
        with self._mutex:
            gone = self._lease is not None and self._ports.records.delete(self._lease.lease)
            self._lease = None
        if not gone and not remove(self._ports.records, self._application, lambda h: _is(h, nonce)):
            held = find(self._ports.records, self._application)
            if held is not None and _is(held, nonce):
                raise FailedError(f"the lock of {self._application} could not be given back: somebody changes it.")

    def withdraw(self) -> bool:
        """Whether it is certain that a `take` without an answer has left nothing of ours."""
        nonce = self._claim.nonce
        with contextlib.suppress(RollbackError):
            remove(self._ports.records, self._application, lambda h: _is(h, nonce))
            return True
        return False

    def rest(self) -> None:
        """This process ends and the claim stays: say that nobody works on it, so that nobody waits for us."""
        self._stop()
        with self._mutex, contextlib.suppress(RollbackError):
            if self._lease is not None and not self._lost:
                asleep = msgspec.structs.replace(self._claim, nonce="")
                self._put(asleep) or self._put(asleep)
            self._lease = None

    def _put(self, claim: Claim) -> bool:
        """Store the claim over the version that we know; else look, and whether it was stored."""
        assert self._lease is not None
        now = self._ports.clock.now()
        stored = self._ports.records.put(lock.lease(self._application, claim, now, self._lease.lease))
        if stored is None:
            self._look(find(self._ports.records, self._application))
            return bool(self._lost)
        self._lease, self._seen = lock.read(stored), now
        return True

    def _show_life(self) -> None:
        if self._renewals is None:
            self._renewals = threading.Thread(target=self._renew, name="rollback-lock", daemon=True)
            self._renewals.start()

    def _renew(self) -> None:
        end = self._end
        while not end.wait(lock.RENEW_EVERY):
            with self._mutex, contextlib.suppress(Exception):  # a renewal never fails a run; the next one tries again
                if self._lease is not None and not self._lost:
                    self._put(self._claim)

    def _stop(self) -> None:
        self._end.set()
        if self._renewals is not None:
            self._renewals.join(timeout=1)  # it may be in a request; it is a daemon
        self._renewals, self._end = None, threading.Event()
