"""What a rollback never does ("What it never does" in the README), seen on the cluster after a whole run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.plan import decide
from rollback_lib.core.plan.model import Plan
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import World, live, manifest

BOTH = ["apply/deployment/cart", "apply/deployment/user"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def releases(world: World, name: str, text: str, *versions: str) -> None:
    """A file more in these releases, below the service ``cart``."""
    for version in versions:
        world.git.releases[version] = {**world.git.releases[version], f"k8s/cart/{name}": text.encode()}


def done(world: World, **values: Any) -> Plan:
    """A whole run that ends well; its plan."""
    run = world.run(**values)
    outcome = operation.execute(run, world.ports())
    assert outcome.ending.code == 0, outcome.ending.error
    return run.get(Plan)


def fate(plan: Plan, name: str) -> tuple[str, str]:
    return next((o.change, o.why) for s in plan.services for o in s.objects if o.name == name)


@pytest.mark.parametrize(
    ("kind", "api", "more", "why"),
    [
        ("Secret", "v1", "", "a Secret is never written"),
        ("Job", "batch/v1", "", "a Job is not run again"),
        ("PersistentVolumeClaim", "v1", "", "a PersistentVolumeClaim is never written"),
        ("Namespace", "v1", "", "a Namespace is never written"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1", "", "a CustomResourceDefinition.apiextensions.k8s.io"),
        ("ClusterRole", "rbac.authorization.k8s.io/v1", "", "a ClusterRole.rbac.authorization.k8s.io is never written"),
        ("ConfigMap", "v1", ", namespace: elsewhere", "it belongs to namespace elsewhere"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("there", [True, False], ids=["there", "not-there"])
def test_what_is_out_of_bounds_is_never_written(
    world: World, kind: str, api: str, more: str, why: str, there: bool
) -> None:
    text = f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: thing{more}}}\ndata: {{KEY: b2xk}}\n"
    releases(world, "thing.yaml", text, "v1", "v2")
    if there:
        world.cluster.put({"apiVersion": api, "kind": kind, "metadata": {"name": "thing"}, "data": {"KEY": "bmV3"}})
    before = copy.deepcopy(world.cluster.objects.get((kind, "thing")))
    plan = done(world)
    assert sorted(world.cluster.writes) == BOTH
    assert world.cluster.objects.get((kind, "thing")) == before
    if kind != "Secret":  # of which no object is read at all
        assert fate(plan, "thing")[0] == "left"
        assert why in fate(plan, "thing")[1]


def test_a_secret_is_left_whatever_it_says() -> None:
    """Beside that none is read from a release at all: the rule of what is written names it."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "thing"}, "stringData": {"A": "b"}}
    assert decide.never_written(secret, "shop") == "a Secret is never written"


def test_no_secret_of_a_release_is_in_the_run_directory_at_any_moment(world: World) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: thing}\nstringData: {PASSWORD: hunter2-in-git}\n"
    both = f"{text}---\n{manifest('cart', 'v1').decode()}"
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": both.encode()}
    run, found = world.run(), []
    for stage in operation.STAGES:
        assert operation.one(run, world.ports(), stage).ending.code == 0
        files = [p for p in (world.folder / "run").rglob("*") if p.is_file()]
        found += [(stage, p.name) for p in files if b"hunter2" in p.read_bytes()]
    assert found == []


@pytest.mark.parametrize("asked", ["", "replicas: 1"], ids=["nobody-asked", "as-many-as-there-are"])
def test_what_an_autoscaler_has_scaled_stays_so(world: World, asked: str) -> None:
    """Also where the failed release asked for just as many by chance: only the autoscaler tells whose number it is."""
    goal = {"kind": "Deployment", "name": "cart"}
    spec = {"scaleTargetRef": goal, "maxReplicas": 9}
    world.cluster.put({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "cart"}, "spec": spec})
    for version, number in (("v1", "replicas: 2"), ("v2", asked)):
        text = manifest("cart", version).replace(b"spec:", f"spec:\n  {number}".encode(), 1)
        world.git.releases[version] = {**world.git.releases[version], "k8s/cart/d.yaml": text}
    scaled = live("cart")
    scaled["spec"]["replicas"] = 1
    world.cluster.put(scaled)
    done(world)
    assert world.cluster.objects["Deployment", "cart"]["spec"]["replicas"] == 1


def test_a_workload_that_does_not_run_is_not_started(world: World) -> None:
    releases(world, "extra.yaml", manifest("extra", "v1").decode().replace("team/extra", "team/cart"), "v1", "v2")
    plan = done(world)
    assert sorted(world.cluster.writes) == BOTH
    assert ("Deployment", "extra") not in world.cluster.objects
    assert fate(plan, "extra") == ("left", "it does not run, and a rollback does not start what is not running")


NEVER_APPLIED = "it is not in the cluster, and nothing says that the failed release removed it"
KINDS = [
    ("Ingress", "networking.k8s.io/v1"), ("Service", "v1"), ("ConfigMap", "v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"), ("HorizontalPodAutoscaler", "autoscaling/v2"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "api"), KINDS)
def test_what_a_deploy_never_applied_is_not_created(world: World, kind: str, api: str) -> None:
    """An Ingress that stands in the files only would open an entry."""
    releases(world, "thing.yaml", f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: thing}}\n", "v1", "v2")
    plan = done(world)
    assert sorted(world.cluster.writes) == BOTH
    assert fate(plan, "thing") == ("left", NEVER_APPLIED)


@pytest.mark.parametrize(("kind", "api"), KINDS)
def test_what_the_failed_release_removed_comes_back(world: World, kind: str, api: str) -> None:
    releases(world, "thing.yaml", f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: thing}}\n", "v1")
    assert fate(done(world), "thing") == ("create", "the failed release removed it")
    assert (kind, "thing") in world.cluster.objects


def test_the_last_line_names_the_service_that_is_not_there_and_not_made(world: World) -> None:
    releases(world, "thing.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: thing}\n", "v1", "v2")
    releases(world, "other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n", "v1", "v2")
    outcome = operation.execute(world.run(), world.ports())
    assert "Not in the cluster, and not made by a rollback: Service/thing." in outcome.last_line


def test_where_nobody_knows_what_runs_nothing_is_known_to_be_removed(world: World) -> None:
    releases(world, "thing.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: thing}\n", "v1")
    for name in ("cart", "user"):
        world.registry.digests[f"team/{name}:v2"] = "sha256:" + "c" * 64
    plan = done(world)
    assert plan.current.release == "unknown"
    assert fate(plan, "thing") == ("left", NEVER_APPLIED)


def test_what_pods_need_and_is_left_is_refused_with_where_it_stands(world: World) -> None:
    """Somebody deleted the ConfigMap by hand: both releases have it."""
    releases(world, "thing.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: thing}\n", "v1", "v2")
    reads = manifest("cart", "v1") + b"        envFrom: [{configMapRef: {name: thing}}]\n"
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": reads}
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    (refusal,) = world.run().get(Plan).refusals
    assert refusal.code == "missing-reference:thing"
    assert refusal.fix.startswith("k8s/cart/thing.yaml of the release has it")
    assert world.cluster.writes == []


def test_an_object_that_nobody_applied_gets_no_last_applied(world: World) -> None:
    done(world)
    assert LAST_APPLIED not in world.cluster.objects["Deployment", "cart"]["metadata"].get("annotations", {})
