"""Whether what a plan was made for is still so, right before the first write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from rollback_lib.collectors import needs
from rollback_lib.core.errors import StaleError
from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object, fingerprint, is_leaving, without_labels
from rollback_lib.core.kube.snapshot import Presence, Snapshot
from rollback_lib.core.plan import leaving, undo
from rollback_lib.core.plan.model import CREATE, LEFT, NONE, RESTART, UPDATE, Plan, PlannedObject
from rollback_lib.core.run import journal
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.core.traffic import slots
from rollback_lib.ports import Ports, RunStore


def state(run: RunStore, ref: ObjectRef, live: Object | None) -> str:
    """The fingerprint of an object as a plan sees it: with traffic open, and without labels that it had not when the
    plan was made and that the plan does not set. Somebody has put those on it since: they are theirs, and stay."""
    now, kept = slots.as_open(live), undo.file_of(ref)
    if now is None or not (now["metadata"].get("labels") or {}) or kept not in run.files():
        return fingerprint(now)
    known = set(msgspec.json.decode(run.read(kept))["metadata"].get("labels") or ())
    if (patch := f"{undo.kept(ref)}.patch.json") in run.files():
        known |= json_patch.labels_in(msgspec.json.decode(run.read(patch), type=tuple[json_patch.Operation, ...]))
    return fingerprint(without_labels(now, known))


def fits(run: RunStore, ref: ObjectRef, live: Object | None, *planned: str) -> bool:
    """Whether an object has one of these fingerprints, with the labels that somebody put on it since or without."""
    return fingerprint(slots.as_open(live)) in planned or state(run, ref, live) in planned


def check(run: RunStore, ports: Ports, plan: Plan) -> None:
    """Nothing that was decided about may have changed since. What is as planned already is confirmed by its turn."""
    identity = ports.cluster.identity()
    if identity.namespace_uid != plan.cluster.namespace_uid:
        raise StaleError(
            f"the plan is for namespace {plan.cluster.namespace} ({plan.cluster.namespace_uid}) at "
            f"{plan.cluster.server}, and this is {identity.namespace_uid} at {identity.server}."
        )
    if identity.server != plan.cluster.server:  # inside, outside, through a tunnel: one cluster has many addresses
        ports.progress.say(
            f"  The plan was made at {plan.cluster.server}, and this is {identity.server}: the same namespace, by its "
            f"uid."
        )
    if ports.cluster.presence(ObjectRef("Namespace", plan.cluster.namespace)) is Presence.LEAVING:
        raise StaleError(leaving.of_namespace(plan.cluster.namespace))
    planned = [o for s in plan.services for o in s.objects if o.change in (CREATE, UPDATE, RESTART, NONE)]
    versions = {o.ref: o.api_version for o in planned}
    snapshot = ports.cluster.snapshot([o.kind for o in planned], versions)
    done = run.events()
    moved = [
        str(o.ref)
        for o in planned
        if not _begun(o, done)
        and not fits(run, o.ref, snapshot.get(o.ref), o.before, o.after)
        and not (o.recreate and snapshot.get(o.ref) is None and _entered_again(done))
    ]
    if moved:
        raise StaleError(
            f"{', '.join(moved[:5])} changed since the plan was made, so the plan is stale. Plan again: someone else "
            f"is at work here."
        )
    seen = ((o, snapshot.get(o.ref)) for o in planned if not _begun(o, done))
    going = [str(o.ref) for o, live in seen if live is not None and is_leaving(live)]
    if going := [*going, *needs.lost(ports.cluster, plan.needs)]:
        raise StaleError(
            f"{', '.join(going[:5])}: deleted since the plan was made, so the plan is stale. Plan again: it says what "
            f"goes with it."
        )


def _entered_again(done: Sequence[Event]) -> bool:
    """Whether another process has had this run, maybe on another machine: what it wrote last is in no journal here."""
    return any(n > 1 for n in Counter(e.stage for e in done if e.mark is Mark.STAGE_BEGIN).values())


def _begun(planned: PlannedObject, done: Sequence[Event]) -> bool:
    """Whether this run has begun to create the object or make it again: then the change itself says what is true."""
    key = planned.change_key
    if planned.recreate:
        return any(e.mark is Mark.ANNOUNCED and e.key.startswith(journal.gone_key(key)) for e in done)
    return planned.change == CREATE and any(e.mark is Mark.ANNOUNCED and e.key == key for e in done)


def live(plan: Plan, ports: Ports) -> Snapshot:
    """What the plan judges, as it is now."""
    planned = [o for s in plan.services for o in s.objects if o.change != LEFT]
    return ports.cluster.snapshot(list(dict.fromkeys(o.kind for o in planned)), {o.ref: o.api_version for o in planned})


def differing(run: RunStore, plan: Plan, live: Snapshot) -> list[str]:
    """What is not as the plan says, in sentences."""
    return [
        f"{o.ref} is not what the plan says any more: something changed it after the rollback."
        for s in plan.services
        for o in s.objects
        if o.change != LEFT and not fits(run, o.ref, live.get(o.ref), o.after)
    ]
