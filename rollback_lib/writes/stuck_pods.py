"""Pods that a StatefulSet waits for and never replaces: deleted, as planned."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.collectors.rollout import Rollouts
from rollback_lib.core import health
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import name_of, ref_of
from rollback_lib.core.plan.model import Plan, PlannedService
from rollback_lib.ports import Ports, Writer
from rollback_lib.writes.objects import deletion


def free(ports: Ports, write: Writer, plan: Plan, wave: Sequence[PlannedService], rollouts: Rollouts) -> None:
    """Delete the pods that a StatefulSet waits for and never replaces, one at a time: see `core.health`."""
    mine = {o.ref for s in wave for o in s.objects if plan.sticks(o)}
    while mine:
        reports = rollouts.look()
        assert rollouts.snapshot is not None
        for key in sorted(mine):
            view = rollouts.views.get(key)
            pod = (health.stuck_pod(view) or health.misfit_pod(view)) if view else None
            live = rollouts.snapshot.get(ObjectRef("Pod", pod)) if pod else None
            if live is not None:
                ports.progress.say(f"{key} does not go on with pod {name_of(live)} as it is: it is deleted, as planned")
                write.do(deletion(ref_of(live), live))
        mine = {k for k in mine if k in reports and reports[k].health is health.Health.PROGRESSING}
        if mine:
            ports.progress.waiting("Waiting for " + ", ".join(map(str, sorted(mine))))
            ports.clock.sleep(0.5)
