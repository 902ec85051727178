"""`rollback guard`: whether a deploy may go on. With ``hold`` it takes the lock that a rollback takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from rollback_lib import holding
from rollback_lib.core import lock
from rollback_lib.core.errors import LockedError
from rollback_lib.core.lock import DEPLOY, Claim, Held
from rollback_lib.holding import Holding
from rollback_lib.ports import Ports

_LOOK_EVERY: Final = 5.0  # seconds


def go(application: str, environment: str, ports: Ports, release: str, origin: str, times: Mapping[str, float]) -> str:
    """Why the deploy of ``release`` may go on, in words.

    ``times`` in seconds: ``wait``, for which a lock is waited for, and ``hold``, for which the lock is then taken (0:
    not at all). Raises LockedError where a run or another deploy has it, RefusedError where the cluster cannot tell.
    """
    until = ports.clock.now() + timedelta(seconds=times["wait"])
    while True:
        now = ports.clock.now()
        try:
            held = holding.find(ports.records, application)
            if held is not None and not _passes(held, ports, release):
                raise LockedError(lock.locked(application, held, now))
            if not times["hold"]:
                return f"Go: {application} is not locked."
            return _hold(application, environment, ports, release, origin, times["hold"])
        except LockedError as error:
            if now >= until:
                raise
            ports.progress.waiting(str(error))
            ports.clock.sleep(min(_LOOK_EVERY, (until - now).total_seconds()))


def _passes(held: Held, ports: Ports, release: str) -> bool:
    return held.is_over(ports.clock.now()) or held.is_of(DEPLOY, release)


def _hold(application: str, environment: str, ports: Ports, release: str, origin: str, seconds: float) -> str:
    now = ports.clock.now()
    until = now + timedelta(seconds=seconds)
    claim = Claim(
        holder=release, kind=DEPLOY, by=ports.user, origin=origin, environment=environment,
        since=now.isoformat(timespec="seconds"), until=until.isoformat(timespec="seconds"),
    )  # fmt: skip
    mine = Holding(ports, application, claim)
    mine.take()
    mine.rest()
    return (
        f"Go: {application} is locked for the deploy of {release} until {until:%H:%M} UTC, or `rollback guard --done`."
    )


def done(application: str, ports: Ports, release: str) -> str:
    """Free the lock that the deploy of ``release`` has; what was done, in words. Another's stays."""
    if holding.remove(ports.records, application, lambda held: held.is_of(DEPLOY, release)):
        return f"The deploy of {release} has given the lock back."
    held = holding.find(ports.records, application)
    if held is None:
        return f"{application} is not locked."
    raise LockedError(f"not this deploy's: {lock.locked(application, held, ports.clock.now())}")
