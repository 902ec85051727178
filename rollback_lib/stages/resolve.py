"""Works out what runs by the ledger, which release to go back to, and reads its manifests from the tag's own tree."""

from __future__ import annotations

from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import resolving

ID = "resolve"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Resolution:
    resolution, now = resolving.resolve(run.get(Request), ports)
    run.put(now.live)
    return resolution
