"""The state of every workload of the namespace, in one look."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from rollback_lib.core import health
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.evidence import workloads as detect
from rollback_lib.core.health import Health, Patience, Report, View
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, told_by
from rollback_lib.core.kube.objects import Object, name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.run.records import Finding
from rollback_lib.ports import Ports


class Look(NamedTuple):
    """One look: views and reports by their workload."""

    views: Mapping[ObjectRef, View]
    reports: Mapping[ObjectRef, Report]
    snapshot: Snapshot

    def healthy(self, key: ObjectRef) -> bool:
        return self.reports[key].health in (Health.HEALTHY, Health.UNPROVEN)


def look(ports: Ports, ignore: Collection[str] = (), asked: Collection[str] = ()) -> Look:
    """All workloads but those of ignored services. Raises RefusedError where nobody may see how they are."""
    cluster = ports.evidence.cluster
    workloads = cluster.snapshot(AWAITED)  # first: what is read later may be newer, never older
    if set(AWAITED) <= set(workloads.refused):
        raise RefusedError(workloads.refused[AWAITED[0]])
    rest = cluster.snapshot(told_by(kind for kind in AWAITED if workloads.objects.get(kind)))
    for why in rest.refused.values():  # who cannot be seen is not accused
        raise RefusedError(why)
    events = cluster.events().all
    nodes = _nodes(ports)
    snapshot = Snapshot(
        {**workloads.objects, **rest.objects}, {**workloads.refused, **rest.refused}, workloads.unserved | rest.unserved
    )
    now = ports.clock.now()
    views = {
        ObjectRef(kind, name_of(w)): View(
            {**w, "kind": kind}, replica_sets=snapshot.all("ReplicaSet"), pods=snapshot.all("Pod"), nodes=nodes,
            revisions=snapshot.all("ControllerRevision"), events=events,
        )
        for kind in AWAITED
        for w in snapshot.all(kind)
    }  # fmt: skip
    views = detect.own_services(views, ignore, asked)
    patience = Patience(now=now, crash_restarts=detect.CRASHES)
    return Look(views, {key: health.assess(view, patience) for key, view in views.items()}, snapshot)


def _nodes(ports: Ports) -> Mapping[str, bool] | None:
    try:
        nodes = ports.evidence.cluster.nodes()
    except RefusedError:
        return None
    return None if nodes is None else {name: _ready(node) for name, node in nodes.items()}


def _ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def findings(looked: Look, ports: Ports) -> Iterator[Finding]:
    """What their state, and the events about those that are not well, say."""
    now = ports.clock.now()
    for key, view in looked.views.items():
        report = looked.reports[key]
        yield from detect.of_workload(view, report, now)
        yield from detect.of_events(view, report.name, now, healthy=looked.healthy(key))
