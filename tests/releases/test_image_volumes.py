"""Every image reference of a pod template is proven and pinned: volumes that are images too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.records import Images, Verification
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import BAD, GOOD, World, live, manifest

BEFORE = b"      containers:\n"
ENV = b"        env: [{name: LEVEL, value: v1}]\n"


def volume(reference: str, name: str = "cart", policy: str = "") -> bytes:
    said = f", pullPolicy: {policy}" if policy else ""
    return f"      volumes:\n      - {{name: {name}, image: {{reference: {reference}{said}}}}} # data\n".encode()


def at_target(world: World, *changes: tuple[bytes, bytes], more: dict[str, bytes] | None = None) -> None:
    """The target's cart with these changes; the failed release is as it was."""
    text = manifest("cart", "v1")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": text, **(more or {})}


def template(world: World) -> Any:
    return world.cluster.objects["Deployment", "cart"]["spec"]["template"]["spec"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_volume_of_the_team_s_is_pinned_beside_a_container_of_its_name(world: World) -> None:
    at_target(world, (BEFORE, volume("team/user:prod") + BEFORE))
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 0, outcome.ending
    assert template(world)["volumes"] == [{"name": "cart", "image": {"reference": f"team/user:v1@{GOOD}"}}]
    assert template(world)["containers"][0]["image"] == f"team/cart:v1@{GOOD}"
    run = world.run()
    written = (world.folder / "run/manifests/k8s/cart/d.yaml").read_bytes()
    assert written == manifest("cart", "v1").replace(b"team/cart:prod", f"team/cart:v1@{GOOD}".encode()).replace(
        BEFORE, volume(f"team/user:v1@{GOOD}") + BEFORE
    )
    planned = {(c.name, c.volume): c.to for s in run.get(Plan).services for c in s.containers}
    assert planned["cart", True] == f"team/user:v1@{GOOD}"
    assert planned["cart", False] == f"team/cart:v1@{GOOD}"
    cart = next(w for w in run.get(Verification).workloads if w.name == "cart")
    assert "no pod says which image volume cart holds" in cart.message
    again = operation.execute(world.run("again"), world.ports())
    assert again.text.startswith("Nothing to do"), again.text


@pytest.mark.parametrize("reference", ["team/user:prod", "vendor/models:3"])
def test_a_volume_whose_image_is_nowhere_is_refused_by_its_name(world: World, reference: str) -> None:
    at_target(world, (BEFORE, volume(reference, "models") + BEFORE))
    for tag in ("v1", "prod"):
        del world.registry.digests[f"team/user:{tag}"]
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert f"cart: image volume models of Deployment/cart: no image for {reference}" in outcome.ending.error
    assert world.cluster.writes == []


def test_a_volume_of_others_stays_as_it_is_and_is_proven(world: World) -> None:
    at_target(world, (BEFORE, volume("vendor/models:3", policy="IfNotPresent") + BEFORE))
    world.registry.digests["vendor/models:3"] = BAD
    run = world.run(dry_run=True)
    assert operation.execute(run, world.ports()).ending.code == 0
    found = next(i for i in run.get(Images).images if i.volume)
    assert (found.own, found.to, found.digest, found.ref.field) == (False, "vendor/models:3", BAD, "volumes")


def test_a_run_sees_what_a_pod_says_of_its_volume(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at_target(world, (BEFORE, volume("team/user:prod") + BEFORE))
    put = world.cluster.put

    def with_status(obj: Any) -> None:
        put(obj)
        pod = world.cluster.objects.get(("Pod", "cart-pod"), {})
        mount = {"name": "cart", "volumeStatus": {"image": {"imageRef": f"docker.io/team/user@{BAD}"}}}
        for status in pod.get("status", {}).get("containerStatuses", []):
            status["volumeMounts"] = [mount]

    monkeypatch.setattr(world.cluster, "put", with_status)
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 4
    assert f"runs {BAD} in image volume cart, and the plan says {GOOD}" in outcome.ending.error


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ((ENV, b"        env: [{name: LEVEL, value: v1}, {name: WORKER_IMAGE, value: 'team/worker:prod'}]\n"),
         "WORKER_IMAGE"),
        ((ENV, ENV + b"        args: ['--image=docker.io/team/worker:prod']\n"), "args"),
    ],
)  # fmt: skip
def test_an_image_that_a_program_is_told_of_by_a_tag_that_moves_is_a_warning(
    world: World, change: tuple[bytes, bytes], name: str
) -> None:
    at_target(world, change)
    run = world.run(dry_run=True)
    assert operation.execute(run, world.ports()).ending.code == 0
    told = [w for w in run.get(Plan).warnings if "team/worker:prod" in w]
    assert [w.partition(" names ")[0] for w in told] == [f"Deployment/cart: {name}"]


def test_a_config_map_tells_images_too_and_what_is_fixed_or_of_others_is_no_news(world: World) -> None:
    config = b"""\
apiVersion: v1
kind: ConfigMap
metadata: {name: cart}
data: {worker: 'team/worker:latest', fixed: 'team/worker:v3', host: 'redis:6379', other: 'vendor/x:latest',
  pinned: 'team/worker:prod@sha256:%s', plain: team/worker}
""" % (b"a" * 64)  # fmt: skip
    at_target(world, more={"k8s/cart/c.yaml": config})
    run = world.run(dry_run=True)
    assert operation.execute(run, world.ports()).ending.code == 0
    assert [w.partition(" names ")[0] for w in run.get(Plan).warnings if "a tag that moves: what" in w] == [
        "ConfigMap/cart: worker"
    ]


def test_live_volumes_count_for_what_runs(world: World) -> None:
    """A volume that only live has moved: that is a change, and the same image under its digest is none."""
    at_target(world, (BEFORE, volume("team/user:prod") + BEFORE))
    there = live("cart")
    there["spec"]["template"]["spec"]["volumes"] = [{"name": "cart", "image": {"reference": f"team/user@{BAD}"}}]
    world.cluster.put(there)
    run = world.run(dry_run=True)
    assert operation.execute(run, world.ports()).ending.code == 0
    [found] = [c for s in run.get(Plan).services for c in s.containers if c.volume]
    assert (found.from_, found.to) == (f"team/user@{BAD}", f"team/user:v1@{GOOD}")
