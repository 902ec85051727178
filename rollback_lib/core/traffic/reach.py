"""Whether requests reach pods: a Service's own selector and ports against the pods that are there (design §6).

A Service that is open may lead nowhere: somebody set its selector or a targetPort, and a rollback keeps what others
own. Smoke tests go to the pods and do not see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rollback_lib.core.health import is_ready
from rollback_lib.core.health.pods.newest import desired_pods
from rollback_lib.core.health.pods.pods import is_live
from rollback_lib.core.kube.objects import Object, kind_of, ref_of, template


class Reach(NamedTuple):
    """``good``: nothing says that requests get lost here. ``text`` says what there is to know; empty for nothing."""

    good: bool
    text: str = ""


def selected(service: Mapping[str, Any], pods: Sequence[Object]) -> list[Object]:
    """The pods that a Service selects, Ready or not; those on their way out, or over, aside."""
    wanted = (service.get("spec") or {}).get("selector") or {}
    return [p for p in pods if wanted and is_live(p) and wanted.items() <= _labels(p).items()]


def judge(
    live: Object, target: Object, pods: Sequence[Object], workloads: Sequence[Object], *, empty: bool = False
) -> Reach:
    """Whether requests that go to a Service reach a pod. ``live``: as it is with traffic open; ``target``: as the
    release has it; ``empty``: it selected no pod before anything was changed."""
    what, spec = str(ref_of(live)), live.get("spec") or {}
    asked = target.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return Reach(True, f"{what} names an outside host: not looked at.")
    selector, wanted = spec.get("selector") or {}, asked.get("selector") or {}
    if not selector and not wanted:
        return Reach(True, f"{what} has no selector: not looked at.")
    mine = selected(live, pods)
    ready = [p for p in mine if is_ready(p)]
    if selector != wanted and not (ready and _other_colour(selector, wanted)):
        return Reach(
            False, f"{what} selects {_said(selector)}, as somebody set it, and the release has {_said(wanted)}."
        )
    if said := "; ".join(_other_ports(spec, asked)):
        return Reach(False, f"{what}: {said}, as somebody set it.")
    if spec.get("clusterIP") == "None":
        return Reach(True, f"{what} is headless: its clients ask the pods themselves.")
    if not ready:
        return _nobody(what, selector, mine, workloads, empty=empty)
    colour = (
        f"{what} selects {_said(selector)}, and the release's {_said(wanted)} is idle. " if selector != wanted else ""
    )
    return _ports(what, spec, ready, colour)


def _nobody(
    what: str, selector: Mapping[str, str], mine: Sequence[Object], workloads: Sequence[Object], *, empty: bool
) -> Reach:
    behind = [w for w in workloads if selector.items() <= _labels(template(w) or {}).items()]
    if behind and not any(desired_pods(w) for w in behind):
        return Reach(True, f"{what} selects what is at 0 replicas.")
    if empty and not mine and not behind:
        return Reach(True, f"{what} selects no pod, and did not before.")
    return Reach(False, f"{what}: no Ready pod matches its selector {_said(selector)}, so nobody gets in.")


def _ports(what: str, spec: Mapping[str, Any], ready: Sequence[Object], said: str) -> Reach:
    declared = [
        p for pod in ready for c in (pod.get("spec") or {}).get("containers") or [] for p in c.get("ports") or []
    ]
    names, numbers = {p.get("name") for p in declared}, {p.get("containerPort") for p in declared}
    undeclared = []
    for port in spec.get("ports") or []:
        goal = port.get("targetPort", port.get("port"))
        if isinstance(goal, str) and goal not in names:
            return Reach(False, f"{what} sends to a port named {goal}, and no Ready pod behind it has one.")
        if not isinstance(goal, str) and goal not in numbers:
            undeclared.append(str(goal))
    if undeclared:
        said += f"{what} sends to {', '.join(undeclared)}, which no container declares."
    return Reach(True, said.strip())


def _other_ports(spec: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    there = {p.get("port"): p.get("targetPort", p.get("port")) for p in spec.get("ports") or []}
    for port in asked.get("ports") or []:
        number, goal = port.get("port"), port.get("targetPort", port.get("port"))
        if number in there and str(there[number]) != str(goal):
            yield f"port {number} goes to {there[number]}, and the release's goes to {goal}"


def _other_colour(selector: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether it is switched between two of a kind (blue and green): the same keys, and not all of them differ."""
    return selector.keys() == wanted.keys() and bool(selector.items() & wanted.items())


def _labels(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def _said(selector: Mapping[str, str]) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(selector.items())) or "nothing"


def selects_nothing(live: Object | None, pods: Sequence[Object]) -> bool:
    """Whether it is a Service that selects no pod at all, not even a sick one."""
    return live is not None and kind_of(live) == "Service" and not selected(live, pods)
