"""Objects on their way out: one with a deletionTimestamp is not there, whatever else it says (design §6).

What is written to it is gone with it, and what a pod needs of it is gone by the next pod: a claim is held by the last
pod that uses it, and its data goes with that pod.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object, is_leaving, kind_of, name_of, ref_of, template
from rollback_lib.core.kube.references import keys, references
from rollback_lib.core.kube.snapshot import Presence, Snapshot
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import CREATE, RESTART, UPDATE
from rollback_lib.core.plan.orphans import owned_by
from rollback_lib.core.reasons import Reason

CLAIM: Final = "PersistentVolumeClaim"
# The server takes a patch of what is on its way out; with this it says 422. A member that is not there equals null.
STAYS: Final = Operation("test", "/metadata/deletionTimestamp", None)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What pods hold or need, and whose. ``required``: they do not start without it; else it may be made with them.
    ``file``: where the release has it, though the plan leaves it alone."""

    kind: str
    name: str
    who: tuple[str, ...]
    required: bool = True
    file: str = ""
    keys: tuple[tuple[str, str], ...] = ()  # (key, whose and where)

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)

    @property
    def code(self) -> str:
        """What ``--accept`` takes to go on though it, or something in it, is not there."""
        return f"missing-reference:{self.name}"


def since(live: Mapping[str, Any]) -> str:
    """When it was deleted and what holds it, in words."""
    deleted, *held = since_and_by(live)
    return f"it was deleted at {deleted}" + (f", and {', '.join(held)} still holds it" if held else "")


def since_and_by(live: Mapping[str, Any]) -> tuple[str, ...]:
    """When it was deleted, and the finalizers that hold it."""
    meta = live["metadata"]
    return tuple(map(str, (meta["deletionTimestamp"], *(meta.get("finalizers") or ()))))


def refusal(live: Object) -> Refusal:
    """Why nothing is written to an object on its way out."""
    what = ref_of(live)
    return Refusal(
        f"{what} is on its way out: {since(live)}. What is written to it goes with it.", code=f"skip:{what}",
        reason=Reason.LEAVING, subject=str(what), facts=since_and_by(live),
        fix=f"Wait until it is gone (`kubectl wait --for=delete {kind_of(live).lower()}/{name_of(live)}`), or let go "
        f"of it; then plan again.",
    )  # fmt: skip


def of_namespace(name: str) -> str:
    """Why nothing is put back into a namespace on its way out."""
    return f"namespace {name} is on its way out: somebody deleted it, and everything in it goes."


def needs(
    drafts: Sequence[Draft], stuck: Collection[ObjectRef], deleted: Sequence[Object], snapshot: Snapshot
) -> tuple[Need, ...]:
    """What the pods need that will be made, and the claims of those that will be ended.

    ``stuck``: the StatefulSets whose pods are deleted; ``deleted``: the workloads that go.
    """
    found: dict[ObjectRef, tuple[list[str], bool]] = {}
    keyed: dict[ObjectRef, list[tuple[str, str]]] = {}

    def add(reference: ObjectRef, who: ObjectRef, required: bool) -> None:
        whose, before = found.get(reference, ([], False))
        found[reference] = (list(dict.fromkeys([*whose, str(who)])), before or required)

    for draft in drafts:
        if draft.change in (CREATE, UPDATE, RESTART):
            for reference in sorted(references(template(draft.target))):
                add(reference, draft.ref, True)
            for needed in keys(template(draft.target)):
                keyed.setdefault(needed.of, []).append((needed.key, f"{draft.ref} ({needed.where})"))
        if draft.change in (CREATE, UPDATE, RESTART) or draft.ref in stuck:
            for claim in claims(draft.live or draft.target, snapshot):
                add(ObjectRef(CLAIM, claim), draft.ref, False)
    for live in deleted:
        for claim in claims(live, snapshot):
            add(ObjectRef(CLAIM, claim), ref_of(live), False)
    return tuple(
        Need(kind=r.kind, name=r.name, who=tuple(who), required=required, keys=tuple(keyed.get(r, ())))
        for r, (who, required) in found.items()
    )


def claims(workload: Object, snapshot: Snapshot) -> Iterator[str]:
    """The claims of a workload's pods, those of a StatefulSet's templates included, there or not."""
    if template(workload) is None:
        return
    spec = workload["spec"]
    first, count = (spec.get("ordinals") or {}).get("start", 0), spec.get("replicas")
    for made in spec.get("volumeClaimTemplates") or ():
        for number in range(first, first + (1 if count is None else count)):
            yield f"{name_of(made)}-{name_of(workload)}-{number}"
    sets = {name_of(r): r for r in snapshot.all("ReplicaSet")}
    for pod in snapshot.all("Pod"):
        if _is_its(pod, workload, sets):
            for volume in (pod.get("spec") or {}).get("volumes") or ():
                if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
                    yield str(name)


def _is_its(pod: Object, workload: Object, sets: Mapping[str, Object]) -> bool:
    """By its owners; or by its labels, since a StatefulSet that was deleted without its pods takes them up again."""
    owners = owned_by(pod)
    owners += [o for r in owners if r.type == "ReplicaSet" and r.name in sets for o in owned_by(sets[r.name])]
    if owners:
        return ref_of(workload) in owners
    wanted = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= ((pod.get("metadata") or {}).get("labels") or {}).items()


def of_snapshot(need: Need, snapshot: Snapshot) -> Presence | None:
    """Whether it is there by the snapshot; None where that does not say."""
    found = snapshot.get(need.ref)
    if found is None:
        return None
    return Presence.LEAVING if is_leaving(found) else Presence.THERE


def keys_of(obj: Object) -> frozenset[str]:
    """The keys of a ConfigMap."""
    return frozenset((*(obj.get("data") or {}), *(obj.get("binaryData") or {})))


def lacks(need: Need, has: Collection[str]) -> Refusal | None:
    """Why pods do not start with the object as it will be, which ``has`` these keys; None where they do."""
    if not (lacking := [(key, who) for key, who in need.keys if key not in has]):
        return None
    said = "; ".join(f"{key}, which {who} needs" for key, who in lacking[:3])
    return Refusal(
        f"{need.kind} {need.name} lacks the key {said}.", code=need.code,
        reason=Reason.MISSING_KEY, subject=str(need.ref), facts=tuple(dict.fromkeys(key for key, _ in lacking)),
    )  # fmt: skip


def missing(need: Need, there: Presence) -> Refusal | None:
    """Why pods cannot be made or ended without it; None where they can."""
    who = ", ".join(need.who[:3])
    code = need.code
    if there is Presence.ABSENT and need.required:
        fix = f"{need.file} of the release has it: create it by hand, then plan again." if need.file else ""
        return Refusal(
            f"{need.kind} {need.name} is missing; {who} cannot start without it.", code=code, fix=fix,
            reason=Reason.MISSING_REFERENCE, subject=str(need.ref), facts=need.who,
        )  # fmt: skip
    if there is not Presence.LEAVING:
        return None
    if need.kind == CLAIM:
        return Refusal(
            f"{need.kind} {need.name} is on its way out: somebody deleted it, and only the pods that use it hold it. "
            f"Its data goes with the next pod that is replaced, and {who} would replace it.",
            code=code,
            fix="While that pod runs, copy the data, or keep the volume (persistentVolumeReclaimPolicy: Retain).",
            reason=Reason.LEAVING,
            subject=str(need.ref),
            facts=need.who,
        )
    return Refusal(
        f"{need.kind} {need.name} is on its way out: somebody deleted it, and it is held for now. New pods of {who} "
        f"would need it.",
        code=code, fix="Make it again once it is gone; then plan again.",
        reason=Reason.LEAVING, subject=str(need.ref), facts=need.who,
    )  # fmt: skip
