"""Which nodes the pods of a template can use now: Ready, schedulable, chosen by it, and with no taint against it.

As the scheduler decides it, as far as nodes and the template tell. What hangs on more than these (volumes of a zone,
room, defaults of the namespace) only leaves fewer of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from rollback_lib.core.kube.objects import Object, is_leaving, kind_of, name_of, template

_CORDONED: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
# The DaemonSet controller adds these; that a node is Ready is asked for all the same.
_OF_DAEMONS: Final = tuple(
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoSchedule"}
    for what in ("unschedulable", "disk-pressure", "memory-pressure", "pid-pressure")
)
_KEEP_AWAY: Final = ("NoSchedule", "NoExecute")


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether it reports that it can run pods, and nobody has deleted it."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return not is_leaving(node) and any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def usable(nodes: Iterable[Object], workload: Mapping[str, Any]) -> tuple[Object, ...]:
    """The nodes that take new pods of the workload."""
    spec = (template(workload) or {}).get("spec") or {}
    tolerations = (*(spec.get("tolerations") or ()), *(_OF_DAEMONS if kind_of(workload) == "DaemonSet" else ()))
    return tuple(n for n in nodes if is_ready(n) and _chosen(n, spec) and not _kept_away(n, tolerations))


def platform(node: Mapping[str, Any]) -> str:
    """``linux/amd64``; empty where the node does not say."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    system, machine = info.get("operatingSystem"), info.get("architecture")
    return f"{system}/{machine}" if system and machine else ""


def _kept_away(node: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    spec = node.get("spec") or {}
    taints = [*(spec.get("taints") or ()), *([_CORDONED] if spec.get("unschedulable") else ())]
    return any(t.get("effect") in _KEEP_AWAY and not any(_tolerates(one, t) for one in tolerations) for t in taints)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    return (
        (toleration.get("operator") or "Equal") == "Equal"
        and toleration.get("key") == taint.get("key")
        and (toleration.get("value") or "") == (taint.get("value") or "")
    )


def _chosen(node: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    labels = (node.get("metadata") or {}).get("labels") or {}
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return False
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = (required or {}).get("nodeSelectorTerms") or ()
    return required is None or any(_meets(term, labels, name_of(node)) for term in terms)


def _meets(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    of_labels, of_fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    fields = {"metadata.name": name}
    if not of_labels and not of_fields:
        return False  # an empty term matches no node
    return all(_is(e, labels) for e in of_labels) and all(_is(e, fields) for e in of_fields)


def _is(expression: Mapping[str, Any], there: Mapping[str, str]) -> bool:
    value, values = there.get(str(expression.get("key"))), expression.get("values") or ()
    operator = _OPERATORS.get(str(expression.get("operator")))
    return operator is not None and operator(value, values)


def _number(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None


def _than(sign: int) -> Callable[[str | None, Sequence[Any]], bool]:
    def compare(value: str | None, values: Sequence[Any]) -> bool:
        one, other = _number(value), _number(values[0]) if len(values) == 1 else None
        return one is not None and other is not None and sign * (one - other) > 0

    return compare


_OPERATORS: Final[Mapping[str, Callable[[str | None, Sequence[Any]], bool]]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,  # also where the label is not there
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": _than(1),
    "Lt": _than(-1),
}
