"""What happens to each object of the target's manifests: created, put back, restarted, left or already right."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube import json_patch, owners
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.json_patch import Operation, pointer
from rollback_lib.core.kube.kinds import AWAITED, WORKLOADS, WRITTEN
from rollback_lib.core.kube.marks import OURS, RELEASE, TEMPLATE, last_applied
from rollback_lib.core.kube.objects import (
    CHANGE_CAUSE,
    RESTARTED_AT,
    Object,
    decided,
    kind_of,
    named,
    named_images,
    notes_of,
    ref_of,
    replicas_of,
    template,
    template_hash,
)
from rollback_lib.core.kube.owners import Owner
from rollback_lib.core.kube.references import uses
from rollback_lib.core.plan import differences, three_way
from rollback_lib.core.plan.model import CREATE, LEFT, NONE, UPDATE, LeftBehind
from rollback_lib.core.reasons import Reason


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One object on its way into the plan. ``operations`` is the patch; empty with change none or left."""

    service: str
    wave: int
    file: str
    target: Object
    live: Object | None
    change: str
    why: str = ""
    accepted: str = ""  # the code by which it is left alone
    operations: tuple[Operation, ...] = ()
    kept: tuple[str, ...] = ()
    after: Object | None = None  # as the server would store it
    merged: bool = False  # target is no longer what its file says: the file is written anew
    applied: str | None = None  # the last-applied annotation that it gets; None: its manifest (`three_way.patch`)
    owner: Owner | None = None  # of the live object, where it is written
    empty: bool = False  # a Service that selects no pod at all
    beyond: bool = False  # it carries an image of the team's, and we cannot put it back
    absent: bool = False  # it is not in the namespace, and left so
    anew: Object | None = None  # what is created once the live object is deleted (`core.plan.recreate`)
    leaves: tuple[LeftBehind, ...] = ()  # what that leaves behind
    namespace: str = ""  # the target's own, where that is not the environment's

    @property
    def ref(self) -> ObjectRef:
        return msgspec.structs.replace(ref_of(self.target), namespace=self.namespace)


def never_written(target: Object, namespace: str) -> str:
    """Why an object of a release is left alone whatever it says; empty where it may be written."""
    kind = kind_of(target)
    if (own := (target.get("metadata") or {}).get("namespace")) and own != namespace:
        return f"it belongs to namespace {own}; a rollback writes only to {namespace}"
    if kind == "Job":
        return "a Job is not run again"
    if kind == "Secret":
        return "a Secret is never written"
    if kind not in WRITTEN:
        return f"a {kind} is never written by a rollback"
    return ""


def missing(target: Object, removed: bool) -> tuple[str, str]:
    """(change, why) for an object of any kind that is not in the cluster.

    A rollback does not start what is not running: what a deploy never applied, or somebody took away by hand, comes
    back only where the failed release is known to have removed it.
    """
    if removed:
        return CREATE, "the failed release removed it"
    if kind_of(target) in WORKLOADS:
        return LEFT, "it does not run, and a rollback does not start what is not running"
    return LEFT, "it is not in the cluster, and nothing says that the failed release removed it"


def stamps(target: Mapping[str, Any], release: str, run: str) -> dict[str, str]:
    """Annotations for the workload, never for its template: why it changed, for ``kubectl rollout history``."""
    said = {f"{OURS}run": run, RELEASE: release}
    if CHANGE_CAUSE not in notes_of(target):
        said[CHANGE_CAUSE] = f"rollback to {release}"
    return said


def marked(draft: Draft, after: Object) -> Draft:
    """The draft with the hash of the template that the server will store: until it changes, our mark holds."""
    if not any(o.path == pointer(("metadata", "annotations", RELEASE)) for o in draft.operations):
        return draft
    where = pointer(("metadata", "annotations", TEMPLATE))
    mark = Operation("add", where, template_hash(after))
    return msgspec.structs.replace(draft, operations=(*draft.operations, mark))


def scaled_by_autoscaler(target: Object, autoscalers: Sequence[Object]) -> bool:
    """Whether an HPA owns the workload's replicas."""
    for autoscaler in autoscalers:
        if named((autoscaler.get("spec") or {}).get("scaleTargetRef") or {}) == ref_of(target):
            return True
    return False


def put_back(draft: Draft, base: Object | None, *, namespace: str, autoscaled: bool, stamp: Mapping[str, str]) -> Draft:
    """The draft with the patch that puts the live object back, before any dry run."""
    assert draft.live is not None
    workload = kind_of(draft.target) in WORKLOADS
    merged = three_way.patch(
        base, draft.target, draft.live, namespace=namespace, keep_replicas=autoscaled,
        stamps=stamp if workload else None, applied=draft.applied,
    )  # fmt: skip
    operations = tuple(json_patch.portable(merged.operations, draft.live))
    change = UPDATE if merged.operations else NONE
    kept = tuple(differences.kept(path, *merged.values[path]) for path in merged.kept)
    return msgspec.structs.replace(draft, change=change, operations=operations, kept=kept)


def restarted(target: Object, at: str) -> Object:
    """The workload with a planned restart in its template, as ``kubectl rollout restart`` marks one."""
    changed = copy.deepcopy(target)
    found = template(changed)
    assert found is not None
    meta = found.setdefault("metadata", {})
    meta["annotations"] = {**(meta.get("annotations") or {}), RESTARTED_AT: at}
    return changed


def restarted_at(obj: Mapping[str, Any] | None) -> str:
    """When somebody last asked for new pods of the same template; empty where nobody has, or it was taken out again."""
    return str(notes_of(template(obj or {}) or {}).get(RESTARTED_AT) or "")


def consumes(target: Object, config_maps: Collection[str]) -> str:
    """The first of these ConfigMaps that the workload's pods read; empty where none (a CronJob reads anew)."""
    if kind_of(target) not in AWAITED:
        return ""
    return next((c for c in sorted(config_maps) if uses(template(target), ObjectRef("ConfigMap", c))), "")


def owned(draft: Draft, *, by_policy: bool) -> Refusal:
    """Why an object of another program's is not simply written. Only a person accepts that, told what undoes it."""
    assert draft.owner is not None
    advice = owners.advice(draft.owner)
    said = f"{draft.ref} is owned by {owners.who(draft.owner)}" + (f": {advice}. " if advice else ". ")
    said += owners.undoes(draft.owner, [str(draft.ref)])
    fix = "With `approval: auto` nobody hears that, so it is not acceptable there." if by_policy else ""
    return Refusal(
        said, code="" if by_policy else f"owner:{draft.ref.name}", fix=fix,
        reason=Reason.OWNED, subject=str(draft.ref), facts=(draft.owner.program, draft.owner.name),
    )  # fmt: skip


def replaces_pods(live: Object, after: Object) -> bool:
    """Whether each pod of the workload is another one once it is well. A partition keeps some; a job ends by itself."""
    update = ((after.get("spec") or {}).get("updateStrategy") or {}).get("rollingUpdate") or {}
    awaited = kind_of(after) in AWAITED and not update.get("partition")
    return awaited and template(live) != template(after)


def already(draft: Draft, after: Object, live_is_target: Collection[ContainerRef]) -> bool:
    """Whether the server would store what it has, apart from what needs no new pod.

    That is an image which is the same one under another name (``live_is_target``: the containers whose live reference
    still names the planned image, in the registry and in the pods), and the mark of a past restart.
    What makes no plan stale is still a change: a number of replicas.
    """
    assert draft.live is not None
    if replicas_of(after) != replicas_of(draft.live):
        return False
    live = decided(draft.live)
    return live in (decided(after), decided(_alike(after, draft, live_is_target, restarted_at(draft.live))))


def left_alone(draft: Draft, live_is_target: Collection[ContainerRef]) -> Draft:
    """The draft of an object that is right already: its manifest says what the last apply did, so that the next one
    changes nothing. A restart by hand is not in it: an apply leaves that alone anyway."""
    assert draft.live is not None
    target = _alike(draft.target, draft, live_is_target, restarted_at(last_applied(draft.live)))
    return msgspec.structs.replace(
        draft, change=NONE, operations=(), target=target, merged=draft.merged or target != draft.target
    )


def _alike(obj: Object, draft: Draft, live_is_target: Collection[ContainerRef], restart: str) -> Object:
    """``obj`` with what is no reason for a rollout: a restart, and the other name of an image."""
    live = draft.live or {}
    if template(obj) is None or template(live) is None:
        return obj
    twin = copy.deepcopy(obj)
    if restart and not restarted_at(twin):
        twin = restarted(twin, restart)
    images = {ref: image.text for ref, image in named_images(live)}
    for ref, image in named_images(twin):
        if ref in live_is_target:
            image.text = images.get(ref, image.text)
    return twin


def selector_moves(draft: Draft) -> bool:
    """Whether this is a Service that would select other pods: it moves only once those are Ready."""
    return kind_of(draft.target) == "Service" and any(o.path.startswith("/spec/selector") for o in draft.operations)
