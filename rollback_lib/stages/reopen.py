"""Opens traffic exactly as it was, once `verify` has said that the release is well, and gives the lock back.

Then mutable tags move, where that was asked for.
"""

from __future__ import annotations

from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run import lock
from rollback_lib.core.run.changes import release_lock
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.writes import tags, traffic

ID = "reopen"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    plan = run.get(Plan)
    if not plan.writes:
        return
    if plan.closes:
        traffic.open_all(run, ports, write, plan)
    traffic.tidy(ports, write, plan)
    write.do(release_lock(lock.name(plan.application)))
    if plan.retag:
        # last and without the lock: a registry must keep neither traffic nor deploys
        tags.move_planned(run, ports, write)
