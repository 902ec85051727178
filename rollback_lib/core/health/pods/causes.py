"""Why one pod is not ready: what its containers say, where it cannot be placed, what its probes answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from rollback_lib.core.health.pods import containers, events, pods
from rollback_lib.core.health.pods.reading import Json, condition, parts, text, when
from rollback_lib.core.health.pods.report import Cause, Patience, View

UNSCHEDULABLE_FOR: Final = 30.0
_BEFORE_START: Final = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume")
# Said by the kubelet of a ConfigMap, a Secret or a projected volume that is there and lacks an item.
_NO_KEY: Final = re.compile(r"references non-existent (?:config|secret) key: \S+")
_ROOM: Final = ("Insufficient", "free ports", "anti-affinity", "Too many pods")  # what an old pod may hold


def causes(view: View, pod: Json, patience: Patience, holding: Iterable[str] = ()) -> tuple[Cause, ...]:
    """``holding``: the service's own old pods that its strategy does not let go before a new one is ready."""
    if pods.is_serving(pod, patience):
        return ()
    found = (*_placing(pod, patience, tuple(holding)), *containers.causes(view, pod, patience))
    return found or tuple(_waiting(view, pod, patience))


def _placing(pod: Json, patience: Patience, holding: tuple[str, ...]) -> Iterator[Cause]:
    placed = condition(pod, "PodScheduled")
    if text(placed, "status") != "False":
        return
    name, said = pods.name_of(pod), events.flat(text(placed, "message")).rstrip(".") or "no reason given"
    if text(placed, "reason") == "SchedulingGated":
        yield Cause("SchedulingGated", f"pod {name} is held by a scheduling gate: whoever set it must lift it", name)
        return
    if text(placed, "reason") != "Unschedulable":
        return
    advice = "free room, or add a node"
    if holding and any(word in said for word in _ROOM):
        advice = (
            f"the service's own old pod {', '.join(holding)} holds room and goes only when a new one is ready: "
            "set its strategy to maxSurge 0 and maxUnavailable 1 (a short gap in service), free room, or add a node"
        )
    stood = patience.stood(f"unschedulable/{text(pod, 'metadata', 'uid')}", when(placed, "lastTransitionTime"))
    yield Cause("Unschedulable", f"no node takes pod {name} ({said}): {advice}", name, final=stood >= UNSCHEDULABLE_FOR)


def _waiting(view: View, pod: Json, patience: Patience) -> Iterator[Cause]:
    """Nothing is known to be wrong; what the newest warning says is still worth its line."""
    name = pods.name_of(pod)
    warnings = events.about(view.events, pod)
    mount = next((e for e in warnings if e.reason in _BEFORE_START), None)
    started = any("running" in s.get("state", {}) for s in parts(pod, "status", "containerStatuses") if _has_state(s))
    if not started:
        if mount is not None:
            final = bool(_NO_KEY.search(mount.message)) and patience.fresh(mount.at)
            advice = (
                "put the key there, or go back to a release that does not name it" if final else "see to what it names"
            )
            yield Cause(
                mount.reason, f"pod {name} cannot start{'' if final else ' yet'} ({mount.message}): {advice}", name,
                final=final,
            )  # fmt: skip
        return
    probe = next((e for e in warnings if e.reason == "Unhealthy"), None)
    waits = [text(s, "name") for s in parts(pod, "status", "containerStatuses") if s.get("ready") is not True]
    who = f"container {', '.join(waits)} of pod {name}" if waits else f"pod {name}"
    said = f" ({probe.message})" if probe else ""
    if text(condition(pod, "Ready"), "status") == "True":
        yield Cause("NotSteady", f"{who} is ready only since a moment ago and has no readiness probe", name)
    else:
        yield Cause("NotReady", f"{who} runs and is not ready{said}: its readiness or startup probe decides", name)


def _has_state(status: Json) -> bool:
    return isinstance(status.get("state"), dict)
