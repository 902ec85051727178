"""Facts about pods: whose they are, of which template, ready or not, judged or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rollback_lib.core.health.pods.reading import Json, condition, owned_by, part, parts, text, when
from rollback_lib.core.health.pods.report import Patience, View

AFTER_A_RESTART: Final = 10.0  # the kubelet's first back-off: a container that dies again mostly does so before


def name_of(thing: object) -> str:
    return text(thing, "metadata", "name")


def kind_of(workload: object) -> str:
    return text(workload, "kind")


def revision_of(pod: object) -> str:
    return text(pod, "metadata", "labels", "controller-revision-hash")


def replica_sets_of(view: View) -> tuple[Json, ...]:
    uid = text(view.workload, "metadata", "uid")
    return tuple(rs for rs in view.replica_sets if owned_by(rs, uid))


def owned(view: View) -> tuple[Json, ...]:
    """Every pod of the workload, of any template, Terminating ones too."""
    if kind_of(view.workload) == "Deployment":
        owners = {text(rs, "metadata", "uid") for rs in replica_sets_of(view)}
    else:
        owners = {text(view.workload, "metadata", "uid")}
    return tuple(p for p in view.pods if any(owned_by(p, uid) for uid in owners))


def is_terminating(pod: object) -> bool:
    return bool(text(pod, "metadata", "deletionTimestamp"))


def is_live(pod: object) -> bool:
    """Neither on its way out nor over (an evicted pod stays as Failed until someone clears it away)."""
    return not is_terminating(pod) and text(pod, "status", "phase") not in ("Failed", "Succeeded")


def is_ready(pod: object) -> bool:
    return is_live(pod) and text(condition(pod, "Ready"), "status") == "True"


def live(pods: Iterable[Json]) -> tuple[Json, ...]:
    return tuple(p for p in pods if is_live(p))


def node_of(pod: object) -> str:
    """Its node; for a DaemonSet's pod that is not bound yet, the one that it is meant for."""
    bound = text(pod, "spec", "nodeName")
    if bound:
        return bound
    required = part(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in parts(required, "nodeSelectorTerms"):
        for field in parts(term, "matchFields"):
            values = field.get("values")
            if text(field, "key") == "metadata.name" and isinstance(values, list) and len(values) == 1:
                return values[0] if isinstance(values[0], str) else ""
    return ""


def is_lost(pod: object, view: View) -> bool:
    """Whether it stands on a node that is not Ready: nothing that it says can be trusted, so it is not judged."""
    return not (view.nodes or {}).get(node_of(pod), True) or text(pod, "status", "reason") == "NodeLost"


def is_serving(pod: object, patience: Patience) -> bool:
    """Ready, and not merely because nothing asks it.

    Without a readiness probe a container is Ready from its first moment, also between two crashes.
    """
    return is_ready(pod) and all(
        _is_steady(pod, container, patience)
        for container in parts(pod, "spec", "containers")
        if not part(container, "readinessProbe")
    )


def _is_steady(pod: object, container: Json, patience: Patience) -> bool:
    name = text(container, "name")
    statuses = parts(pod, "status", "containerStatuses")
    status = next((s for s in statuses if text(s, "name") == name), {})
    started = when(status, "state", "running", "startedAt")
    if started is None or (patience.patched_at is None and started > patience.now):
        return True  # nothing to measure by
    wanted = AFTER_A_RESTART if part(status, "lastState", "terminated") and patience.steady else patience.steady
    return patience.stood(running_key(pod, status), started) >= wanted


def running_key(pod: object, status: object) -> str:
    ran = text(status, "containerID") or text(status, "state", "running", "startedAt")
    return f"running/{key_of(pod, status)}/{ran}"


def key_of(pod: object, status: object) -> str:
    """A name for one container of one pod that no later pod has again (a StatefulSet's pods keep their names)."""
    return f"{text(pod, 'metadata', 'uid') or name_of(pod)}/{text(status, 'name')}"
