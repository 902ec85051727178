"""Watching workloads come up: one snapshot a round, judged by `core.health`, until they are well or it is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from rollback_lib.collectors.outage import through
from rollback_lib.core import health
from rollback_lib.core.errors import CheckError
from rollback_lib.core.health import EarlierRounds, Health, Patience, Report, View
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, told_by
from rollback_lib.core.kube.objects import Object, name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import CREATE, NONE, RESTART, UPDATE, Plan
from rollback_lib.core.redact import redact
from rollback_lib.ports import Ports

T = TypeVar("T")
INTERVAL: Final = 0.4  # seconds between rounds: a rollout of one pod takes 0.8
_EVENTS_EVERY: Final = 8  # rounds
_NODES_EVERY: Final = 25
OURS: Final = "kubectl-client-side-apply"


class Watched(msgspec.Struct, frozen=True):
    """One workload to watch. ``patched``: this run changed its template. ``wave``: when its turn was."""

    ref: ObjectRef
    wave: int = 0
    patched: bool = True


def watched(plan: Plan) -> list[Watched]:
    """The workloads of the plan that are waited for."""
    return [
        Watched(o.ref, s.wave, o.change in (CREATE, UPDATE, RESTART))
        for s in plan.services
        for o in s.objects
        if o.ref.type in AWAITED and o.change in (CREATE, UPDATE, RESTART, NONE)
    ]


class Rollouts:
    """The same workloads over many rounds; what must stand for a while is remembered between them."""

    def __init__(
        self, ports: Ports, watched: Sequence[Watched], *, rollout_timeout: float, crash_restarts: int,
        aside: Collection[ObjectRef] = (),
    ) -> None:  # fmt: skip
        """``aside``: workloads that are looked at and not waited for, since they were sick before what is undone."""
        self._aside = frozenset(aside)
        self._ports = ports
        self._watched = tuple(w for w in watched if w.ref.kind in AWAITED)
        self._timeout, self._crash_restarts = rollout_timeout, crash_restarts
        self._seen: dict[ObjectRef, EarlierRounds] = {}
        self._began: dict[ObjectRef, datetime] = {}
        self._rounds = 0
        self._nodes: Mapping[str, bool] | None = None
        self._events: Sequence[Object] = ()
        self._healthy: set[ObjectRef] = set()
        self.views: dict[ObjectRef, View] = {}
        self.snapshot: Snapshot | None = None

    def look(self) -> dict[ObjectRef, Report]:
        """One round: a report for each workload that exists."""
        kinds = sorted({w.ref.kind for w in self._watched})
        workloads = self._ports.cluster.snapshot(kinds)  # first: what is read later may be newer, never older
        rest = self._ports.cluster.snapshot(told_by(kinds))
        self.snapshot = Snapshot(
            {**workloads.objects, **rest.objects},
            {**workloads.refused, **rest.refused},
            workloads.unserved | rest.unserved,
        )
        for why in self.snapshot.refused.values():  # what is not seen would be waited for in vain
            raise CheckError(f"Nobody can tell how the rollout goes: {why}.")
        now = self._ports.clock.now()
        if self._rounds % _NODES_EVERY == 0:
            nodes = self._ports.cluster.nodes()
            self._nodes = None if nodes is None else {name: _node_ready(n) for name, n in nodes.items()}
        if self._rounds and self._rounds % _EVENTS_EVERY == 0:
            self._events = self._ports.cluster.events().all
        self._rounds += 1
        reports: dict[ObjectRef, Report] = {}
        for one in self._watched:
            workload = self.snapshot.get(one.ref)
            if workload is not None:
                reports[one.ref] = self._judge(one, workload, now)
        self._healthy = {k for k, r in reports.items() if r.health is Health.HEALTHY}
        return reports

    def _judge(self, one: Watched, workload: Object, now: datetime) -> Report:
        assert self.snapshot is not None
        began = self._began.setdefault(one.ref, now)
        view = View(
            workload, replica_sets=self.snapshot.all("ReplicaSet"), pods=self.snapshot.all("Pod"), nodes=self._nodes,
            revisions=self.snapshot.all("ControllerRevision"), events=tuple(self._events),
        )  # fmt: skip
        others = {w.ref for w in self._watched if w.ref != one.ref}
        patience = Patience(
            now=now, patched_at=_patched_at(workload) if one.patched else None,
            deadline=began + timedelta(seconds=health.limit(workload, self._timeout)),
            crash_restarts=self._crash_restarts, quick_crash=bool(others) and others <= self._healthy,
            seen=self._seen.get(one.ref, EarlierRounds()),
        )  # fmt: skip
        if patience.quick_crash:
            view = msgspec.structs.replace(view, lines=self._last_lines(view))
        self.views[one.ref] = view
        report = health.assess(view, patience)
        self._seen[one.ref] = health.look(view, patience)
        return report

    def _last_lines(self, view: View) -> Mapping[str, str]:
        """The last line of each container that is down after a crash, for a crash that repeats itself."""
        lines = {}
        for pod in health.newest_pods(view):
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                if ((status.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff":
                    text = self._ports.cluster.logs(name_of(pod), status["name"], previous=True, lines=3).text
                    lines[f"{name_of(pod)}/{status['name']}"] = redact(text)
        return lines

    def until(self, enough: Callable[[Mapping[ObjectRef, Report]], bool], what: str) -> dict[ObjectRef, Report]:
        """Rounds until ``enough`` says so, or a workload has failed for good. The last reports."""
        while True:
            reports = through(self._ports, self.look)
            waited_for = self.waited_for(reports)
            if enough(waited_for) or any(r.health is Health.FAILED for r in waited_for.values()):
                return reports
            self._ports.progress.waiting(f"{what}: {waiting_for(waited_for)}")
            self._ports.clock.sleep(INTERVAL)

    def waited_for(self, found: Mapping[ObjectRef, T]) -> dict[ObjectRef, T]:
        """What of it decides, by workload."""
        return {key: one for key, one in found.items() if key not in self._aside}

    def until_over(self, what: str = "Waiting for the pods") -> dict[ObjectRef, Report]:
        """Rounds until nothing is left to wait for."""
        return self.until(all_well, what)


def all_well(reports: Mapping[ObjectRef, Report]) -> bool:
    """Whether each workload is healthy, or nothing of it can be proven (0 replicas)."""
    return all(r.health is Health.HEALTHY or (r.health is Health.UNPROVEN and not r.desired) for r in reports.values())


def waiting_for(reports: Mapping[ObjectRef, Report]) -> str:
    """What is still waited for, short: the first few names and the most telling sentence."""
    open_ones = [r for r in reports.values() if r.health not in (Health.HEALTHY, Health.UNPROVEN)]
    well = len(reports) - len(open_ones)
    names = ", ".join(r.name for r in open_ones[:4]) + (f" and {len(open_ones) - 4} more" if len(open_ones) > 4 else "")
    told = next((r.causes[0].text for r in open_ones if r.causes), "")
    return f"{well} of {len(reports)} ready" + (f"; {names}" if names else "") + (f" ({told})" if told else "")


def _patched_at(workload: Object) -> datetime | None:
    """When our patch was made, by the API server's clock: the time of our entry in managedFields."""
    times = [
        str(f.get("time"))
        for f in (workload.get("metadata") or {}).get("managedFields") or []
        if f.get("manager") == OURS and not f.get("subresource") and f.get("time")
    ]
    if not times:
        return None
    return datetime.fromisoformat(max(times).replace("Z", "+00:00"))


def _node_ready(node: Mapping[str, Any]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
