"""What has a deletionTimestamp is not there: neither to be written, nor for pods to need it (D15)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.kube.objects import LAST_APPLIED, Object
from rollback_lib.core.kube.snapshot import Presence, Snapshot
from rollback_lib.core.plan import leaving, orphans
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from tests.pipeline.test_loop import BAD, World, manifest

AT = "2026-03-01T03:00:00Z"
DEPLOYMENT = "k8s/cart/d.yaml"


def leave(world: World, kind: str, name: str, *held: str) -> None:
    meta = world.cluster.objects[kind, name]["metadata"]
    meta |= {"deletionTimestamp": AT, "finalizers": list(held)}


def named(kind: str, name: str, **more: Any) -> Object:
    api = {"Deployment": "apps/v1", "StatefulSet": "apps/v1"}.get(kind, "v1")
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for release in ("v1", "v2"):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cart}}\ndata: {{A: {release}}}\n"
        spec = f"{{ports: [{{port: 80}}], selector: {{app: cart, level: {release}}}}}"
        more = f"apiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\nspec: {spec}\n"
        made.git.releases[release] |= {"k8s/cart/c.yaml": text.encode(), "k8s/cart/s.yaml": more.encode()}
    made.cluster.put(named("ConfigMap", "cart", data={"A": "v2"}))
    made.cluster.put(
        named("Service", "cart", spec={"ports": [{"port": 80}], "selector": {"app": "cart", "level": "v2"}})
    )
    return made


def needing(world: World, **spec: Any) -> None:
    """The target's cart with this in its pod's spec, as YAML that is JSON."""
    import json

    more = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in spec.items()).encode()
    world.git.releases["v1"] |= {DEPLOYMENT: manifest("cart", "v1") + more}


@pytest.mark.parametrize(
    ("kind", "held"),
    [("Deployment", "foregroundDeletion"), ("ConfigMap", "example.com/hold"),
     ("Service", "service.kubernetes.io/load-balancer-cleanup")],
)  # fmt: skip
def test_nothing_is_written_to_what_is_on_its_way_out(world: World, kind: str, held: str) -> None:
    leave(world, kind, "cart", held)
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert f"{kind}/cart is on its way out: it was deleted at {AT}, and {held} still holds it." in outcome.ending.error
    assert f"[--accept skip:{kind}/cart]" in outcome.ending.error
    assert world.cluster.writes == []

    left = operation.execute(world.run("again", accept=(f"skip:{kind}/cart",)), world.ports())
    assert left.ending.code == 0, left.ending
    assert f"apply/{kind.lower()}/cart" not in world.cluster.writes
    assert "apply/deployment/user" in world.cluster.writes


def test_what_is_right_already_and_goes_is_not_called_right(world: World) -> None:
    world.cluster.objects["ConfigMap", "cart"]["data"] = {"A": "v1"}
    leave(world, "ConfigMap", "cart", "example.com/hold")
    assert operation.execute(world.run(), world.ports()).ending.code == 3


NEEDS: dict[str, dict[str, Any]] = {
    "PersistentVolumeClaim": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart-data"}}]},
    "Secret": {"volumes": [{"name": "key", "secret": {"secretName": "cart-data"}}]},
    "ConfigMap": {"volumes": [{"name": "more", "configMap": {"name": "cart-data"}}]},
    "ServiceAccount": {"serviceAccountName": "cart-data"},
}


@pytest.mark.parametrize("kind", NEEDS)
def test_what_pods_need_and_goes_is_refused_by_name(world: World, kind: str) -> None:
    needing(world, **NEEDS[kind])
    world.cluster.put(named(kind, "cart-data"))
    leave(world, kind, "cart-data", "example.com/hold")
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert f"{kind} cart-data is on its way out" in outcome.ending.error
    assert "[--accept missing-reference:cart-data]" in outcome.ending.error
    assert ("data goes with the next pod" in outcome.ending.error) is (kind == "PersistentVolumeClaim")
    assert world.cluster.writes == []

    accepted = operation.execute(world.run("again", accept=("missing-reference:cart-data",)), world.ports())
    assert accepted.ending.code == 0, accepted.ending


def test_the_claim_of_a_pod_that_would_be_ended_is_refused_though_the_target_does_not_need_it(world: World) -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "cart-data"}}
    world.cluster.objects["Pod", "cart-pod"]["spec"]["volumes"] = [volume]
    world.cluster.put(named("PersistentVolumeClaim", "cart-data"))
    leave(world, "PersistentVolumeClaim", "cart-data", "kubernetes.io/pvc-protection")
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert "and Deployment/cart would replace it." in outcome.ending.error


def test_an_orphan_on_its_way_out_is_left_to_go() -> None:
    live = named("ConfigMap", "more", data={})
    live["metadata"] |= {"annotations": {LAST_APPLIED: "{}"}, "deletionTimestamp": AT}
    found = orphans.orphan(live, [])
    assert (found.change, found.why) == ("left", "it is on its way out already")


def test_the_claims_of_a_workload_that_is_deleted_count() -> None:
    live = named("Deployment", "worker", spec={"selector": {"matchLabels": {"app": "web"}}, "template": template()})
    pod = {"kind": "Pod", "metadata": {"name": "x", "labels": {"app": "web"}}, "spec": template("cart-data")["spec"]}
    (need,) = leaving.needs([], (), [live], Snapshot({"Pod": {"x": pod}}))
    assert (str(need.ref), need.who) == ("PersistentVolumeClaim/cart-data", ("Deployment/worker",))
    assert leaving.missing(need, Presence.ABSENT) is None, "it may never have been there"
    said = leaving.missing(need, Presence.LEAVING)
    assert said is not None
    assert said.code == "missing-reference:cart-data"


def template(*claims: str) -> Object:
    container = {"name": "web", "image": f"team/web@{BAD}"}
    volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], "volumes": volumes}}


@pytest.mark.parametrize(
    ("spec", "pods", "wanted"),
    [
        ({"replicas": 2, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}, [], {"data-web-0", "data-web-1"}),
        ({"replicas": 1, "ordinals": {"start": 3}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}, [],
         {"data-web-3"}),
        ({"replicas": 0, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}, [], set()),
        # of a claim template that was taken out while its pods live on
        ({"selector": {"matchLabels": {"app": "web"}}}, [("web-0", "StatefulSet", "web", "old-web-0")], {"old-web-0"}),
        # after a StatefulSet was deleted without its pods: it takes them up by their labels
        ({"selector": {"matchLabels": {"app": "web"}}}, [("web-0", "", "", "old-web-0")], {"old-web-0"}),
        ({"selector": {"matchLabels": {"app": "web"}}}, [("x", "StatefulSet", "other", "old-x-0")], set()),
    ],
)  # fmt: skip
def test_the_claims_of_a_stateful_sets_pods(
    spec: dict[str, Any], pods: list[tuple[str, str, str, str]], wanted: set[str]
) -> None:
    live = []
    for name, kind, owner, claim in pods:
        made = template(claim)
        meta = {"name": name, "labels": made["metadata"]["labels"]}
        owners = {"ownerReferences": [{"kind": kind, "name": owner}]} if kind else {}
        live.append({"kind": "Pod", "metadata": {**meta, **owners}, "spec": made["spec"]})
    snapshot = Snapshot({"Pod": {p["metadata"]["name"]: p for p in live}})
    workload = named("StatefulSet", "web", spec={"template": template(), **spec})
    assert set(leaving.claims(workload, snapshot)) == wanted


@pytest.mark.parametrize(
    "what", ["Deployment/cart", "ConfigMap/cart", "PersistentVolumeClaim/cart-data", "Namespace/shop"]
)
@pytest.mark.parametrize("how", ["on its way out", "gone"])
def test_what_was_deleted_after_the_plan_makes_it_stale(world: World, what: str, how: str) -> None:
    kind, name = what.split("/")
    needing(world, **NEEDS["PersistentVolumeClaim"])
    world.cluster.put(named("PersistentVolumeClaim", "cart-data"))
    world.cluster.put(named("Namespace", "shop"))
    run = world.run()
    assert loop.advance(run, world.ports(), until="approve").code == 0
    if how == "gone" and kind != "Namespace":
        del world.cluster.objects[kind, name]
    else:
        leave(world, kind, name, "example.com/hold")
    ending = loop.advance(run, world.ports())
    assert ending.code == 7, ending
    assert name in ending.error
    assert world.cluster.writes == []


def test_a_namespace_on_its_way_out_gets_nothing_back(world: World) -> None:
    world.cluster.put(named("Namespace", "shop"))
    leave(world, "Namespace", "shop")
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert "namespace shop is on its way out" in outcome.ending.error
