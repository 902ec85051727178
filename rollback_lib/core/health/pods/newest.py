"""Which pods are of the newest template, and how many there shall be."""

from __future__ import annotations

from rollback_lib.core.health.pods import pods
from rollback_lib.core.health.pods.reading import Json, number, owned_by, part, text
from rollback_lib.core.health.pods.report import View


def desired_pods(workload: object) -> int:
    """As the spec asks for (a DaemonSet: as its controller counted nodes)."""
    if pods.kind_of(workload) == "DaemonSet":
        return number(workload, "status", "desiredNumberScheduled")
    return number(workload, "spec", "replicas", missing=1)


def newest_pods(view: View) -> tuple[Json, ...]:
    """The live pods of the newest template."""
    return pods.live(p for p in pods.owned(view) if is_newest(view, p))


def is_newest(view: View, pod: Json) -> bool:
    match pods.kind_of(view.workload):
        case "Deployment":
            return owned_by(pod, text(newest_replica_set(view), "metadata", "uid"))
        case "StatefulSet":
            return _has(pods.revision_of(pod), update_revision(view))
        case "DaemonSet":
            # As its own controller does: either label. After a rollback the old pods that come back into favour have
            # the hash, but the generation of their day.
            return _has(pods.revision_of(pod), last_revision(view)) or _has(
                text(pod, "metadata", "labels", "pod-template-generation"),
                text(view.workload, "metadata", "annotations", "deprecated.daemonset.template.generation"),
            )
    return False


def newest_replica_set(view: View) -> Json | None:
    """The one whose template equals the Deployment's; of several the oldest, as the controller chooses.

    Its annotations are no evidence: a deploy in between leaves them as they were.
    """
    wanted = _bare(part(view.workload, "spec", "template"))
    equal = [rs for rs in pods.replica_sets_of(view) if _bare(part(rs, "spec", "template")) == wanted]
    return min(equal, key=lambda rs: text(rs, "metadata", "creationTimestamp"), default=None)


def update_revision(view: View) -> str:
    return text(view.workload, "status", "updateRevision") or last_revision(view)


def last_revision(view: View) -> str:
    """The hash of the newest ControllerRevision; a rollback gives the old one a new, highest number."""
    uid = text(view.workload, "metadata", "uid")
    ours = [r for r in view.revisions if owned_by(r, uid)]
    last = max(ours, key=lambda r: number(r, "revision"), default=None)
    if last is None:
        return ""
    labelled = pods.revision_of(last)
    if labelled or pods.kind_of(view.workload) == "DaemonSet":
        return labelled
    return pods.name_of(last)


def _has(theirs: str, wanted: str) -> bool:
    return bool(wanted) and theirs == wanted


def _bare(template: Json) -> dict[str, object]:
    """A pod template without what the controller and older servers add to it."""
    metadata = dict(part(template, "metadata"))
    metadata.pop("creationTimestamp", None)
    labels = dict(part(metadata, "labels"))
    labels.pop("pod-template-hash", None)
    return {**template, "metadata": {**metadata, "labels": labels}}
