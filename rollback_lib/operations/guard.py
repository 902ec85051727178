"""`rollback guard`: whether a deploy may go on. With ``hold`` it takes the lock that a rollback takes.

It may not while a run or another deploy has the lock, and not with what was rolled back from: the release, its commit
under another name, or an image of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from rollback_lib.collectors import ledger, lock_reader
from rollback_lib.core.errors import LockedError, Refusal, RefusedError
from rollback_lib.core.images.ladder import ladder_settings
from rollback_lib.core.releases import current, target
from rollback_lib.core.releases.ledger import Ledger
from rollback_lib.core.releases.target import QUARANTINED
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import DEPLOY, Claim, Held
from rollback_lib.core.settings.model import Settings
from rollback_lib.pipeline import holding
from rollback_lib.pipeline.holding import Holding
from rollback_lib.ports import Ports

UNKNOWN: Final = "cluster-unknown"
_LOOK_EVERY: Final = 5.0  # seconds


class Options(NamedTuple):
    """A deploy of ``release``. Times in seconds: ``wait`` for a lock; ``hold`` it then for so long (0: not at all)."""

    settings: Settings
    environment: str
    release: str
    origin: str = ""
    wait: float = 0.0
    hold: float = 0.0
    accept: Collection[str] = ()


def go(asked: Options, ports: Ports) -> str:
    """Why the deploy may go on, in words.

    Raises LockedError where a run or another deploy has the lock, RefusedError where the release is quarantined
    (``quarantined``) or the cluster cannot tell (``cluster-unknown``), unless that is accepted.
    """
    try:
        accepted = _not_quarantined(asked, ports)
        return accepted + _not_locked(asked, ports)
    except RefusedError as error:
        if any(r.code for r in error.refusals):
            raise
        if UNKNOWN not in asked.accept:
            raise RefusedError(*(Refusal(r.text, UNKNOWN, r.fix) for r in error.refusals)) from None
        return f"Go, although the cluster cannot tell (accepted): {error}"


def _not_locked(asked: Options, ports: Ports) -> str:
    application = asked.settings.application
    until = ports.clock.now() + timedelta(seconds=asked.wait)
    while True:
        now = ports.clock.now()
        try:
            held = lock_reader.find(ports.records, application)
            if held is not None and not _passes(held, ports, asked.release):
                raise LockedError(lock.locked(application, held, now))
            return _hold(asked, ports) if asked.hold else f"Go: {application} is not locked."
        except LockedError as error:
            if now >= until:
                raise
            ports.progress.waiting(str(error))
            ports.clock.sleep(min(_LOOK_EVERY, (until - now).total_seconds()))


def _not_quarantined(asked: Options, ports: Ports) -> str:
    """A word about what was accepted, or nothing. Raises RefusedError where it is quarantined and not accepted."""
    known = ledger.read(ports.records, asked.settings.application, asked.environment)
    if known.unread:
        raise RefusedError(known.unread)
    tag = next((t for t in ports.git.tags() if t.name == asked.release), None)
    refusals = target.quarantined(
        asked.release, known.held(asked.release, tag.commit if tag else "", _digests(asked, known, ports))
    )  # fmt: skip
    if refusals and QUARANTINED not in asked.accept:
        raise RefusedError(*refusals)
    return "".join(f"{r.text} Accepted. " for r in refusals)


def _digests(asked: Options, known: Ledger, ports: Ports) -> Iterator[str]:
    """The images that the registry has for the release, of the services that the ledger knows; asked when needed."""
    pattern = asked.settings.images.repository
    names = sorted({w.service for e in known.entries for w in e.workloads})
    if not pattern or not known.held_images:
        return
    settings = ladder_settings(asked.settings, names)
    each = [current.TeamContainer(name, pattern.replace("{service}", name)) for name in names]
    asking = sorted({t for one in each for t in current.tags(one, asked.release, settings)})
    answers = ports.registry.look_up(asking) if asking else {}
    yield from (d for a in answers.values() for d in (a.digest, *a.digests) if d)


def _passes(held: Held, ports: Ports, release: str) -> bool:
    return held.is_over(ports.clock.now()) or held.is_of(DEPLOY, release)


def _hold(asked: Options, ports: Ports) -> str:
    application, now = asked.settings.application, ports.clock.now()
    until = now + timedelta(seconds=asked.hold)
    claim = Claim(
        holder=asked.release, kind=DEPLOY, by=ports.user, origin=asked.origin, environment=asked.environment,
        since=now.isoformat(timespec="seconds"), until=until.isoformat(timespec="seconds"),
    )  # fmt: skip
    mine = Holding(ports, application, claim)
    mine.take()
    mine.rest()
    return (
        f"Go: {application} is locked for the deploy of {asked.release} until {until:%H:%M} UTC, or `rollback guard "
        f"--release {asked.release} --done`."
    )


def done(application: str, ports: Ports, release: str) -> str:
    """Free the lock that the deploy of ``release`` has; what was done, in words. Another's stays."""
    if holding.remove(ports.records, application, lambda held: held.is_of(DEPLOY, release)):
        return f"The deploy of {release} has given the lock back."
    held = lock_reader.find(ports.records, application)
    if held is None:
        return f"{application} is not locked."
    raise LockedError(f"not this deploy's: {lock.locked(application, held, ports.clock.now())}")
