"""The lock: one Lease an application. Who holds it, since when, and whether a process still shows life.

A claim lasts until it is released; liveness is apart from it (design §6, "Lock"). A process that holds the claim has a
nonce of its own, and a claim without a nonce has no process at the moment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, notes_of

RENEW_EVERY: Final = 10.0  # seconds
DEAD_AFTER: Final = 60.0  # seconds without a sign of life
WATCHED: Final = 15.0  # seconds: more than a renewal, because clocks of agents differ (cases, C43)
FRESH: Final = 2.0  # seconds for which a look at the Lease is believed
APPLICATION: Final = "rollback-lib/application"
_CLAIM: Final = "rollback-lib/claim"
RUN: Final = "run"
DEPLOY: Final = "deploy"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock. ``holder`` is a run's id, or the release of a deploy, whose claim ends at ``until``."""

    holder: str
    kind: str = RUN  # run | deploy
    by: str = ""
    origin: str = ""
    environment: str = ""
    since: str = ""
    until: str = ""
    undoes: str = ""  # the run that this one undoes
    nonce: str = ""  # of the process that works on it; empty: none at the moment


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The Lease as it was found. ``claim`` is None where another program wrote it."""

    lease: Object
    claim: Claim | None = None

    @property
    def version(self) -> str:
        return str(self.lease["metadata"].get("resourceVersion", ""))

    @property
    def holder(self) -> str:
        """The id of the run, the release of the deploy, or what another program wrote."""
        return self.claim.holder if self.claim else str((self.lease.get("spec") or {}).get("holderIdentity") or "")

    @property
    def hold(self) -> tuple[Claim | None, str]:
        """Whose it is, renewals aside: two that are equal are one hold."""
        return self.claim, self.holder

    def shows_life(self, now: datetime) -> bool:
        """Whether a process of a run works on it, as far as its last sign of life tells."""
        silent = self.silent_for(now)
        return self.claim is not None and bool(self.claim.nonce) and (silent is None or silent < DEAD_AFTER)

    def is_of(self, kind: str, holder: str) -> bool:
        return self.claim is not None and (self.claim.kind, self.claim.holder) == (kind, holder)

    def is_over(self, now: datetime) -> bool:
        """Whether it is a deploy's hold whose time has passed."""
        until = _time(self.claim.until) if self.claim and self.claim.kind == DEPLOY else None
        return until is not None and now >= until

    def silent_for(self, now: datetime) -> float | None:
        """Seconds since the last sign of life by the clocks of two machines; None where nothing tells."""
        renewed = _time(str((self.lease.get("spec") or {}).get("renewTime") or ""))
        return None if renewed is None or renewed > now else (now - renewed).total_seconds()

    def watch_for(self, now: datetime) -> float:
        """For how many seconds it must not change before its process counts as dead; 0 where there is none."""
        if self.claim is not None and (self.claim.kind == DEPLOY or not self.claim.nonce):
            return 0.0
        silent = self.silent_for(now)
        return DEAD_AFTER if silent is None else max(WATCHED, DEAD_AFTER - silent)


def name(application: str) -> str:
    """The Lease's name."""
    return f"rollback-{application}"


def lease(application: str, claim: Claim, now: datetime, on: Object | None = None) -> Object:
    """The Lease for a claim, new or in place of exactly the version ``on``."""
    there: Object = on["metadata"] if on is not None else {"name": name(application)}
    meta = {
        **there,
        "labels": {**(there.get("labels") or {}), APPLICATION: application},
        "annotations": {**(there.get("annotations") or {}), _CLAIM: msgspec.json.encode(claim).decode()},
    }
    spec = {
        "holderIdentity": claim.holder, "acquireTime": micro_time(_time(claim.since) or now),
        "renewTime": micro_time(now), "leaseDurationSeconds": int(DEAD_AFTER),
    }  # fmt: skip
    return {"apiVersion": KINDS["Lease"].api, "kind": "Lease", "metadata": meta, "spec": spec}


def read(found: Object) -> Held:
    """What a Lease says. One that is not ours, or does not read, is held by somebody unknown."""
    try:
        return Held(lease=found, claim=msgspec.json.decode(notes_of(found)[_CLAIM], type=Claim))
    except (KeyError, TypeError, msgspec.MsgspecError):
        return Held(lease=found)


def micro_time(at: datetime) -> str:
    """The only form that a Lease takes: UTC, exactly six digits, ``Z`` (cases, C43)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def who(held: Held, now: datetime) -> str:
    """The holder in words, with its age and its last sign of life."""
    claim = held.claim
    if claim is None:
        other = str((held.lease.get("spec") or {}).get("holderIdentity") or "an unknown program")
        return f"{other}, not by rollback (age unknown)"
    since = _time(claim.since)
    age = f"since {since:%Y-%m-%d %H:%M} UTC ({_span(now - since)})" if since else "age unknown"
    where = f" from {claim.origin}" if claim.origin else ""
    said = f"{claim.kind} {claim.holder} by {claim.by or 'unknown'}{where}, {age}"
    if claim.kind == DEPLOY:
        until = _time(claim.until)
        return f"{said}, until {until:%H:%M} UTC" if until else said
    if not claim.nonce:
        return f"{said}, no process works on it now"
    silent = held.silent_for(now)
    return f"{said}, last sign of life {'unknown' if silent is None else _span(timedelta(seconds=silent)) + ' ago'}"


def locked(application: str, held: Held, now: datetime) -> str:
    """Why nothing can be done now, and the ways on."""
    said = f"{application} is locked by {who(held, now)}."
    if held.claim is None:
        return f"{said} Find out what it is; `rollback unlock --force` takes the lock away."
    if held.claim.kind == DEPLOY:
        return (
            f"{said} Wait for the deploy, or go on in its place with --take-over (recorded); `rollback guard --release "
            f"{held.claim.holder} --done` frees it."
        )
    undo = "" if held.claim.undoes else f", or undo it with `rollback undo {held.claim.holder}`"
    return (
        f"{said} Finish it with `rollback resume {held.claim.holder}`{undo}; a run that is dead can be replaced with "
        f"--take-over; `rollback unlock --force` takes the lock away."
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _span(of: timedelta) -> str:
    seconds = max(0, int(of.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
