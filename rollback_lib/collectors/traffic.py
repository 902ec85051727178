"""How traffic stands, asked of the cluster where a run ends without having seen it."""

from __future__ import annotations

import contextlib
from concurrent.futures import TimeoutError
from typing import Final

import msgspec

from rollback_lib.collectors.threads import begin
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.redact import redact
from rollback_lib.core.report.observation import Looked, looked
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic.slots import CLOSABLE
from rollback_lib.ports import Ports, RunStore

_PATIENCE: Final = 5.0  # seconds: a run that has ended waits no longer for one more answer


def look(run: RunStore, ports: Ports, *, reached: bool = True) -> None:
    """Look, and keep what was found with the run. Never raises: what cannot be seen is unknown, and why is said.

    ``reached``: False where the cluster has just not answered; then it is not asked again.
    """
    before = run.find(Looked) or Looked()
    try:
        found = _found(run, ports, before) if reached else _unknown(before, "the cluster was not reached")
    except TimeoutError:
        found = _unknown(before, f"no answer within {_PATIENCE:g} s")
    except RollbackError as error:
        found = _unknown(before, str(error))
    except Exception as error:
        found = _unknown(before, f"{type(error).__name__}: {error}")
    with contextlib.suppress(RollbackError):  # a directory that cannot be written: nobody knows what was seen
        run.put(found)


def _found(run: RunStore, ports: Ports, before: Looked) -> Looked:
    snapshot = begin(lambda: ports.cluster.snapshot(CLOSABLE)).result(_PATIENCE)
    at, place = ports.clock.now().isoformat(timespec="seconds"), run.get(Request).target_environment.isolation
    return looked(snapshot, place, at=at, seq=len(run.events()), before=before)


def _unknown(before: Looked, why: str) -> Looked:
    return msgspec.structs.replace(before, why=redact(why), closed=())
