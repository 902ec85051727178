"""What a workload leaves behind that was made again: deleted, as planned, once the new one has its pods Ready."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.collectors.rollout import Rollouts, all_well
from rollback_lib.core.errors import FailedError
from rollback_lib.core.health import Health
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.plan.model import PlannedService
from rollback_lib.ports import Ports, Writer
from rollback_lib.writes.objects import deletion


def take_away(ports: Ports, write: Writer, wave: Sequence[PlannedService], rollouts: Rollouts) -> None:
    """Delete the old ReplicaSets or pods; what the new workload or somebody else has taken over is theirs.

    Raises FailedError where the new one does not come up: the old ones go on serving.
    """
    waiting = {o.ref: o for s in wave for o in s.objects if o.leaves}
    while waiting:
        reports = rollouts.look()
        assert rollouts.snapshot is not None
        for ref, planned in list(waiting.items()):
            if ref not in reports or not all_well({ref: reports[ref]}):
                continue
            for one in planned.leaves:
                live = rollouts.snapshot.get(one.ref)
                if live is None or live["metadata"]["uid"] != one.uid or live["metadata"].get("ownerReferences"):
                    continue
                write.do(deletion(ref_of(live), live))
            del waiting[ref]
        for ref in waiting:
            if ref in reports and reports[ref].health is Health.FAILED:
                raise FailedError(f"{ref} was made again and does not come up, so its old pods stay. "
                                  f"{reports[ref].message}")  # fmt: skip
        if waiting:
            ports.progress.waiting("Waiting for " + ", ".join(map(str, sorted(waiting))))
            ports.clock.sleep(0.5)
