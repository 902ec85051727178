"""What a run changed, as manifests of the state before it: what `undo` goes back to as if it were a release."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.core import health
from rollback_lib.core.images.reference import digest_of, repository_of
from rollback_lib.core.kube import go_json
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.objects import (
    Object,
    image_ids,
    named_images,
)
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import CREATE, DELETE, RESTART, UPDATE, Plan
from rollback_lib.core.releases.tags import Tag
from rollback_lib.core.run.records import Images

_PREFIX: Final = "before-"
_OF_CONTROLLERS: Final = ("deployment.kubernetes.io/", "rollback-lib/", "deprecated.daemonset.template.generation")


def release(run: str) -> str:
    """What the state before a run is called."""
    return _PREFIX + run


def kept(ref: ObjectRef) -> str:
    """How the files in the run directory begin that keep what is to be known of an object before it is changed."""
    return f"before/{ref.type.lower()}-{ref.name}"


def file_of(ref: ObjectRef) -> str:
    """Where in the run directory an object is kept as it was before."""
    return f"{kept(ref)}.json"


def changed(plan: Plan) -> list[tuple[str, ObjectRef]]:
    """(file of the manifests, object) of what the plan changes or deletes: it is kept, and can be put back."""
    found = [
        (o.file, o.ref) for s in plan.services for o in s.objects if o.change in (UPDATE, RESTART)
    ]  # fmt: skip
    files = [o.file for s in plan.services for o in s.objects if o.file]
    return found + [(files[-1], o.ref) for o in plan.orphans if o.change == DELETE and files]


def was_well(live: Object) -> bool:
    """Whether the rollout of a workload was over and all its pods Ready, by its own status when it was kept."""
    spec, status, meta = live.get("spec") or {}, live.get("status") or {}, live["metadata"]
    if live["kind"] == "DaemonSet":
        wanted, fields = status.get("desiredNumberScheduled", 0), ("updatedNumberScheduled", "numberReady")
    else:
        settled = live["kind"] == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision")
        wanted = spec.get("replicas", 1)
        fields = ("readyReplicas",) if settled else ("updatedReplicas", "readyReplicas")  # type: ignore[assignment]
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    return bool(seen and all(status.get(field, 0) >= wanted for field in fields))


def created(plan: Plan) -> tuple[str, ...]:
    """What the plan creates, which the state before has not."""
    return tuple(str(o.ref) for s in plan.services for o in s.objects if o.change == CREATE)


def ran(workload: Object, snapshot: Snapshot) -> dict[str, str]:
    """The digest that each container's newest pods report, where they agree."""
    view = health.View(workload, replica_sets=snapshot.all("ReplicaSet"), pods=snapshot.all("Pod"))
    found: dict[str, set[str]] = {}
    for pod in health.newest_pods(view):
        for ref, image_id in image_ids(workload, pod):
            if not ref.volume:
                found.setdefault(ref.name, set()).add(digest_of(image_id))
    return {name: digests.pop() for name, digests in found.items() if len(digests) == 1}


def tree(objects: Sequence[tuple[str, Object]], plan: Plan, images: Images) -> dict[str, bytes]:
    """The manifests by file: each container with the very image that its pods ran, a mutable tag may be another's.

    Each keeps its own last-applied annotation, or has none: that comes back with it. The whole live object in its place
    would make the team's next apply take away what others own.
    """
    digests = {i.ref: i.ran for i in images.images}
    digests |= {
        ContainerRef(o.ref, name, init): digest
        for o in plan.orphans
        for name, digest in o.ran.items()
        for init in (False, True)  # which of both it is, the plan does not say
    }
    files: dict[str, list[bytes]] = {}
    for file, body in objects:
        files.setdefault(file, []).append(b"---\n" + go_json.in_yaml(_manifest(body, digests)) + b"\n")
    return {file: b"".join(texts) for file, texts in files.items()}


def tag(run: str, files: Mapping[str, bytes], date: str) -> Tag:
    """The tag that stands for these manifests; its commit is made of them, so that another state is another plan."""
    digest = hashlib.sha1(usedforsecurity=False)
    for file in sorted(files):
        digest.update(file.encode() + b"\0" + files[file])
    return Tag(release(run), digest.hexdigest(), "commit", date)


def _manifest(live: Object, digests: Mapping[ContainerRef, str]) -> Object:
    body = copy.deepcopy(live)
    meta = body["metadata"]
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if not k.startswith(_OF_CONTROLLERS)}
    kept = {"name": meta["name"], "labels": meta.get("labels"), "annotations": notes}
    body["metadata"] = {key: value for key, value in kept.items() if value}
    body.pop("status", None)
    for ref, image in named_images(body):
        if digest := digests.get(ref):
            image.text = f"{repository_of(image.text)}@{digest}"
    return body
