"""The ledger and what runs, as far as we may see them: two questions, asked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from rollback_lib.collectors import threads
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.releases import ledger, live, matching
from rollback_lib.core.releases.ledger import AnyKept, Ledger
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.matching import Matched
from rollback_lib.core.releases.tags import moment
from rollback_lib.core.run import cluster_copy
from rollback_lib.core.run.records import Request
from rollback_lib.ports import ClusterRecords, Ports

_TRIES: Final = 8


def read(records: ClusterRecords, application: str, environment: str) -> Ledger:
    """All records of one environment, by one list. Where we may not read them there is no ledger, and it says why."""
    try:
        found = records.list(ledger.KIND, ledger.labels(application, environment))
    except RefusedError as error:
        return Ledger(unread=str(error))
    return ledger.read(found, application, environment)


def later_runs(request: Request, plan: Plan | None, records: ClusterRecords) -> Iterator[str]:
    """The runs that wrote after this one was planned: by the ledger, and by what they left half done. Not the one that
    it undoes, which a clock ahead of ours may have begun later than that."""
    since = (plan.made_at if plan else "") or request.started
    last = read(records, request.application, request.environment).last_run
    own = (request.run, request.undo)
    if last is not None and last.run not in own and last.at > since:
        yield last.run
    for copy in records.list("ConfigMap", cluster_copy.labels(request.application, request.environment)):
        # by the server's clock: another machine's may be ahead, and what it left would be later than all that comes
        other, made = cluster_copy.run_of(copy), str(copy["metadata"].get("creationTimestamp") or "")
        later = moment(made) > moment(since) if made else other > request.run
        if later and other not in own and (last is None or other != last.run):
            yield other


def look(ports: Ports, application: str, environment: str) -> tuple[Ledger, Live]:
    """(the ledger, what runs). Raises RefusedError where the cluster cannot be asked what runs."""
    reading = threads.begin(lambda: read(ports.records, application, environment))
    try:
        now = live.live(ports.cluster.snapshot(live.KINDS_READ))
    finally:
        reading.exception()  # waited for: nobody closes meanwhile what it asks through
    return reading.result(), now


def with_configuration(matched: Matched, known: Ledger, ports: Ports) -> Matched:
    """Without the releases whose ConfigMaps are not as they were when recorded: those run with another configuration.

    A failed release may differ from a good one in its configuration alone.
    """
    entries = [e for e in known.entries if e.release in matched.same and any(o.kind == "ConfigMap" for o in e.objects)]
    if not entries:
        return matched
    snapshot = ports.cluster.snapshot(["ConfigMap"])
    if "ConfigMap" in snapshot.refused:
        return matched
    hashes = {
        ObjectRef("ConfigMap", name): live.object_hash(o) for name, o in snapshot.objects.get("ConfigMap", {}).items()
    }
    hashes = hashes or {ObjectRef("ConfigMap", ""): ""}  # none is there: each recorded one is missing
    other = {e.release for e in entries if matching.changed_objects(e, hashes)}
    return msgspec.structs.replace(matched, same=tuple(r for r in matched.same if r not in other))


def write(records: ClusterRecords, made: Callable[[AnyKept | None], AnyKept], named: str) -> Object:
    """Put one record (``named``: its ConfigMap) in the place of the one that is there; what is stored then.

    ``made`` gets what is there, None where nothing is or it is not trusted, and may be called again: whoever was
    faster is read again, so that nobody's is lost. Raises RefusedError where we may not, or never come through.
    """
    for _ in range(_TRIES):
        found = records.get(ledger.KIND, named)
        before = ledger.decode(found) if found else None
        version = str(found["metadata"]["resourceVersion"]) if found else ""
        stored = records.put(ledger.encode(made(None if isinstance(before, str) else before), version))
        if stored is not None:
            return stored
    raise RefusedError(f"ConfigMap {named} is written by somebody else all the time: try again.")


def remove(records: ClusterRecords, named: str) -> bool:
    """Delete one record; False where it is not there. Raises RefusedError where we may not."""
    for _ in range(_TRIES):
        found = records.get(ledger.KIND, named)
        if found is None:
            return False
        if records.delete(found):
            return True
    raise RefusedError(f"ConfigMap {named} is written by somebody else all the time: try again.")
