"""What was looked at, when, and what was found: the one place that says what is true of the cluster.

Whoever tells a person or a program that a release runs, is restored or healthy, or that traffic is open, says it from
here: last line, record, notices, `status`, `verify`, `doctor` and Jenkins's page. A journal tells what its own run did;
another run may have closed traffic meanwhile. What was not looked at is unknown, and a count counts what the release
has (design §0, law 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from rollback_lib.core.health import Health
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.record import Record
from rollback_lib.core.run.journal import (
    CLOSED,
    LOCK_TAKEN,
    OPEN,
    UNKNOWN,
    Ending,
    Event,
    Mark,
    closed_targets,
    ending,
    opened_targets,
)
from rollback_lib.core.run.records import Verification
from rollback_lib.core.run.ways import Left
from rollback_lib.core.settings.model import Isolation
from rollback_lib.core.traffic import slots
from rollback_lib.core.wording import some

NOT_LOOKED: Final = "it was not looked at"


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is closed. ``problem``: why it cannot be opened from its own record."""

    kind: str
    name: str
    run: str
    since: str = ""
    problem: str = ""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)

    def __str__(self) -> str:
        return f"{self.ref}, closed since {self.since or 'an unknown time'} by run {self.run}"


class Looked(Record, frozen=True, kw_only=True):
    """One look at traffic and at the lock. ``why``: nobody can tell how traffic is; empty where it was seen.

    ``aside``: kinds that nobody may list and nothing of this environment closes. ``seq``: how many lines the journal
    had then; what the run did itself comes after. ``lock``: who else holds it, in words; ``left`` and ``holder`` as
    `core.run.ways` has them. ``ends``: the run that this one undoes has the lock, or left its copy.
    """

    at: str = ""
    closed: tuple[Closed, ...] = ()
    why: str = NOT_LOOKED
    aside: tuple[str, ...] = ()
    seq: int = 0
    lock: str = ""
    left: Left = Left.FREE
    holder: str = ""
    ends: bool = False

    @property
    def traffic(self) -> str:
        """open, closed or unknown, where no run of ours is meant."""
        return CLOSED if self.closed else UNKNOWN if self.why else OPEN


def closed(snapshot: Snapshot) -> tuple[Closed, ...]:
    """What is closed in the namespace, by the objects' own record."""
    found = []
    for kind in slots.CLOSABLE:
        for live in snapshot.all(kind):
            record, by = slots.closing(live), slots.closed_by(live)
            if record is not None:
                found.append(Closed(kind=kind, name=name_of(live), run=record.run, since=record.since))
            elif by:
                found.append(Closed(kind=kind, name=name_of(live), run=by, problem=slots.closed_already(live)))
    return tuple(found)


def looked(snapshot: Snapshot, settings: Isolation, *, at: str, seq: int, before: Looked | None = None) -> Looked:
    """What a snapshot of `slots.CLOSABLE` tells of traffic. ``before``: what was seen of the lock stays."""
    unread = [kind for kind in slots.CLOSABLE if kind in snapshot.refused and kind not in snapshot.unserved]
    needed = [kind for kind in unread if kind in ("Service", *slots.KINDS_OF.get(settings.mode, ()))]
    why = "; ".join(snapshot.refused[kind] for kind in needed)
    was = before or Looked()
    return msgspec.structs.replace(was, at=at, closed=closed(snapshot), why=why, aside=tuple(unread), seq=seq)


def how_it_stands(events: Sequence[Event], seen: Looked | None) -> Ending:
    """The run's ending by its journal, with traffic as it was seen; what this run did since is taken into account."""
    found, seen = ending(events), seen or Looked()
    took = any(e.key == LOCK_TAKEN and e.mark is Mark.DONE for e in events)
    if not took:  # what it took over is its own
        found = msgspec.structs.replace(found, locked_by=seen.lock, left=seen.left, holder=seen.holder)
    if found.traffic == CLOSED:
        return found
    since = [e for e in events if e.seq >= seen.seq]
    opened = opened_targets(since)
    others = [c for c in seen.closed if f"{c.kind.lower()}/{c.name}" not in opened]
    by = tuple(dict.fromkeys(f"run {c.run}" + (f" since {c.since}" if c.since else "") for c in others))
    traffic = CLOSED if others else UNKNOWN if seen.why else OPEN
    aside = f"{some(seen.aside)} not looked at" if seen.aside else ""
    return msgspec.structs.replace(found, traffic=traffic, closed_by=by, traffic_why=seen.why or aside)


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How the workloads that a release has were seen. ``ready``: healthy with all their pods; ``zero``: at 0 replicas,
    so restored and unproven; ``but``: what of the release is not there or not as it has it, in words."""

    has: int
    ready: int
    zero: tuple[str, ...] = ()
    but: str = ""

    def __str__(self) -> str:
        zero = f"; at 0 replicas, so unproven: {some(self.zero)}" if self.zero else ""
        return f"{self.ready} of {self.has} ready{zero}" + (f"; {self.but}" if self.but else "")


def counted(plan: Plan, found: Verification) -> Counted:
    """The workloads of the plan's release, by what `verify` saw of them."""
    has = plan.has
    return Counted(
        has=len(has.all), but=has.but,
        ready=sum(w.ready == w.desired > 0 and w.health == Health.HEALTHY for w in found.workloads),
        zero=tuple(str(w.ref) for w in found.workloads if not w.desired),
    )  # fmt: skip


def is_restored(plan: Plan | None, found: Verification | None) -> bool:
    """Whether the whole release was seen to run healthy; what is at 0 replicas is restored and unproven."""
    return bool(plan and found and found.healthy and not plan.has.but)


def is_answered(events: Sequence[Event], seen: Looked | None) -> bool:
    """Whether nothing more has to be asked to tell how traffic is: it was seen, or the run itself has it closed."""
    return bool(closed_targets(events)) or (seen is not None and not seen.why)


def of_traffic(stands: Ending, environment: str) -> str:
    """How traffic is, in a few words."""
    if stands.gone:
        return f"TRAFFIC IS CLOSED: {some(stands.gone)} is gone, and nobody gets in there until it is made again"
    if stands.traffic == CLOSED:
        by = f" by {some(stands.closed_by)}" if stands.closed_by else ""
        where = f" -e {environment}" if environment else ""
        return f"TRAFFIC IS CLOSED{by}, and `rollback reopen{where}` opens it as it was"
    if stands.traffic == OPEN:
        return "traffic is open" + (f" ({stands.traffic_why})" if stands.traffic_why else "")
    return f"traffic is unknown: {(stands.traffic_why or NOT_LOOKED).splitlines()[0].rstrip('.')}"
