"""What carries an image of the team's and no rollback of ours can put back: an Argo Rollout, a bare ReplicaSet or Pod.

A pod template of a kind that we do not write stays at the failed release, in the release's manifests or beside them.
What runs says which things those are: each pod leads to what made it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from rollback_lib.core.health import is_ready
from rollback_lib.core.health.pods.pods import is_live
from rollback_lib.core.images.rungs import same_image
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS, WORKLOADS
from rollback_lib.core.kube.objects import Object, kind_of, name_of, named, ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.releases.matching import team_service
from rollback_lib.core.settings.model import Settings

# A Job is not run again; our own page has no image of the team's, and what we write is put back or named elsewhere.
_ASIDE: Final = (*WORKLOADS, "Job")


def images(body: Any) -> Iterator[str]:
    """The images of all containers in an object, wherever its pod template stands."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in ("containers", "initContainers") and isinstance(value, list):
                yield from (str(c["image"]) for c in value if isinstance(c, Mapping) and c.get("image"))
            yield from images(value)
    elif isinstance(body, list):
        for value in body:
            yield from images(value)


def is_ours(body: Any, settings: Settings, services: Collection[str] = ()) -> bool:
    """Whether an object carries an image of the team's. ``services``: only of these; empty: of all but the ignored."""
    found = (team_service(image, settings) for image in images(body))
    return any(s is not None and (not services or s in services) for s in found)


def of_manifest(body: Object, settings: Settings) -> bool:
    """Whether an object of a release is one of these."""
    return kind_of(body) not in _ASIDE and is_ours(body, settings)


def running(snapshot: Snapshot, settings: Settings, services: Collection[str] = ()) -> dict[ObjectRef, list[Object]]:
    """The pods and ReplicaSets of each that is there, by a snapshot of Pods and ReplicaSets."""
    sets = {name_of(r): r for r in snapshot.all("ReplicaSet")}
    found: dict[ObjectRef, list[Object]] = {}
    alive = [p for p in snapshot.all("Pod") if is_live(p)]
    for body in (*alive, *(r for r in sets.values() if (r.get("spec") or {}).get("replicas", 1))):
        root = _root(body, sets)
        if root.type not in _ASIDE and is_ours(body.get("spec"), settings, services):
            found.setdefault(root, []).append(body)
    return found


def _root(body: Object, sets: Mapping[str, Object]) -> ObjectRef:
    owner = next(iter((body.get("metadata") or {}).get("ownerReferences") or []), None)
    if owner is None:
        return ref_of(body)
    by = named(owner)
    return _root(sets[by.name], {}) if by.type == "ReplicaSet" and by.name in sets and sets else by


def is_at(bodies: Collection[Object], digests: Collection[str], settings: Settings) -> bool:
    """Whether all pods among these are Ready and run, of the team's images, none but these digests."""
    pods = [b for b in bodies if kind_of(b) in ("Pod", "")]
    return bool(pods) and all(is_ready(p) and all(_runs(p, settings, digests)) for p in pods)


def _runs(pod: Object, settings: Settings, digests: Collection[str]) -> Iterator[bool]:
    own = {c["name"] for c in (pod.get("spec") or {}).get("containers") or [] if is_ours({"containers": [c]}, settings)}
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status.get("name") in own:
            yield same_image(digests, str(status.get("imageID") or ""))


def called(ref: ObjectRef) -> str:
    """How people name one of these: a kind that is none of those that we know needs no group."""
    return str(ref) if ref.kind in KINDS else f"{ref.kind}/{ref.name}"


def fix(ref: ObjectRef) -> str:
    """What to do about one of these."""
    how = "its own controller" if ref.type not in KINDS else "hand"
    return f"Put it back by {how}, and say so; or leave it as it is."
