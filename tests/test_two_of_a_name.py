"""Two objects of one kind name, in two groups or in two namespaces, are two: a built-in kind is one by its group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.plan.model import LEFT, UPDATE, Plan
from rollback_lib.core.run.records import Resolution
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from tests.fakes import FakeCluster, Object
from tests.pipeline.test_loop import GOOD, World, live, manifest

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "cart", "image": "quay.io/x:9"}]}}


def an_object(version: str, kind: str, name: str, **more: Any) -> Object:
    namespace = {"namespace": more.pop("namespace")} if "namespace" in more else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **namespace}, **more}


def policy(version: str, **spec: Any) -> Object:
    return an_object(version, "NetworkPolicy", "cart", spec=spec)


def config(level: str, namespace: str = "") -> Object:
    of = {"namespace": namespace} if namespace else {}
    return an_object("v1", "ConfigMap", "cart", data={"LEVEL": level}, **of)


class Shop(World):
    """The world of two services, with more objects beside the service ``cart``, live and in each release."""

    def __init__(self, folder: Path, good: list[Object], bad: list[Object] | None = None, *there: Object) -> None:
        super().__init__(folder)
        self.cluster = FakeCluster(live("cart"), live("user"), *there)
        for release, objects in (("v1", good), ("v2", good if bad is None else bad)):
            text = b"".join(b"---\n" + json.dumps(o).encode() + b"\n" for o in objects)
            self.git.releases[release] = {**self.git.releases[release], "k8s/cart/more.yaml": text}

    def rolled_back(self, **values: Any) -> Plan:
        run = self.run(**values)
        outcome = operation.execute(run, self.ports())
        assert outcome.ending.code == 0, outcome.ending
        return run.get(Plan)


def fates(plan: Plan) -> dict[str, str]:
    return {str(o.ref): o.change for s in plan.services for o in s.objects}


def untouched(world: World) -> bool:
    return set(world.cluster.writes) == {"apply/deployment/cart", "apply/deployment/user"}


def test_two_policies_of_one_name_in_two_groups_do_not_differ(tmp_path: Path) -> None:
    ours, theirs = policy("networking.k8s.io/v1", podSelector={}), policy("crd.projectcalico.org/v1", selector="all()")
    world = Shop(tmp_path, [ours, theirs], None, ours)
    found = fates(world.rolled_back())
    assert found["NetworkPolicy/cart"] == "none"
    assert found["NetworkPolicy.crd.projectcalico.org/cart"] == LEFT
    assert untouched(world)


@pytest.mark.parametrize("order", [1, -1])
def test_what_changes_of_two_of_a_name_is_only_the_built_in_one(tmp_path: Path, order: int) -> None:
    """Whichever stands first in the file, and whichever is the later one in the failed release's."""
    was, now = (policy("networking.k8s.io/v1", podSelector={}, policyTypes=[t]) for t in ("Ingress", "Egress"))
    theirs = policy("crd.projectcalico.org/v1", selector="all()")
    world = Shop(tmp_path, [was, theirs][::order], [now, theirs][::order], now)
    assert fates(world.rolled_back())["NetworkPolicy/cart"] == UPDATE
    assert world.cluster.objects["NetworkPolicy", "cart"]["spec"] == was["spec"]


@pytest.mark.parametrize(
    ("version", "kind", "spec"),
    [
        ("serving.knative.dev/v1", "Service", {"template": TEMPLATE}),
        ("apps.kruise.io/v1beta1", "StatefulSet", {"replicas": 2, "template": TEMPLATE}),
        ("apps.example.com/v1", "Deployment", {"template": "a name, and no pods"}),
        ("batch.volcano.sh/v1alpha1", "CronJob", {"schedule": {"every": "1h"}}),
    ],
)
def test_a_kind_of_another_group_is_neither_written_nor_waited_for_nor_read_as_the_built_in_one(
    tmp_path: Path, version: str, kind: str, spec: Object
) -> None:
    theirs = an_object(version, kind, "other", spec=spec)
    usual = {"Service": "v1", "CronJob": "batch/v1"}.get(kind, "apps/v1")
    ours = an_object(usual, kind, "other", spec={"selector": {"app": "x"}, "template": TEMPLATE})
    world = Shop(tmp_path, [theirs], None, ours)
    world.registry.digests["quay.io/x:9"] = GOOD
    plan = world.rolled_back()
    (planned,) = (o for s in plan.services for o in s.objects if o.name == "other")
    assert (planned.change, planned.before) == (LEFT, "")
    assert planned.why == f"a {kind}.{version.partition('/')[0]} is never written by a rollback"
    assert untouched(world)


def test_the_image_of_a_workload_is_not_that_of_another_groups_object_of_its_name(tmp_path: Path) -> None:
    theirs = an_object("apps.example.com/v1", "Deployment", "cart", spec={"template": TEMPLATE})
    world = Shop(tmp_path, [theirs])
    world.registry.digests["quay.io/x:9"] = GOOD
    world.rolled_back()
    (container,) = world.cluster.objects["Deployment", "cart"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"team/cart:v1@{GOOD}"


def test_a_list_of_roles_for_three_namespaces_is_three_objects_that_stay(tmp_path: Path) -> None:
    roles = [
        an_object("rbac.authorization.k8s.io/v1", "Role", "reader", namespace=n, rules=[{"verbs": ["get", n]}])
        for n in ("shop", "monitoring", "logging")
    ]
    listed = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleList", "items": roles}
    world = Shop(tmp_path, [listed])
    plan = world.rolled_back()
    assert {k: v for k, v in fates(plan).items() if k.startswith("Role/")} == dict.fromkeys(
        ("Role/reader", "Role/monitoring/reader", "Role/logging/reader"), LEFT
    )
    whys = {str(o.ref): o.why for s in plan.services for o in s.objects if o.kind == "Role"}
    assert whys["Role/logging/reader"] == "it belongs to namespace logging; a rollback writes only to shop"
    assert untouched(world)


@pytest.mark.parametrize("order", [1, -1])
def test_of_config_maps_for_several_namespaces_only_ours_is_put_back(tmp_path: Path, order: int) -> None:
    good = [config("good", "shop"), config("theirs", "elsewhere")][::order]
    bad = [config("bad"), config("theirs", "elsewhere")][::order]
    world = Shop(tmp_path, good, bad, config("bad"))
    found = fates(world.rolled_back())
    assert (found["ConfigMap/cart"], found["ConfigMap/elsewhere/cart"]) == (UPDATE, LEFT)
    assert world.cluster.objects["ConfigMap", "cart"]["data"] == {"LEVEL": "good"}
    kept = world.run().read("manifests/k8s/cart/more.yaml")
    assert b"good" in kept
    assert b"theirs" not in kept


def test_what_the_failed_release_put_into_another_namespace_does_not_stand_for_ours(tmp_path: Path) -> None:
    """Ours is gone since the failed release took it away: it comes back, though that has one of its name elsewhere."""
    world = Shop(tmp_path, [config("good")], [config("theirs", "elsewhere")])
    plan = world.rolled_back()
    assert fates(plan)["ConfigMap/cart"] == "create"
    assert [(str(o.ref), o.change) for o in plan.orphans] == [("ConfigMap/elsewhere/cart", LEFT)]


def test_what_only_the_failed_release_has_in_another_group_is_left_and_named(tmp_path: Path) -> None:
    ours = policy("networking.k8s.io/v1", podSelector={})
    world = Shop(tmp_path, [ours], [ours, policy("crd.projectcalico.org/v1", selector="all()")], ours)
    plan = world.rolled_back()
    assert [(str(o.ref), o.change) for o in plan.orphans] == [("NetworkPolicy.crd.projectcalico.org/cart", LEFT)]


def test_the_same_object_twice_with_other_content_is_refused_still(tmp_path: Path) -> None:
    both = [config("one"), config("two", "shop")]
    outcome = operation.execute(Shop(tmp_path, both).run(), Shop(tmp_path, both).ports())
    assert outcome.ending.code == 3
    assert (
        "ConfigMap/cart stands in k8s/cart/more.yaml and k8s/cart/more.yaml, and they differ." in outcome.ending.error
    )


def test_an_object_keeps_its_identity_where_its_kind_was_served_before(tmp_path: Path) -> None:
    text = manifest("cart", "v1").replace(b"apps/v1", b"extensions/v1beta1")
    world = World(tmp_path)
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": text}
    run = world.run()
    assert loop.advance(run, world.ports(), until="resolve").code == 0
    assert ObjectRef("Deployment", "cart") in {o.ref for o in run.get(Resolution).objects}
