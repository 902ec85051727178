"""How many pods a plan asks for, in memory; on the sandbox: cli/test_replicas.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.plan.model import PlannedObject
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import GOOD, World, live, manifest

AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cart}
spec: {scaleTargetRef: {kind: Deployment, name: cart}, maxReplicas: 9}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """v1 asks for one pod of cart, v2 for five; v2 was applied and its five are there."""
    made = World(tmp_path)
    for version, number in (("v1", 1), ("v2", 5)):
        text = manifest("cart", version).replace(b"spec:", f"spec:\n  replicas: {number}".encode(), 1)
        made.git.releases[version] = {**made.git.releases[version], "k8s/cart/d.yaml": text}
    running = live("cart")
    applied = {"kind": "Deployment", "spec": {"replicas": 5}}
    running["spec"]["replicas"] = 5
    running["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(applied)}
    made.cluster.put(running)
    return made


def planned(world: World) -> PlannedObject:
    plan = operation.plan(world.run(dry_run=True), world.ports()).plan
    assert plan is not None
    return next(o for s in plan.services for o in s.objects if o.kind == "Deployment" and o.name == "cart")


def test_what_is_put_back_stands_in_the_plan(world: World) -> None:
    assert planned(world).replicas == (5, 1)


def test_an_autoscaler_that_comes_back_counts_as_one_that_is_there(world: World) -> None:
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/hpa.yaml": AUTOSCALER.encode()}
    assert planned(world).replicas is None


def test_one_of_another_workload_does_not_count(world: World) -> None:
    other = AUTOSCALER.replace("name: cart}, maxReplicas", "name: other}, maxReplicas")
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/hpa.yaml": other.encode()}
    assert planned(world).replicas == (5, 1)


def test_replicas_alone_are_a_change(world: World) -> None:
    """The template is as the release has it, and somebody deployed more of it."""
    for name in ("cart", "user"):
        running = world.cluster.objects["Deployment", name]
        container = running["spec"]["template"]["spec"]["containers"][0]
        container |= {"image": f"team/{name}:v1@{GOOD}", "env": [{"name": "LEVEL", "value": "v1"}]}
        world.cluster.put(running)
    found = planned(world)
    assert (found.change, found.replicas) == ("update", (5, 1))
