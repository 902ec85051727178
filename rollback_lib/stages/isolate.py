"""Takes the lock. From here to `reopen` nobody else changes the application."""

from __future__ import annotations

from rollback_lib.core import lock
from rollback_lib.core.changes import take_lock
from rollback_lib.core.errors import StaleError
from rollback_lib.core.plan import Plan
from rollback_lib.core.run import Approval
from rollback_lib.ports import Ports, RunStore, Writer

ID = "isolate"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    plan = run.get(Plan)
    if run.get(Approval).hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if not plan.writes:
        return
    write.do(take_lock(lock.name(plan.application)))
    # Traffic is closed here.
