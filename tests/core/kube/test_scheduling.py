"""Which nodes count: those that new pods of a workload can really be on."""

from typing import Any

import pytest

from rollback_lib.core.kube import scheduling

GPU = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}
CORDON = "node.kubernetes.io/unschedulable"


def node(
    name: str = "n", taints: tuple[dict[str, Any], ...] = (), ready: str = "True", **labels: str
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {k.replace("_", "-"): v for k, v in labels.items()}},
        "spec": {"taints": list(taints)} if taints else {},
        "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]},
    }


def takes(one: dict[str, Any], kind: str = "Deployment", **spec: Any) -> bool:
    workload = {"apiVersion": "apps/v1", "kind": kind, "spec": {"template": {"spec": spec}}}
    return scheduling.usable([one], workload) == (one,)


def required(*expressions: dict[str, Any], fields: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    return affinity({k: v for k, v in term.items() if v})


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    must = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": must}}


def is_(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def test_a_node_takes_pods_when_it_is_ready_and_nobody_is_taking_it_away() -> None:
    assert takes(node())
    assert not takes(node(ready="False"))
    assert not takes(node(ready="Unknown"))
    assert not takes({"metadata": {"name": "new"}})
    leaving = node()
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not takes(leaving)


def test_a_cordoned_node_takes_the_pods_of_daemon_sets_only() -> None:
    cordoned = node(taints=({"key": CORDON, "effect": "NoSchedule"},))
    cordoned["spec"]["unschedulable"] = True
    assert not takes(cordoned)
    assert takes(cordoned, "DaemonSet")
    assert takes(cordoned, tolerations=[{"operator": "Exists"}])
    del cordoned["spec"]["taints"]  # kubectl cordon sets the field; the taint comes a moment later
    assert not takes(cordoned)


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "a100"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "a100", "effect": "NoSchedule"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "t4"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "Gt", "value": "1"}, False),
    ],
)
def test_a_taint_counts_unless_it_is_tolerated(toleration: dict[str, Any], tolerated: bool) -> None:
    assert not takes(node(taints=(GPU,)))
    assert takes(node(taints=(GPU,)), tolerations=[toleration]) is tolerated


def test_every_taint_must_be_tolerated_and_one_that_only_prefers_keeps_nobody_away() -> None:
    both = node(taints=(GPU, {"key": "spot", "effect": "NoExecute"}))
    assert not takes(both, tolerations=[{"key": "gpu", "operator": "Exists"}])
    assert takes(both, tolerations=[{"key": "gpu", "operator": "Exists"}, {"key": "spot"}])
    assert takes(node(taints=({"key": "full", "effect": "PreferNoSchedule"},)))


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "ssd", "zone": "b"}}, False),
        ({"nodeName": "n"}, True),
        ({"nodeName": "m"}, False),
        (required(is_("disk", "In", "ssd", "nvme")), True),
        (required(is_("disk", "In", "hdd")), False),
        (required(is_("disk", "NotIn", "hdd"), is_("none", "NotIn", "x")), True),
        (required(is_("disk", "Exists"), is_("none", "DoesNotExist")), True),
        (required(is_("none", "Exists")), False),
        (required(is_("cores", "Gt", "8")), True),
        (required(is_("cores", "Lt", "8")), False),
        (required(is_("disk", "Gt", "8")), False),
        (required(fields=(is_("metadata.name", "In", "n"),)), True),
        (required(fields=(is_("metadata.name", "NotIn", "n"),)), False),
        (affinity({"matchExpressions": [is_("none", "Exists")]}, {"matchExpressions": [is_("disk", "Exists")]}), True),
        (affinity({}), False),
        (affinity(), False),
        ({"affinity": {"podAntiAffinity": {}}}, True),
    ],
)
def test_the_template_chooses_nodes_by_name_labels_and_required_affinity(spec: dict[str, Any], chosen: bool) -> None:
    assert takes(node(disk="ssd", cores="16"), **spec) is chosen
