"""kubectl, wave by wave. What only the failed release had goes last, once every wave is healthy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Final

import msgspec

from rollback_lib.collectors import needs
from rollback_lib.collectors.rollout import Rollouts, Watched, all_well
from rollback_lib.core import health
from rollback_lib.core.errors import FailedError, RefusedError, StaleError
from rollback_lib.core.health import Report
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.kinds import AWAITED, KINDS, WORKLOADS
from rollback_lib.core.kube.objects import Object, fingerprint, is_leaving, kind_of, label, name_of
from rollback_lib.core.kube.snapshot import Presence
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.plan import aftermath, leaving
from rollback_lib.core.plan.model import CREATE, DELETE, NONE, RESTART, UPDATE, Plan, PlannedObject, PlannedService
from rollback_lib.core.releases.ledger import AnyKept, Quarantine
from rollback_lib.core.releases.live import Live
from rollback_lib.core.run import changes, journal
from rollback_lib.core.run.changes import Change, CreateObject, DeleteObject, PatchObject
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.core.traffic import slots
from rollback_lib.core.wording import some
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.stages import isolate, making_again, rewrite

ID = "apply"
WRITES = True
_PARALLEL: Final = 4  # kubectl processes at a time: more only wait for each other's CPU


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    request, plan = run.get(Request), run.get(Plan)
    approval = run.get(Approval)
    if approval.hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if not plan.writes:
        return
    _still_as_planned(run, ports, plan)
    if opened := isolate.opened_by_others(run, ports, plan, ID):
        raise FailedError(
            f"{' '.join(opened)} The plan was to change the shop behind closed doors, so this stops here."
        )
    at = ports.clock.now().isoformat(timespec="milliseconds")
    of_ledger = not request.undo  # what an undo brings back proves nothing, for or against a release
    if of_ledger:
        remember(ports, write, aftermath.quarantine(request, plan, run.get(Live), at), "quarantine")
    _apply(run, ports, write, request, plan)
    if of_ledger:
        remember(ports, write, aftermath.last_run(request, plan, at), "last-run")


def remember(ports: Ports, write: Writer, record: AnyKept | None, key: str) -> None:
    """Keep a record of ours; where that is not possible it is said, and the rollback goes on."""
    if record is None:
        return
    said = f"quarantine of {record.release or 'what ran'}" if isinstance(record, Quarantine) else "where the run went"
    try:
        write.do(changes.keep(record, key, f"{said} kept in the ledger"))
    except RefusedError as error:
        ports.progress.say(f"  ! {said} could not be kept in the ledger: {error}")


def _apply(run: RunStore, ports: Ports, write: Writer, request: Request, plan: Plan) -> None:
    settings = request.settings
    rollouts = Rollouts(
        ports, watched(plan), rollout_timeout=seconds(settings.verify.rollout_timeout),
        crash_restarts=settings.verify.crash_restarts,
    )  # fmt: skip
    waves = [w for w in plan.waves if any(_has_a_turn(plan, o) for s in w for o in s.objects)]
    for number, wave in enumerate(waves):
        objects = [o for s in wave for o in s.objects if o.change in (CREATE, UPDATE, RESTART) and not o.after_rollout]
        if objects:
            ports.progress.say(
                _wave_line(number, len(waves), [s for s in wave if any(o in objects for o in s.objects)])
            )
        for group in (
            [o for o in objects if o.kind not in WORKLOADS],
            [o for o in objects if o.kind in WORKLOADS],
        ):
            _all([partial(_put, run, ports, write, o) for o in group])
        _free_stuck(run, ports, write, plan, wave, rollouts)
        if waves[number + 1 :]:
            _before_next_wave(rollouts, waves[: number + 1], settings.services.order_wait)
    last = [o for s in plan.services for o in s.objects if o.after_rollout and o.change == UPDATE]
    orphans = [o for o in plan.orphans if o.change == DELETE]
    if last or orphans:
        reports = rollouts.until_over("Before what comes last")
        if not all_well(reports):
            return  # verify says what is wrong; nothing is taken away in a run that failed
        for planned in last:
            _put(run, ports, write, planned)
        live = ports.cluster.snapshot([o.kind for o in orphans]) if orphans else None
        for orphan in orphans:
            found = live.get(orphan.kind, orphan.name) if live else None
            if found is not None:
                as_planned = fingerprint(slots.as_open(found)) == orphan.before
                before = fingerprint(found) if as_planned else orphan.before
                write.do(_deletion(orphan.kind, orphan.name, found, before))


def watched(plan: Plan) -> list[Watched]:
    """The workloads of the plan that are waited for."""
    return [
        Watched(o.kind, o.name, s.wave, o.change in (CREATE, UPDATE, RESTART))
        for s in plan.services
        for o in s.objects
        if o.kind in AWAITED and o.change in (CREATE, UPDATE, RESTART, NONE)
    ]


def _still_as_planned(run: RunStore, ports: Ports, plan: Plan) -> None:
    """Nothing that was decided about may have changed since. What is as planned already is confirmed by its turn."""
    identity = ports.cluster.identity()
    if (identity.server, identity.namespace_uid) != (plan.cluster.server, plan.cluster.namespace_uid):
        raise StaleError(
            f"the plan is for namespace {plan.cluster.namespace} ({plan.cluster.namespace_uid}) at "
            f"{plan.cluster.server}, and this is {identity.namespace_uid} at {identity.server}."
        )
    if ports.cluster.presence("Namespace", plan.cluster.namespace) is Presence.LEAVING:
        raise StaleError(leaving.of_namespace(plan.cluster.namespace))
    planned = [o for s in plan.services for o in s.objects if o.change in (CREATE, UPDATE, RESTART, NONE)]
    versions = {label(o.kind, o.name): o.api_version for o in planned}
    snapshot = ports.cluster.snapshot([o.kind for o in planned], versions)
    done = run.events()
    moved = [
        label(o.kind, o.name)
        for o in planned
        if not _begun(o, done) and fingerprint(slots.as_open(snapshot.get(o.kind, o.name))) not in (o.before, o.after)
    ]
    if moved:
        raise StaleError(
            f"{', '.join(moved[:5])} changed since the plan was made, so the plan is stale. Plan again: someone else "
            f"is at work here."
        )
    seen = ((o, snapshot.get(o.kind, o.name)) for o in planned if not _begun(o, done))
    going = [label(o.kind, o.name) for o, live in seen if live is not None and is_leaving(live)]
    if going := [*going, *needs.lost(ports.cluster, plan.needs)]:
        raise StaleError(
            f"{', '.join(going[:5])}: deleted since the plan was made, so the plan is stale. Plan again: it says what "
            f"goes with it."
        )


def _manifest(run: RunStore, planned: PlannedObject) -> Object:
    """The object exactly as ``manifests/`` has it; read only where one is created, not before every first write."""
    documents = manifest_objects.read(run.read(rewrite.FOLDER + planned.file), planned.file)
    key = (planned.kind, planned.name)
    return next(d.object for d in documents if (kind_of(d.object), name_of(d.object)) == key)


def _begun(planned: PlannedObject, done: Sequence[Event]) -> bool:
    """Whether this run has begun to create the object or make it again: then the change itself says what is true."""
    key = change_key(planned)
    if planned.recreate:
        return any(e.mark is Mark.ANNOUNCED and e.key.startswith(journal.gone_key(key)) for e in done)
    return planned.change == CREATE and any(e.mark is Mark.ANNOUNCED and e.key == key for e in done)


def _put(run: RunStore, ports: Ports, write: Writer, planned: PlannedObject) -> None:
    """The one change of an object; more where it is made again."""
    if not planned.recreate:
        write.do(_change(run, ports, planned))
        return
    making_again.make_again(run, ports, write, planned, change_key(planned))


def change_key(planned: PlannedObject) -> str:
    """The key of the change that puts the object back or creates it."""
    return f"apply/{planned.kind.lower()}/{planned.name}"


def _change(run: RunStore, ports: Ports, planned: PlannedObject) -> Change:
    if planned.change == CREATE:
        return CreateObject(
            key=change_key(planned), kind=planned.kind, name=planned.name, api_version=planned.api_version,
            before="", after=planned.after, manifest=_manifest(run, planned),
            recorded=bool(run.get(Request).undo),
        )  # fmt: skip
    change = _patch(run, ports, planned)
    return msgspec.structs.replace(change, operations=(leaving.STAYS, *change.operations))


def _patch(run: RunStore, ports: Ports, planned: PlannedObject) -> PatchObject:
    data = run.read(f"before/{planned.kind.lower()}-{planned.name}.patch.json")
    change = PatchObject(
        key=change_key(planned), kind=planned.kind, name=planned.name, api_version=planned.api_version,
        before=planned.before, after=planned.after, operations=msgspec.json.decode(data, type=tuple[Operation, ...]),
    )  # fmt: skip
    if planned.kind not in slots.CLOSABLE or not run.get(Plan).isolation.closes:
        return change
    live = ports.cluster.snapshot([planned.kind], {planned.kind: planned.api_version}).get(planned.kind, planned.name)
    return change if live is None or slots.closing(live) is None else _while_closed(change, live)


def _while_closed(change: PatchObject, live: Object) -> PatchObject:
    """The same change to an object that is closed: it stays closed, and opens as the plan has it."""
    wanted = slots.while_closed(live, change.operations, change.after)
    if wanted is None:
        raise StaleError(f"{label(change.kind, change.name)} changed while traffic was closed, so the plan is stale.")
    return msgspec.structs.replace(
        change, before=fingerprint(live), after=fingerprint(wanted), operations=slots.operations(live, wanted)
    )


def _deletion(kind: str, name: str, live: Object, before: str = "") -> DeleteObject:
    uid = str(live["metadata"]["uid"])
    return DeleteObject(
        key=f"delete/{kind.lower()}/{name}/{uid}", kind=kind, name=name, api_version=KINDS[kind].api,
        before=before, after="", uid=uid,
    )  # fmt: skip


def _has_a_turn(plan: Plan, planned: PlannedObject) -> bool:
    return planned.change in (CREATE, UPDATE, RESTART) or plan.sticks(planned)


def _all(calls: Sequence[Callable[[], object]]) -> None:
    """All at once; what has begun is finished, nothing new is begun after the first failure, and that one is raised."""
    if len(calls) == 1:
        calls[0]()
        return
    with ThreadPoolExecutor(_PARALLEL) as pool:
        futures = [pool.submit(c) for c in calls]
        _, waiting = wait(futures, return_when="FIRST_EXCEPTION")
        for future in waiting:
            future.cancel()
    for future in futures:
        if not future.cancelled() and (error := future.exception()):
            raise error


def _wave_line(number: int, count: int, wave: Sequence[PlannedService]) -> str:
    said = some([s.name for s in wave])
    return f"  wave {number + 1} of {count}: {said}" if count > 1 else f"  {said}"


def _before_next_wave(rollouts: Rollouts, waves: Sequence[Sequence[PlannedService]], wait_for: str) -> None:
    """Every earlier service has a Ready pod, old or new; with ``order_wait: updated`` its rollout is done."""
    mine = {label(o.kind, o.name) for w in waves for s in w for o in s.objects if o.kind in AWAITED}

    def enough(reports: Mapping[str, Report]) -> bool:
        if wait_for == "updated":
            return all_well({k: r for k, r in reports.items() if k in mine})
        return all(health.ready_now(view) for key, view in rollouts.views.items() if key in mine)

    reports = rollouts.until(enough, "Before the next wave")
    if not enough(reports):
        failed = [r.message for k, r in reports.items() if k in mine and r.health is health.Health.FAILED]
        if failed:
            raise FailedError(failed[0])


def _free_stuck(
    run: RunStore, ports: Ports, write: Writer, plan: Plan, wave: Sequence[PlannedService], rollouts: Rollouts
) -> None:
    """Delete the pods that a StatefulSet waits for and never replaces, one at a time: see `core.health`."""
    mine = {label(o.kind, o.name) for s in wave for o in s.objects if plan.sticks(o)}
    while mine:
        reports = rollouts.look()
        assert rollouts.snapshot is not None
        for key in sorted(mine):
            view = rollouts.views.get(key)
            pod = (health.stuck_pod(view) or health.misfit_pod(view)) if view else None
            live = rollouts.snapshot.get("Pod", pod) if pod else None
            if live is not None:
                ports.progress.say(f"{key} does not go on with pod {name_of(live)} as it is: it is deleted, as planned")
                write.do(_deletion("Pod", name_of(live), live))
        mine = {k for k in mine if k in reports and reports[k].health is health.Health.PROGRESSING}
        if mine:
            ports.progress.waiting("Waiting for " + ", ".join(sorted(mine)))
            ports.clock.sleep(0.5)
