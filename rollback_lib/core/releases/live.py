"""What runs, reduced to what tells one release from another: no values of variables, so that it may be kept."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from rollback_lib.core import health
from rollback_lib.core.health import View
from rollback_lib.core.health.pods.newest import desired_pods
from rollback_lib.core.images.confirmation import Past, Revision
from rollback_lib.core.images.reference import digest_of, tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage, Running, same_image
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, WORKLOADS
from rollback_lib.core.kube.marks import OURS, as_kubectl_reads, last_applied, restored_release
from rollback_lib.core.kube.objects import (
    CHANGE_CAUSE,
    LAST_APPLIED,
    RESTARTED_AT,
    Object,
    decided,
    image_ids,
    images_in,
    name_of,
    named_images,
    notes_of,
    ref_of,
    template,
)
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.record import Record, canonical
from rollback_lib.core.releases import revisions

Pods = Mapping[ContainerRef, tuple[Running, ...]]
KINDS_READ: Final = (*WORKLOADS, "ReplicaSet", "ControllerRevision", "Pod")


class LiveContainer(msgspec.Struct, frozen=True, kw_only=True):
    """One container: its image as the live template names it, and what each pod reports for it.

    ``applied``: as `kubectl apply` was last given it; ``older``: as older revisions have it, oldest first.
    """

    name: str
    init: bool = False
    volume: bool = False
    image: str = ""
    running: tuple[Running, ...] = ()
    applied: str = ""
    older: tuple[Revision, ...] = ()

    @property
    def newest(self) -> tuple[str, ...]:
        """The image ids of the pods of the newest template."""
        return tuple(r.image_id for r in self.running if r.newest and r.image_id)


class LiveWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload. ``template`` is `template_shape`; ``mark`` the release of a rollback that still stands there.

    ``since``: when its newest revision was made, RFC 3339; empty where that cannot be seen. ``applied`` is
    `applied_shape` of what `kubectl apply` was last given; empty without that annotation.
    """

    kind: str
    name: str
    desired: int
    template: str
    mark: str = ""
    since: str = ""
    applied: str = ""
    containers: tuple[LiveContainer, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)

    @property
    def label(self) -> str:
        return str(self.ref)

    @property
    def by_ref(self) -> dict[ContainerRef, LiveContainer]:
        return {ContainerRef(self.ref, c.name, c.init, c.volume): c for c in self.containers}


class Live(Record, frozen=True, kw_only=True):
    """The workloads of the namespace at one time. ``no_pods`` says why pods could not be read."""

    workloads: tuple[LiveWorkload, ...] = ()
    no_pods: str = ""

    def get(self, ref: ObjectRef) -> LiveWorkload | None:
        return next((w for w in self.workloads if w.ref == ref), None)

    @property
    def by_ref(self) -> dict[ContainerRef, LiveContainer]:
        return {ref: c for w in self.workloads for ref, c in w.by_ref.items()}


def live(snapshot: Snapshot) -> Live:
    """What a snapshot of `KINDS_READ` says."""
    found = [_workload(w, kind, snapshot) for kind in WORKLOADS for w in snapshot.all(kind)]
    return Live(workloads=tuple(found), no_pods=snapshot.refused.get("Pod", ""))


def running(now: Live, release: str) -> Pods:
    """What pods report for each container of each workload; ``restored`` where a rollback to this release stands."""
    return {
        ref: tuple(msgspec.structs.replace(r, restored=w.mark == release) for r in c.running)
        for w in now.workloads
        for ref, c in w.by_ref.items()
        if c.running
    }


def beside(
    image: ContainerImage, live: LiveContainer | None, answers: Mapping[str, Answer], mutable: Collection[str]
) -> ContainerImage:
    """What a container gets, with what it has live, and whether that is this image already.

    ``mutable``: the tags that deploys overwrite. Another tag that pods run is what they run, under its name.
    """
    if live is None:
        return image
    newest = [r for r in live.running if r.newest]
    answer = answers.get(live.image)
    ran = {digest_of(r.image_id) for r in newest}
    if digest := digest_of(live.image) or (answer.digest if answer else ""):
        names_it = digest in image.digests
    else:
        names_it = tag_of(live.image) not in mutable
    still = bool(newest) and names_it and all(same_image(image.digests, r.image_id) for r in newest)
    return msgspec.structs.replace(
        image, live=live.image, live_is_target=still, ran=ran.pop() if len(ran) == 1 else ""
    )  # fmt: skip


def pasts(now: Live) -> dict[ContainerRef, Past]:
    """What each container of the templates had, for telling what explains it."""
    return {
        ref: Past(
            live=c.image, applied=c.applied, ours=bool(w.mark), revisions=c.older, since=w.since,
            digests=tuple(dict.fromkeys(d for i in c.newest if (d := digest_of(i)))),
        )
        for w in now.workloads
        for ref, c in w.by_ref.items()
        if c.image
    }  # fmt: skip


def _workload(workload: Object, kind: str, snapshot: Snapshot) -> LiveWorkload:
    named = {ref: image.text for ref, image in named_images(workload)}
    view = health.View(
        workload, replica_sets=snapshot.all("ReplicaSet"), pods=snapshot.all("Pod"),
        revisions=snapshot.all("ControllerRevision"),
    )  # fmt: skip
    # and those of an older revision, or put into the pods by somebody else
    found = _running(view) if kind in AWAITED else {}
    older, since = revisions.older(view) if kind in AWAITED else ({}, "")
    applied = revisions.applied(workload)
    return LiveWorkload(
        kind=kind, name=name_of(workload), desired=desired_pods(workload) if kind in AWAITED else 0,
        template=template_shape(workload), mark=restored_release(workload), since=since,
        applied=applied_shape(given) if (given := last_applied(workload)) else "",
        containers=tuple(
            LiveContainer(
                name=ref.name, init=ref.init, volume=ref.volume, image=named.get(ref, ""), running=found.get(ref, ()),
                applied=applied.get(ref, ""), older=older.get(ref, ()),
            )
            for ref in dict.fromkeys((*named, *found))
        ),
    )  # fmt: skip


def _running(view: View) -> Pods:
    newest = {name_of(p) for p in health.newest_pods(view)}
    found: dict[ContainerRef, list[Running]] = {}
    for pod in health.owned(view):
        images = {ref: image.text for ref, image in images_in(pod, ref_of(view.workload))}
        for ref, image_id in image_ids(view.workload, pod):
            found.setdefault(ref, []).append(
                Running(
                    image_id=image_id, image=images.get(ref, ""),
                    ready=health.is_ready(pod), newest=name_of(pod) in newest,
                    node=str((pod.get("spec") or {}).get("nodeName") or ""),
                )
            )  # fmt: skip
    return {key: tuple(values) for key, values in found.items()}


def template_shape(workload: Mapping[str, Any]) -> str:
    """A hash of the pod template without its images and past restarts: the same before and after a rollback to it."""
    return _hash(_bare(template(workload) or {}))


def applied_shape(given: Mapping[str, Any]) -> str:
    """A hash of a workload's manifest, alike for a file and for what `kubectl apply` kept of it.

    Aside are its images, which jobs fill in, what kubectl adds of its own, past restarts, and what a rollback leaves.
    """
    body = copy.deepcopy(dict(given))
    added = (LAST_APPLIED, CHANGE_CAUSE)
    notes = {k: v for k, v in notes_of(body).items() if k not in added and not k.startswith(OURS)}
    meta = {k: v for k, v in (body.get("metadata") or {}).items() if k != "namespace"}
    body["metadata"] = {**meta, "annotations": notes}
    if (found := template(body)) is not None:
        bare = _bare(found)
        found.clear()
        found.update(bare)
    return _hash(as_kubectl_reads(body))


def object_hash(obj: Mapping[str, Any]) -> str:
    """A hash of what is decided about an object as live; of a workload without its images and past restarts."""
    body = copy.deepcopy(decided(obj))
    if (found := template(body)) is not None:
        found.clear()
        body["template"] = template_shape(obj)
    return _hash(body)


def _bare(found: Object) -> Object:
    bare = copy.deepcopy(found)
    metadata = bare.setdefault("metadata", {}) or {}
    metadata.pop("creationTimestamp", None)
    notes = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != RESTARTED_AT}
    bare["metadata"] = {**metadata, **({"annotations": notes} if notes else {})}
    for _, image in images_in(bare, ObjectRef("", "")):
        image.take_out()
    return bare


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
