"""Gives the lock back, once `verify` has said that the release is well."""

from __future__ import annotations

from rollback_lib.core import lock
from rollback_lib.core.changes import release_lock
from rollback_lib.core.plan import Plan
from rollback_lib.ports import Ports, RunStore, Writer

ID = "reopen"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    plan = run.get(Plan)
    if not plan.writes:
        return
    # Traffic is opened here, before the lock is given back.
    write.do(release_lock(lock.name(plan.application)))
