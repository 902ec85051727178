"""The planned change of one object: created, put back or made again; and many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

import msgspec

from rollback_lib.collectors import as_planned
from rollback_lib.core.errors import StaleError
from rollback_lib.core.kube.field_owners import Appliers, appliers
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.plan import leaving, undo
from rollback_lib.core.plan.model import CREATE, Plan, PlannedObject
from rollback_lib.core.run.changes import Change, CreateObject, DeleteObject, PatchObject
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import slots
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import rewritten
from rollback_lib.writes import making_again

_PARALLEL: Final = 4  # kubectl processes at a time: more only wait for each other's CPU


def put(run: RunStore, ports: Ports, write: Writer, planned: PlannedObject) -> None:
    """The one change of an object; more where it is made again."""
    if not planned.recreate:
        write.do(_change(run, ports, planned))
        return
    making_again.make_again(run, ports, write, planned, planned.change_key)


def _change(run: RunStore, ports: Ports, planned: PlannedObject) -> Change:
    if planned.change == CREATE:
        return CreateObject(
            key=planned.change_key, kind=planned.kind, name=planned.name, api_version=planned.api_version,
            before="", after=planned.after, manifest=rewritten.manifest(run, ports.once, planned),
            recorded=bool(run.get(Request).undo), appliers=_appliers(run, planned.ref),
        )  # fmt: skip
    change = _patch(run, ports, planned)
    return msgspec.structs.replace(change, operations=(leaving.STAYS, *change.operations))


def _patch(run: RunStore, ports: Ports, planned: PlannedObject) -> PatchObject:
    data = run.read(f"{undo.kept(planned.ref)}.patch.json")
    change = PatchObject(
        key=planned.change_key, kind=planned.kind, name=planned.name, api_version=planned.api_version,
        before=planned.before, after=planned.after, operations=msgspec.json.decode(data, type=tuple[Operation, ...]),
        appliers=_appliers(run, planned.ref),
    )  # fmt: skip
    begun = any(e.mark is Mark.ANNOUNCED and e.key == planned.change_key for e in run.events())
    may_be_closed = planned.kind in slots.CLOSABLE and run.get(Plan).isolation.closes
    if not (begun or may_be_closed):
        return change
    live = ports.cluster.snapshot([planned.kind], {planned.kind: planned.api_version}).get(planned.ref)
    if live is None:
        return change
    if begun and as_planned.state(run, planned.ref, live) == planned.after:  # done, and labelled by somebody since
        change = msgspec.structs.replace(change, after=fingerprint(slots.as_open(live)))
    return _while_closed(change, live) if may_be_closed and slots.closing(live) is not None else change


def _appliers(run: RunStore, ref: ObjectRef) -> Appliers:
    """Who has applied the object server-side: before this run, or before the one that it undoes."""
    kept, files = undo.kept(ref), run.files()
    if (name := f"{kept}.appliers.json") in files:
        return msgspec.json.decode(run.read(name), type=Appliers)
    name = undo.file_of(ref)
    return appliers(msgspec.json.decode(run.read(name))) if name in files else Appliers()


def _while_closed(change: PatchObject, live: Object) -> PatchObject:
    """The same change to an object that is closed: it stays closed, and opens as the plan has it."""
    wanted = slots.while_closed(live, change.operations, change.after)
    if wanted is None:
        raise StaleError(f"{change.ref} changed while traffic was closed, so the plan is stale.")
    return msgspec.structs.replace(
        change, before=fingerprint(live), after=fingerprint(wanted), operations=slots.operations(live, wanted)
    )


def deletion(ref: ObjectRef, live: Object, before: str = "") -> DeleteObject:
    uid = str(live["metadata"]["uid"])
    return DeleteObject(
        key=f"delete/{ref.kind.lower()}/{ref.name}/{uid}", kind=ref.kind, name=ref.name,
        api_version=KINDS[ref.type].api,
        before=before, after="", uid=uid,
    )  # fmt: skip


def all_at_once(calls: Sequence[Callable[[], object]]) -> None:
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
