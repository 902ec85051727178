"""What closing traffic means for one plan: which objects, who serves through them now, and why it may be refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core import health
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.field_owners import appliers
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, fingerprint, kind_of, name_of, ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.reasons import Reason
from rollback_lib.core.run.changes import CloseTraffic, OpenTraffic
from rollback_lib.core.settings.model import Isolation
from rollback_lib.core.traffic import maintenance, slots
from rollback_lib.core.traffic.slots import CLOSABLE, KINDS_OF, Page

# Besides these, what requests go by before and behind the targets.
READ: Final = ("Service", "Pod")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is closed. ``before``: its fingerprint when open; ``healthy``: Ready pods behind it."""

    kind: str
    name: str
    api_version: str
    before: str
    healthy: int = 0

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name)


class LeftPage(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a dead run's maintenance page, which the next run takes away."""

    kind: str
    name: str
    uid: str


class PlannedIsolation(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan says of traffic. ``maintenance``: empty, the team's own service, or our page's image."""

    mode: str = "none"
    targets: tuple[Target, ...] = ()
    drain: str = ""
    maintenance: str = ""
    ours: bool = False  # the maintenance page is ours: made before traffic moves, removed after
    besides: tuple[str, ...] = ()  # Ingresses for the same hosts, which stay open
    left: tuple[LeftPage, ...] = ()
    taken_over: bool = False  # closed already, by the run that is undone

    @property
    def decisions(self) -> list[Any]:
        """What the plan's hash covers: how many pods serve now is none of it."""
        return [self.mode, [[t.kind, t.name, t.before] for t in self.targets], self.drain, self.maintenance]

    @property
    def closes(self) -> bool:
        return bool(self.targets)


class Isolating(msgspec.Struct, frozen=True, kw_only=True):
    """The decision, with what speaks against it, what a person must know, and the live objects of the targets."""

    plan: PlannedIsolation = PlannedIsolation()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    page: Page | None = None
    live: tuple[Object, ...] = ()


def kinds(settings: Isolation) -> tuple[str, ...]:
    """What must be read to decide."""
    return tuple(dict.fromkeys((*KINDS_OF[settings.mode], *READ)))


def decide(settings: Isolation, snapshot: Snapshot, runs: Sequence[str]) -> Isolating:
    """Which objects to close, and whether that can be done safely. ``runs``: the one that asks, and the undone one."""
    refusals: list[Refusal] = []
    warnings: list[str] = []
    found: list[Object] = []
    for target in settings.targets:
        mine = [o for kind in KINDS_OF[settings.mode] if (o := snapshot.get(ObjectRef(kind, target))) is not None]
        for live in mine:
            if why := slots.cannot_close(live, runs) or _nobody(live, snapshot):
                refusals.append(why)
            else:
                found.append(live)
        if not mine:
            refusals.append(_missing(settings.mode, target, snapshot))
    asked = settings.maintenance
    team = snapshot.get(ObjectRef("Service", asked.service)) if asked and asked.service else None
    if asked and asked.service:
        refusals += _unfit(asked.service, team, found, snapshot)
    targets = tuple(_target(live, snapshot) for live in found)
    warnings += list(_warnings(found, targets, snapshot))
    shown = "" if asked is None else asked.service or asked.image
    plan = PlannedIsolation(
        mode=settings.mode, targets=targets, drain=settings.drain, maintenance=shown,
        ours=asked is not None and not asked.service,
        besides=tuple(f"Ingress/{other}" for other, _ in _besides(found, snapshot)),
        taken_over=any((was := slots.closing(o)) is not None and was.run != runs[0] for o in found),
    )  # fmt: skip
    page = maintenance.page(runs[0], asked, team)
    return Isolating(plan=plan, refusals=tuple(refusals), warnings=tuple(warnings), page=page, live=tuple(found))


def as_open(snapshot: Snapshot) -> Snapshot:
    """The same, as it is with traffic open."""
    found = {
        kind: {name: slots.as_open(o) or o for name, o in objects.items()} if kind in CLOSABLE else objects
        for kind, objects in snapshot.objects.items()
    }
    return Snapshot(found, snapshot.refused, snapshot.unserved)


def closed_by_others(snapshot: Snapshot, runs: Sequence[str]) -> Iterator[Refusal]:
    """A plan says nothing true about objects that a dead run has closed: that run goes first."""
    for kind in CLOSABLE:
        for live in snapshot.all(kind):
            if slots.closed_by_another(live, runs):
                yield slots.by_another(live)


def closing_change(live: Object, page: Page | None, *, run: str, since: str, key: str) -> CloseTraffic:
    """The change that closes a target; the same one when it is asked for again after it was made.

    What an undone run has closed goes over to this run without being open in between.
    """
    record = slots.closing(live)
    is_open = slots.opened(live).object
    wanted = slots.close(is_open, page, run=run, since=record.since if record else since)
    now = live if record is not None and record.run != run else is_open
    return CloseTraffic(
        key=key, kind=kind_of(live), name=name_of(live), api_version=str(live["apiVersion"]),
        before=fingerprint(now), after=fingerprint(wanted), operations=slots.operations(now, wanted),
        appliers=appliers(live),
    )  # fmt: skip


def opening_change(live: Object, *, key: str) -> tuple[OpenTraffic, tuple[str, ...]]:
    """The change that opens a closed object, and what of it somebody else changed meanwhile, which stays."""
    found = slots.opened(live)
    change = OpenTraffic(
        key=key, kind=kind_of(live), name=name_of(live), api_version=str(live["apiVersion"]),
        before=fingerprint(live), after=fingerprint(found.object), operations=slots.operations(live, found.object),
        appliers=appliers(live),
    )  # fmt: skip
    return change, tuple(f"{change.ref}: {kept}" for kept in found.kept)


def _missing(mode: str, target: str, snapshot: Snapshot) -> Refusal:
    kinds = KINDS_OF[mode]
    if unread := [k for k in kinds if k in snapshot.refused]:
        said = "; ".join(snapshot.refused[k] for k in unread)
        return Refusal(
            f"{target} cannot be closed: {said}.", reason=Reason.OBJECT_UNREAD, subject=target, facts=tuple(unread)
        )
    return Refusal(
        f"{' or '.join(kinds)}/{target} does not exist, so it cannot be closed. Correct isolation.targets, or "
        f"use --no-isolate.",
        reason=Reason.NOT_THERE_TO_CLOSE, subject=target,
    )  # fmt: skip


def _nobody(live: Object, snapshot: Snapshot) -> Refusal | None:
    """A Service that selects no pod at all, not even a sick one, is closed already, by hand."""
    if kind_of(live) != "Service" or slots.closing(live) or _selected(live, snapshot):
        return None
    what = str(ref_of(live))
    return Refusal(
        f"{what} selects no pod: it is closed by hand, or what it served is gone. There is nothing to close, and "
        f"nothing that could be opened again. Put its selector right, or use --no-isolate.",
        reason=Reason.SELECTS_NO_POD, subject=what,
    )  # fmt: skip


def _selected(service: Mapping[str, Any] | None, snapshot: Snapshot) -> list[Object]:
    wanted = ((service or {}).get("spec") or {}).get("selector") or {}
    pods = snapshot.all("Pod") if wanted else []
    return [p for p in pods if wanted.items() <= ((p.get("metadata") or {}).get("labels") or {}).items()]


def _target(live: Object, snapshot: Snapshot) -> Target:
    is_open = slots.opened(live).object
    services = [is_open] if kind_of(live) == "Service" else [
        s for name in slots.backend_services(is_open) if (s := snapshot.get(ObjectRef("Service", name))) is not None
    ]  # fmt: skip
    pods = {name_of(p) for s in services for p in _selected(slots.opened(s).object, snapshot) if health.is_ready(p)}
    return Target(
        kind=kind_of(live), name=name_of(live), before=fingerprint(is_open), healthy=len(pods),
        api_version=str(live.get("apiVersion") or KINDS[kind_of(live)].api),
    )  # fmt: skip


def _unfit(name: str, team: Object | None, closed: Sequence[Object], snapshot: Snapshot) -> Iterator[Refusal]:
    """Why the team's own page cannot take over; it must be ready now."""
    what = str(ObjectRef("Service", name))
    if team is None:
        text = f"{what}, which is to show the maintenance page, does not exist."
        yield Refusal(text, reason=Reason.NO_PAGE, subject=what)
        return
    pods = [p for p in _selected(team, snapshot) if health.is_ready(p)]
    if not pods:
        text = f"{what}, which is to show the maintenance page, has no Ready pod."
        yield Refusal(text, reason=Reason.PAGE_NOT_READY, subject=what)
        return
    _, named = maintenance.target_ports([o for o in closed if kind_of(o) == "Service"])
    has = {p.get("name") for c in (pods[0].get("spec") or {}).get("containers") or [] for p in c.get("ports") or []}
    if lacking := [port for port in named if port not in has]:
        yield Refusal(
            f"The pods of {what}, which is to show the maintenance page, have no port named "
            f"{', '.join(lacking)}, which a closed Service sends to. Name it in their containers' ports.",
            reason=Reason.PAGE_LACKS_PORT,
            subject=what,
            facts=tuple(lacking),
        )


def _warnings(found: Sequence[Object], targets: Sequence[Target], snapshot: Snapshot) -> Iterator[str]:
    for target in targets:
        if target.healthy:
            many = "1 healthy pod serves" if target.healthy == 1 else f"{target.healthy} healthy pods serve"
            yield f"{many} through {target.ref} now: closing it is an outage until it is opened."
    for other, same in _besides(found, snapshot):
        yield f"Ingress/{other} takes requests for {', '.join(sorted(same))} too, and stays open."
    for live in found:
        if is_gce(live):
            yield f"Ingress/{name_of(live)} is Google's: its load balancer takes minutes to follow, both ways."


def _besides(found: Sequence[Object], snapshot: Snapshot) -> Iterator[tuple[str, set[str]]]:
    """(name, hosts) of each Ingress that takes requests for a host that is closed, and is not closed itself."""
    names = {name_of(o) for o in found if kind_of(o) == "Ingress"}
    hosts = {host for o in found if kind_of(o) == "Ingress" for host in _hosts(o)}
    for other in snapshot.all("Ingress"):
        if name_of(other) not in names and (same := hosts & _hosts(other)):
            yield name_of(other), same


def _hosts(ingress: Mapping[str, Any]) -> set[str]:
    return {str(r.get("host") or "*") for r in (ingress.get("spec") or {}).get("rules") or []}


def is_gce(live: Mapping[str, Any]) -> bool:
    """Whether Google's load balancer serves this Ingress."""
    notes = (live.get("metadata") or {}).get("annotations") or {}
    given = notes.get("kubernetes.io/ingress.class") or (live.get("spec") or {}).get("ingressClassName") or ""
    return kind_of(live) == "Ingress" and str(given).startswith("gce")


def opened_with(plan: PlannedIsolation, anew: Iterable[ObjectRef]) -> list[Refusal]:
    """The refusals of what would be made again where traffic is closed."""
    closed = {t.ref for t in plan.targets}
    return [
        Refusal(
            f"{ref} would be made again, and traffic is closed at it: it would open with that.",
            code=f"skip:{ref}", fix="Or go without --isolate.",
            reason=Reason.OPENS_WHEN_MADE_AGAIN, subject=str(ref),
        )
        for ref in anew
        if ref in closed
    ]  # fmt: skip
