"""The images that a workload's older revisions have: what its controller kept of what was there before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rollback_lib.core.health import View
from rollback_lib.core.health.pods.newest import newest_replica_set
from rollback_lib.core.health.pods.pods import replica_sets_of
from rollback_lib.core.health.pods.reading import owned_by
from rollback_lib.core.images.confirmation import Revision
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.objects import (
    LAST_APPLIED,
    images_in,
    kind_of,
    name_of,
    named_images,
    notes_of,
    template,
)


def older(view: View) -> tuple[dict[ContainerRef, tuple[Revision, ...]], str]:
    """(for each container what the older revisions have, oldest first; since when the newest is there, RFC 3339).

    A revision that comes back keeps its place: its controller keeps one for each template. A CronJob has none.
    """
    if kind_of(view.workload) == "Deployment":
        kept = [(rs, template(rs)) for rs in replica_sets_of(view)]
        newest = newest_replica_set(view)
    else:
        uid = str((view.workload.get("metadata") or {}).get("uid") or "")
        kept = [(r, _template_of(r)) for r in view.revisions if owned_by(r, uid)]
        newest = max((r for r, _ in kept), key=lambda r: int(r.get("revision") or 0), default=None)
    found: dict[ContainerRef, list[Revision]] = {}
    workload = ObjectRef(kind_of(view.workload), name_of(view.workload))
    for obj, held in sorted(kept, key=lambda one: (_created(one[0]), name_of(one[0]))):
        for ref, image in images_in(held, workload) if obj is not newest else ():
            found.setdefault(ref, []).append(Revision(image.text, _created(obj), name_of(obj)))
    return {key: tuple(r) for key, r in found.items()}, _created(newest) if newest else ""


def applied(workload: Mapping[str, Any]) -> dict[ContainerRef, str]:
    """The images that `kubectl apply` was last given for it; none without that annotation."""
    try:
        given = json.loads(notes_of(workload).get(LAST_APPLIED) or "null")
    except ValueError:
        return {}
    if not isinstance(given, dict):
        return {}
    return {ref: image.text for ref, image in named_images({**workload, "spec": given.get("spec")})}


def _template_of(revision: Mapping[str, Any]) -> dict[str, Any] | None:
    """The whole template, which a ControllerRevision has as a patch that replaces it."""
    found = ((revision.get("data") or {}).get("spec") or {}).get("template")
    return found if isinstance(found, dict) else None


def _created(obj: Mapping[str, Any]) -> str:
    return str((obj.get("metadata") or {}).get("creationTimestamp") or "")
