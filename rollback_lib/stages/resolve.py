"""Works out what runs by the ledger, which release to go back to, and reads its manifests from the tag's own tree."""

from __future__ import annotations

from rollback_lib.collectors import lock_reader
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import resolving, what_runs
from rollback_lib.releases.what_runs import Now

ID = "resolve"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Resolution:
    request = run.get(Request)

    def look() -> Now:
        if not request.offline:
            seen, locked = lock_reader.by_another(request, ports)  # first: nothing else matters then
            run.put(seen)
            if locked:
                raise locked
        now = what_runs.look(request, ports)
        run.put(now.live)  # at once: it is kept although no release can be gone back to
        return now

    return resolving.resolve(request, ports, look)[0]
