"""Before a run is entered again: what the cluster says of it, and whether it may go on (`core.run.states`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rollback_lib.collectors import as_planned, ledger, lock_reader
from rollback_lib.core.errors import NotApprovedError, RefusedError
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.plan import undo
from rollback_lib.core.plan.model import CREATE, DELETE, RESTART, UPDATE, Plan, PlannedObject
from rollback_lib.core.run import cluster_copy, lock, states
from rollback_lib.core.run.journal import ending
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.run.states import Circumstances, Is, Standing
from rollback_lib.core.traffic import slots
from rollback_lib.ports import Ports, RunStore

_REVISION = "deployment.kubernetes.io/revision"


def check(run: RunStore, ports: Ports, *, own: bool = True) -> None:
    """Refuse a run that is over, or that something came after. Changes nothing.

    ``own``: its directory was made by a run, here, or from its copy in the cluster. One that nobody knows is asked
    about where there is a terminal. Raises RefusedError, NotApprovedError where a person says no.
    """
    request, events = run.get(Request), run.events()
    held = lock_reader.find(ports.records, request.application)
    copy = ports.records.get("ConfigMap", cluster_copy.name(request.run)) is not None
    plan = run.find(Plan)
    seen = Circumstances(held=held, copy=copy, own=own, undoes=bool(request.undo))
    if plan is not None:
        stands = ending(events)
        settled = (*stands.moved_tags, *stands.left_tags)
        seen = msgspec.structs.replace(seen, tags=any(t.reference not in settled for t in plan.retag))
        seen = _with_objects(seen, run, plan, ports)
    if held is None or not held.is_of(lock.RUN, request.run):
        seen = msgspec.structs.replace(seen, later=tuple(ledger.later_runs(request, plan, ports.records)))
    now = states.standing(request.run, events, seen, approved=request.yes or run.find(Approval) is not None)
    refusal = states.refusal(now, request.run, events, seen, request.accept)
    if refusal is None:
        return
    if now is Standing.UNKNOWN:
        answer = ports.approver.ask(f"{refusal.text} Go on with it all the same?")
        if answer:
            return
        if answer is not None:
            raise NotApprovedError(f"run {request.run} is not gone on with.")
    raise RefusedError(refusal)


def entered_again(run: RunStore, ports: Ports) -> None:
    """As `check`, for a stage that would write: one question where the run has its lock, none before it has begun."""
    request = run.get(Request)
    if not states.has_begun(run.events()):
        return
    held = lock_reader.find(ports.records, request.application)
    if held is None or not held.is_of(lock.RUN, request.run):
        check(run, ports)


def _with_objects(seen: Circumstances, run: RunStore, plan: Plan, ports: Ports) -> Circumstances:
    objects = [o for s in plan.services for o in s.objects if o.change in (CREATE, UPDATE, RESTART)]
    orphans = [o for o in plan.orphans if o.change == DELETE]
    targets = plan.isolation.targets if plan.closes else ()
    versions = {o.ref: o.api_version for o in objects}
    kinds = list(dict.fromkeys([*(o.kind for o in objects), *(o.kind for o in orphans), *(t.kind for t in targets)]))
    if not kinds:
        return seen
    live = ports.cluster.snapshot(kinds, versions)
    found: list[tuple[str, Is]] = []
    for planned in objects:
        now = live.get(planned.ref)
        if planned.recreate and now is None:
            continue  # between its end and its new beginning
        key = planned.change_key + ("/create" if planned.recreate else "")
        found.append((key, _is(now, planned.before, planned.after, run, planned)))
    for orphan in orphans:
        now = live.get(orphan.ref)
        found.append((f"delete/{str(orphan.ref).lower()}", _is(now, orphan.before, "", run)))
    closings = [slots.closing(live.get(t.ref) or {}) for t in targets]
    closed = any(c is not None and c.run == plan.run for c in closings)
    return msgspec.structs.replace(seen, objects=tuple(found), closed=closed)


def _is(now: Object | None, before: str, after: str, run: RunStore, planned: PlannedObject | None = None) -> Is:
    def fits(one: str) -> bool:
        if planned is None:
            return fingerprint(slots.as_open(now)) == one
        return as_planned.fits(run, planned.ref, now, one)

    if fits(after):
        return Is.AFTER
    if not fits(before):
        return Is.OTHER
    return Is.OTHER if planned is not None and now and _rolled_out_since(now, run, planned) else Is.BEFORE


def _rolled_out_since(now: Object, run: RunStore, planned: PlannedObject) -> bool:
    """Whether it is as before by another rollout: what the plan saw was deployed again, or gone back to."""
    name = undo.file_of(planned.ref)
    if planned.kind != "Deployment" or name not in run.files():
        return False
    was: Mapping[str, Any] = msgspec.json.decode(run.read(name))
    settled = (was.get("status") or {}).get("observedGeneration") == was["metadata"].get("generation")
    return settled and _revision(was) != _revision(now)


def _revision(obj: Mapping[str, Any]) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(_REVISION, ""))
