"""How long a workload may take, from its own probes and strategy."""

from __future__ import annotations

from typing import Final

from rollback_lib.core.health.deployment import rolling_steps
from rollback_lib.core.health.pods import pods
from rollback_lib.core.health.pods.newest import desired_pods
from rollback_lib.core.health.pods.reading import Json, number, part, parts, share, text

START: Final = 30  # seconds to place a pod, pull its image and start it
ENDS: Final = 30  # the API's default for terminationGracePeriodSeconds


def limit(workload: Json, rollout_timeout: float) -> float:
    """Seconds after the patch within which a working workload is ready; never below ``rollout_timeout``.

    Its progressDeadlineSeconds is no limit: Kubernetes itself does nothing when it passes.
    """
    template = part(workload, "spec", "template", "spec")
    pod = START + _until_ready(template) + number(workload, "spec", "minReadySeconds")
    end = number(template, "terminationGracePeriodSeconds", missing=ENDS)
    replicas = desired_pods(workload)
    update = part(workload, "spec", "updateStrategy", "rollingUpdate")
    kind = pods.kind_of(workload)
    if kind == "Deployment":
        surge, unavailable = rolling_steps(workload, replicas)
        steps = _rounds(replicas, surge + unavailable)
        # Old pods need not be gone before new ones start, except with Recreate: there once, before all.
        ends = end if text(workload, "spec", "strategy", "type") == "Recreate" else 0
        return max(rollout_timeout, float(steps * pod + ends))
    if kind == "StatefulSet":  # updates go in turn, with podManagementPolicy Parallel as well
        moved = max(0, replicas - number(update, "partition"))
        steps = _rounds(moved, share(update.get("maxUnavailable"), replicas, missing="0%", up=True) or 1)
        return max(rollout_timeout, float(steps * (pod + end)))
    if kind == "DaemonSet":
        surge = share(update.get("maxSurge"), replicas, missing="0%", up=True)
        at_once = surge or share(update.get("maxUnavailable", 1), replicas, missing="0%", up=True) or 1
        return max(rollout_timeout, float(_rounds(replicas, at_once) * (pod + (0 if surge else end))))
    return rollout_timeout


def _rounds(count: int, at_once: int) -> int:
    return -(-count // max(1, at_once))


def _until_ready(template: Json) -> int:
    """Seconds from start to Ready by the probes: sidecars start one after another, containers side by side."""
    sidecars = [c for c in parts(template, "initContainers") if text(c, "restartPolicy") == "Always"]
    before = sum(_allows(c, "startupProbe") for c in sidecars)
    beside = [_allows(c, "readinessProbe") for c in sidecars]
    together = [_allows(c, "startupProbe") + _allows(c, "readinessProbe") for c in parts(template, "containers")]
    return before + max([*beside, *together], default=0)


def _allows(container: Json, kind: str) -> int:
    probe = part(container, kind)
    if not probe:
        return 0
    tries = number(probe, "failureThreshold", missing=3) or 3
    return (
        number(probe, "initialDelaySeconds")
        + (number(probe, "periodSeconds", missing=10) or 10) * tries
        + number(probe, "timeoutSeconds", missing=1)
    )
