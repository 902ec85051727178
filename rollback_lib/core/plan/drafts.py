"""From the release's objects and the live ones to what the plan says of each. Pure; `preflight` asks the questions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from rollback_lib.core import health
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AUTOSCALER, AWAITED, KINDS, WORKLOADS
from rollback_lib.core.kube.marks import last_applied
from rollback_lib.core.kube.objects import (
    LAST_APPLIED,
    Object,
    fingerprint,
    is_leaving,
    kind_of,
    name_of,
    notes_of,
    ref_of,
    replicas_of,
    template,
)
from rollback_lib.core.kube.snapshot import ClusterIdentity, Snapshot
from rollback_lib.core.manifests import grouping, in_between
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.plan import decide, differences, leaving, orphans
from rollback_lib.core.plan.beginnings import Failed
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import (
    CREATE,
    DELETE,
    LEFT,
    NONE,
    RESTART,
    UPDATE,
    Leftover,
    Orphan,
    Plan,
    PlannedContainer,
    PlannedObject,
    PlannedService,
    StuckPod,
)
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import beyond
from rollback_lib.core.releases.tags import ReleaseRef, RepositoryIdentity
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.core.traffic import reach
from rollback_lib.core.wording import some


def skipped(drafts: Sequence[Draft]) -> set[str]:
    """The accept codes that left an object alone."""
    return {d.accepted for d in drafts if d.accepted}


def drafts(
    request: Request, targets: Sequence[tuple[SourceObject, Object]], snapshot: Snapshot,
    failed: Contents, images: Images, resolution: Resolution, refused: list[Refusal],
    line_of: in_between.LineOf = lambda *_: 0, of_later: Callable[[ObjectRef, Object], bool] = lambda *_: False,
) -> list[Draft]:  # fmt: skip
    """``of_later``: whether what was last applied to an object is a later release's file (`reading.of_later`)."""
    namespace = request.target_environment.namespace
    asked = failed.bodies()

    def of(source: SourceObject, body: Object, autoscalers: Sequence[Object] = ()) -> Draft:
        live = snapshot.get(source.ref)
        draft = Draft(
            service=source.service, wave=source.wave, file=source.file, target=body, live=live, change=LEFT,
            namespace=source.namespace,
            applied=notes_of(body).get(LAST_APPLIED, "") if request.undo else None,
        )  # fmt: skip
        skip = f"skip:{draft.ref}"
        if why := decide.never_written(body, namespace):
            elsewhere = (body.get("metadata") or {}).get("namespace") not in (None, namespace)
            is_beyond = not elsewhere and beyond.of_manifest(body, request.settings)
            draft = msgspec.structs.replace(draft, why=why, beyond=is_beyond)
        elif skip in request.accept:
            draft = msgspec.structs.replace(draft, why=f"--accept {skip}", accepted=skip, absent=live is None)
        elif why := snapshot.why_not(source.ref, source.api_version):
            refused.append(
                Refusal(
                    f"{draft.ref} ({source.place}): {why}.", code=skip,
                    reason=Reason.OBJECT_UNREAD, subject=str(draft.ref), facts=(source.api_version,),
                )
            )  # fmt: skip
        elif live is not None and is_leaving(live):
            refused.append(leaving.refusal(live))
        elif live is None and str(draft.ref) in request.undo_missing:
            draft = msgspec.structs.replace(draft, change=CREATE, why="the run that is undone has deleted it")
        elif live is None:
            removed = failed.lacks(source.ref)
            change, why = decide.missing(body, removed)
            draft = msgspec.structs.replace(draft, change=change, why=why, absent=change == LEFT)
        else:
            base = last_applied(live) or asked.get(source.ref)
            variables = request.target_environment.overlay.env
            found = () if request.undo else in_between.places(body, asked.get(source.ref), live, variables)
            if found and not of_later(source.ref, live):
                refused.append(in_between.refusal(draft.ref, source.file, found, line_of))
                if in_between.code(draft.ref) in request.accept:
                    draft = msgspec.structs.replace(draft, target=in_between.kept(body, found), merged=True)
            draft = decide.put_back(
                draft, base, namespace=namespace, autoscaled=decide.scaled_by_autoscaler(body, autoscalers),
                stamp=decide.stamps(body, resolution.target.release, request.run),
            )  # fmt: skip
        return draft

    # first, since one that comes back has the replicas of its workload from then on
    scaling = {id(body): of(source, body) for source, body in targets if source.ref.type == AUTOSCALER}
    made = [d.target for d in scaling.values() if d.change == CREATE]
    autoscalers = (*snapshot.all(AUTOSCALER), *made)
    found = [scaling.get(id(body)) or of(source, body, autoscalers) for source, body in targets]
    pods = snapshot.all("Pod")
    found = [msgspec.structs.replace(d, empty=reach.selects_nothing(d.live, pods)) for d in found]
    if not request.undo:
        refused += _nothing_there(found, resolution.target.release, namespace)
    return found


def _nothing_there(drafts: Sequence[Draft], release: str, namespace: str) -> list[Refusal]:
    """The refusal of a plan for workloads of which none is there: it would restore nothing, and call that done."""
    mine = [d for d in drafts if d.ref.type in AWAITED and (d.live is not None or d.absent or d.change != LEFT)]
    if not mine or not all(d.absent for d in mine):
        return []
    names = some([str(d.ref) for d in mine])
    many = "the one workload" if len(mine) == 1 else f"none of the {len(mine)} workloads"
    verb = "is not" if len(mine) == 1 else "is"
    return [
        Refusal(
            f"{many} of {release} {verb} in namespace {namespace}: {names}. A rollback does not start what is not "
            f"running.",
            reason=Reason.NOTHING_THERE,
            subject=release,
            facts=(namespace, str(len(mine))),
            fix="Look whether `namespace` and `context` in rollback.yaml are right; what was deleted, a deploy brings "
            "back.",
        )
    ]


def beside(
    request: Request, drafts: Sequence[Draft], snapshot: Snapshot, images: Images, refused: list[Refusal]
) -> tuple[str, ...]:
    """What carries the team's images, is in no manifest and cannot be put back; refused with what is in one."""
    settings = request.settings
    there = beyond.running(snapshot, settings, request.services)
    digests = {d for i in images.images if i.own for d in (i.digest, *i.digests)}
    at_target = {what for what, bodies in there.items() if beyond.is_at(bodies, digests, settings)}
    in_manifests = {d.ref for d in drafts}
    mine = tuple(ref for ref in there if ref not in in_manifests | at_target)
    for ref in (*(d.ref for d in drafts if d.beyond and d.ref not in at_target), *mine):
        what = beyond.called(ref)
        refused.append(
            Refusal(
                f"{what} carries an image of the team's, and a rollback cannot put it back: it would stay as it is.",
                code=f"skip:{what}", fix=beyond.fix(ref), reason=Reason.NOT_PUT_BACK, subject=what,
            )
        )  # fmt: skip
    return tuple(map(beyond.called, mine))


def not_known(request: Request, current: ReleaseRef, drafts: Sequence[Draft]) -> tuple[str, ...]:
    """What cannot be told of the files where no release stands for what runs."""
    if current.commit or request.undo:
        return ()
    changing = [(d.target, d.live) for d in drafts if d.change == UPDATE and d.live is not None]
    return in_between.unsure(changing, request.target_environment.overlay.env)


def shared_changes(request: Request, drafts: Sequence[Draft]) -> list[str]:
    """What a rollback of some services changes for the others too."""
    if not request.services:
        return []
    changing = [d.ref for d in drafts if d.service == grouping.SHARED and d.change in (CREATE, UPDATE, RESTART)]
    return [f"{name} is shared: it changes for the services that stay as they are, too." for name in changing]


def with_reasons_to_restart(drafts: Sequence[Draft]) -> list[Draft]:
    """Where a ConfigMap changes by its dry run, in what pods read of it, its readers have a reason to restart."""
    changing = {
        name_of(d.target)
        for d in drafts
        if kind_of(d.target) == "ConfigMap" and d.change == UPDATE and d.live is not None and d.after is not None
        if any(d.live.get(part) != d.after.get(part) for part in ("data", "binaryData"))
    }
    return [
        msgspec.structs.replace(d, why=f"ConfigMap {used} changes")
        if d.change in (UPDATE, NONE) and (used := decide.consumes(d.target, changing))
        else d
        for d in drafts
    ]


def orphans_of(
    snapshot: Snapshot, gone: Mapping[ObjectRef, Object], there: Mapping[ObjectRef, bool | None], namespace: str,
    failed: Failed | None = None, accepted: Collection[str] = (), drafts: Sequence[Draft] = (),
) -> tuple[Orphan, ...]:  # fmt: skip
    """What becomes of each object that only the failed release's manifests have (``gone``); ConfigMaps come last.

    ``there``: whether those exist that were not read; None where we may not know. ``failed``: what proves that they
    began with it; None where that is not asked, since a run of ours created them. ``drafts``: the rest of the plan; it
    is carried out, and well, before any of these goes.
    """
    coming = {
        d.ref: d.after
        for d in drafts
        if d.change in (CREATE, UPDATE, RESTART) and d.after is not None and template(d.after)
    }
    found: list[Orphan] = []
    deleted: set[ObjectRef] = set()
    staying: list[Object] = []
    for key in sorted(gone, key=lambda r: (r.type == "ConfigMap", r.type not in WORKLOADS, r)):
        live = snapshot.get(key)
        if why := orphans.elsewhere(gone[key], namespace):
            found.append(orphans.left(key, gone[key], why))
        elif live is None and key.type not in KINDS:
            found.append(orphans.left(key, gone[key], "whether it is there was not looked up"))
        elif live is None and key in there and there[key] is not False:
            found.append(orphans.left(key, gone[key], "" if there[key] else "we may not see whether it is there"))
        elif live is None:
            continue
        else:
            found.append(orphans.orphan(live, _staying(snapshot, deleted, coming), failed, staying, accepted))
            deleted |= {key} if found[-1].change == DELETE else set()
            staying += [live] if found[-1].change != DELETE and key.type in WORKLOADS else []
    return tuple(found)


def _staying(snapshot: Snapshot, deleted: Collection[ObjectRef], coming: Mapping[ObjectRef, Object]) -> list[Object]:
    """Everything with a pod template that is there at the end: workloads as they will be, and the pods that stay.

    (ReplicaSets of old revisions without pods hold nothing; those with pods are seen by their pods. ``coming`` has the
    workloads that this plan changes: where their template is another one, their pods of now are replaced.)
    """
    there = {ref_of(w): w for kind in WORKLOADS for w in snapshot.all(kind)}
    gone = {*deleted, *(k for k, w in coming.items() if k in there and decide.replaces_pods(there[k], w))}
    sets = {name_of(r): r for r in snapshot.all("ReplicaSet")}

    def goes(pod: Object) -> bool:
        keys = orphans.owned_by(pod)
        keys += [o for r in keys if r.type == "ReplicaSet" and r.name in sets for o in orphans.owned_by(sets[r.name])]
        return any(k in gone for k in keys)

    workloads = [w for key, w in {**there, **coming}.items() if key not in deleted]
    return workloads + [orphans.as_template(p) for p in snapshot.all("Pod") if not goes(p)]


def stuck(drafts: Sequence[Draft], snapshot: Snapshot) -> tuple[StuckPod, ...]:
    """StatefulSets that come back only once a pod is deleted: after the template is put back, or it is back already."""

    def sticks(draft: Draft) -> bool:
        if kind_of(draft.target) != "StatefulSet" or draft.live is None:
            return False
        view = health.View(draft.live, pods=snapshot.all("Pod"))
        if draft.change == NONE:
            return health.stuck_pod(view) is not None
        return draft.change in (UPDATE, RESTART) and health.may_stick(view)

    return tuple(StuckPod(workload=name_of(d.target)) for d in drafts if sticks(d))


def leftovers(drafts: Sequence[Draft]) -> tuple[Leftover, ...]:
    return tuple(
        found
        for d in drafts
        if d.live is not None and d.after is not None and d.change in (UPDATE, RESTART) and template(d.after)
        for found in differences.leftovers(d.live, d.after, last_applied(d.live))
    )


def ready_pods(snapshot: Snapshot) -> int:
    """How many serve now: what is Terminating does not."""
    return sum(health.is_ready(p) for p in snapshot.all("Pod"))


def services(
    resolution: Resolution, drafts: Sequence[Draft], images: Images, show: Collection[str] = ()
) -> tuple[PlannedService, ...]:
    result = []
    for name, wave in resolution.services:
        objects = tuple(_planned(d, show) for d in drafts if d.service == name)
        containers = tuple(
            PlannedContainer(
                name=i.container, workload=str(i.ref.workload), from_=i.live or i.manifest, to=i.to, digest=i.digest,
                digests=i.digests, rung=i.rung, init=i.init, volume=i.volume, own=i.own,
            )
            for i in images.images
            if i.service == name
        )  # fmt: skip
        if objects:
            result.append(PlannedService(name=name, wave=wave, objects=objects, containers=containers))
    return tuple(result)


def _planned(draft: Draft, show: Collection[str]) -> PlannedObject:
    writing = draft.change in (CREATE, UPDATE, RESTART)
    return PlannedObject(
        kind=draft.ref.kind, name=draft.ref.name, namespace=draft.namespace, change=draft.change, file=draft.file,
        api_version=str(draft.target.get("apiVersion", "")), why=draft.why, kept=draft.kept,
        before=fingerprint(draft.live), after=fingerprint(draft.after) if writing else fingerprint(draft.live),
        after_rollout=decide.selector_moves(draft), recreate=draft.anew is not None, absent=draft.absent,
        empty=draft.empty, beyond=draft.beyond, leaves=draft.leaves,
        diff=differences.lines(draft.live, draft.after, show) if writing and draft.after else (),
        replicas=_scaled(draft) if writing else None, owner=draft.owner if writing else None,
    )  # fmt: skip


def _scaled(draft: Draft) -> tuple[int | None, int | None] | None:
    """From how many pods to how many, where the plan changes that."""
    if draft.live is None or draft.after is None:
        return None
    found = replicas_of(draft.live), replicas_of(draft.after)
    return found if found[0] != found[1] else None


def offline(
    request: Request, resolution: Resolution, images: Images, targets: Sequence[tuple[SourceObject, Object]],
    repository: RepositoryIdentity, newest: Mapping[ObjectRef, Object],
) -> Plan:  # fmt: skip
    """What can be said from git alone: nothing about the cluster, and no image is proven. ``newest``: the objects of
    the newest release, to compare with; what runs is not known.
    """
    environment = request.target_environment
    found = [
        Draft(
            service=source.service, wave=source.wave, file=source.file, target=body, live=newest.get(source.ref),
            why=why or ("its file is the same" if newest.get(source.ref) == body else ""),
            change=LEFT if why else UPDATE, namespace=source.namespace, after=body if newest else None,
        )
        for source, body in targets
        for why in (decide.never_written(body, environment.namespace),)
    ]  # fmt: skip
    said = ["Offline: neither the cluster nor the registry was asked."]
    if newest:
        said.append(f"The differences are to the files of {resolution.releases[0].release}, the newest release.")
    return Plan(
        run=request.run, application=request.application, environment=request.environment,
        namespace=environment.namespace,
        cluster=ClusterIdentity(context=environment.context or "", namespace=environment.namespace),
        current=images.current, target=resolution.target, services=services(resolution, found, images),
        warnings=(*resolution.warnings, *images.warnings, *said), proven=False, repository=repository,
    )  # fmt: skip
