"""`rollback quarantine`: a release must not come back by itself, or may again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from rollback_lib.collectors import ledger as collector
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.redact import short
from rollback_lib.core.releases import ledger
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.ledger import AnyKept, Ledger, Quarantine
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.settings.parameters import REASON_LIMIT
from rollback_lib.ports import Ports


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, and the marks that it was done to."""

    text: str
    marks: tuple[Quarantine, ...]
    changed: bool


class Options(NamedTuple):
    """``release`` may be the id of a run where only that run's mark has no release."""

    settings: Settings
    environment: str
    release: str
    reason: str = ""
    lift: bool = False


def mark(asked: Options, ports: Ports) -> Done:
    """Quarantine a release, or lift it. Raises RefusedError where there is no such tag, or the ledger is closed."""
    known = collector.read(ports.records, asked.settings.application, asked.environment)
    if known.unread:
        raise RefusedError(known.unread)
    return _lift(asked, known, ports) if asked.lift else _set(asked, known, ports)


def _set(asked: Options, known: Ledger, ports: Ports) -> Done:
    tag = release.find(ports.git.tags(), asked.release)
    entry = known.entry(tag.name)
    digests = {d for w in entry.workloads for c in w.containers if c.own for d in c.digests} if entry else set()
    others = {
        d for e in known.good if e.release != tag.name for w in e.workloads for c in w.containers for d in c.digests
    }

    def made(before: AnyKept | None) -> AnyKept:
        old = before if isinstance(before, Quarantine) else None
        return Quarantine(
            application=asked.settings.application, environment=asked.environment, release=tag.name, commit=tag.commit,
            digests=tuple(sorted((digests - others) | set(old.digests if old else ()))),
            reason=short(asked.reason, REASON_LIMIT) or (old.reason if old else "") or "by hand", by=ports.user,
            at=ports.clock.now().isoformat(timespec="milliseconds"), run=old.run if old else "",
        )  # fmt: skip

    blank = Quarantine(application=asked.settings.application, environment=asked.environment, release=tag.name)
    stored = ledger.decode(collector.write(ports.records, made, ledger.name(blank)))
    assert isinstance(stored, Quarantine)
    said = f"{tag.name} is quarantined in {asked.environment}: {stored.reason}. It does not come back by itself."
    return Done(text=said, marks=(stored,), changed=True)


def _lift(asked: Options, known: Ledger, ports: Ports) -> Done:
    """Every mark that holds the release: its own, and those of its commit under other names."""
    tags = [t for t in ports.git.tags() if t.name == asked.release]
    commit = tags[0].commit if tags else ""
    mine = [
        q
        for q in known.quarantines
        if q.release == asked.release or (commit and q.commit == commit) or (not q.release and q.run == asked.release)
    ]
    if not mine:
        there = ", ".join(q.release or q.run for q in known.quarantines[:8]) or "nothing"
        said = f"{asked.release} is not quarantined in {asked.environment}; {there} is."
        return Done(text=said, marks=(), changed=False)
    for one in mine:
        collector.remove(ports.records, ledger.name(one))
    names = ", ".join(dict.fromkeys(q.release or q.run for q in mine))
    return Done(
        text=f"{names} may come back: no longer quarantined in {asked.environment}.", marks=tuple(mine), changed=True
    )
