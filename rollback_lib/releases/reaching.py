"""Whether traffic reaches what was restored: each Service of the plan, as it is and as its release has it."""

from __future__ import annotations

from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import LEFT, Plan
from rollback_lib.core.run.records import CheckResult
from rollback_lib.core.traffic import reach, slots
from rollback_lib.ports import Ports, RunStore
from rollback_lib.releases import rewritten


def look(run: RunStore, ports: Ports, plan: Plan, live: Snapshot, watched: Snapshot | None) -> list[CheckResult]:
    """A check a Service. ``watched``: the workloads and pods as they were last seen; none of it is asked again."""
    if watched is None or "Pod" not in watched.objects:
        return []
    pods, workloads = watched.all("Pod"), [w for kind in AWAITED for w in watched.all(kind)]
    found = []
    for service in plan.services:
        for planned in service.objects:
            there = slots.as_open(live.get(planned.ref))
            if planned.ref.type != "Service" or planned.change == LEFT or there is None:
                continue
            target = rewritten.manifest(run, ports.once, planned)
            good, text = reach.judge(there, target, pods, workloads, empty=planned.empty)
            found.append(CheckResult(service=service.name, kind="traffic", name=str(planned.ref), good=good, text=text))
    return found
