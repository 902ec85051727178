"""Proves that every image of the target exists, and which digest it is.

Tells which release runs where the ledger does not know.
"""

from __future__ import annotations

from rollback_lib.core.releases.live import Live
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import proving

ID = "images"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Images:
    request = run.get(Request)
    now = Live() if request.offline else run.get(Live)
    return proving.prove(request, run.get(Resolution), now, ports)
