"""A rollback's images are for the platforms of the nodes that each workload's own pods can use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Images
from rollback_lib.operations import run as operation
from tests.core.images.test_nodes import node
from tests.fake_registry import FakeRegistry
from tests.pipeline.test_loop import World, manifest

AMD, ARM, WINDOWS = "linux/amd64", "linux/arm64", "windows/amd64"
TAINTED = {"key": "os", "value": "windows", "effect": "NoSchedule"}


class Shop(World):
    """The two services beside a registry that is asked over HTTP; ``cart`` may say where its pods go."""

    def __init__(self, folder: Path, asked: FakeRegistry, *nodes: dict[str, Any], cart: str = "") -> None:
        super().__init__(folder)
        self.asked = asked
        client: Any = RegistryClient({"docker.io": asked.url}, folder / "none.json", {}, sleep=lambda s: None)
        self.registry = client
        self.cluster.node_list = nodes
        text = manifest("cart", "v1").replace(b"      containers:", f"      {cart}\n      containers:".encode())
        if cart:
            self.git.releases["v1"] = {**self.git.releases["v1"], "k8s/cart/d.yaml": text}

    def push(self, *platforms: str, plain: str = "") -> None:
        for name in ("cart", "user"):
            self.asked.push(f"team/{name}", "v1", platforms, plain=plain)

    def prove(self) -> tuple[Ending, list[str]]:
        run = self.run(dry_run=True)
        for stage in ("detect", "incident", "resolve", "images"):
            ending = operation.one(run, self.ports(), stage).ending
        images = run.find(Images)
        return ending, list(images.warnings) if images else []


def _bodies(registry: FakeRegistry) -> tuple[list[str], list[str]]:
    """The manifests and the configurations that were read, which is what an image's platform costs."""
    got = [a.path for a in registry.asked if a.method == "GET" and "/sha256:" in a.path]
    return [p for p in got if "/manifests/" in p], [p for p in got if "/blobs/" in p]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as made:
        yield made


@pytest.mark.parametrize(
    "other",
    [
        node("win", WINDOWS, taints=[TAINTED]),
        node("arm", ARM, unschedulable=True),
        {**node("arm", ARM), "metadata": {"name": "arm", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {**node("arm", ARM), "status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "arm64"}}},
    ],
    ids=["tainted", "cordoned", "going", "not Ready"],
)
def test_a_node_that_the_pods_cannot_use_is_no_reason_to_refuse(
    tmp_path: Path, registry: FakeRegistry, other: dict[str, Any]
) -> None:
    shop = Shop(tmp_path, registry, node("n", AMD), other)
    shop.push(AMD)
    ending, warnings = shop.prove()
    assert (ending.code, warnings) == (0, []), ending


def test_each_workload_by_its_own_nodes(tmp_path: Path, registry: FakeRegistry) -> None:
    """What one selects and the other does not: an image that both cannot start is missing for one of them only."""
    nodes = (node("n", AMD, pool="old"), node("arm", ARM, pool="new"))
    shop = Shop(tmp_path, registry, *nodes, cart="nodeSelector: {pool: old}")
    shop.push(AMD)
    ending, warnings = shop.prove()
    assert ending.code == 0, ending
    assert [("Deployment/user" in w, ARM in w) for w in warnings] == [(True, True)]
    shop = Shop(tmp_path / "refused", registry, *nodes, cart="nodeSelector: {pool: new}")
    ending, _ = shop.prove()
    assert ending.code == 3
    assert "team/cart:v1: the index has nothing for linux/arm64" in ending.error
    assert "team/user" not in ending.error


def test_a_taint_counts_where_the_template_tolerates_it(tmp_path: Path, registry: FakeRegistry) -> None:
    shop = Shop(
        tmp_path, registry, node("n", AMD), node("win", WINDOWS, taints=[TAINTED]),
        cart="tolerations: [{key: os, operator: Exists}]",
    )  # fmt: skip
    shop.push(AMD)
    ending, warnings = shop.prove()
    assert ending.code == 0, ending
    assert [("Deployment/cart" in w, WINDOWS in w) for w in warnings] == [(True, True)]


def test_no_node_at_all_is_a_warning_that_names_the_workload(tmp_path: Path, registry: FakeRegistry) -> None:
    """A pool that is scaled to zero: which nodes will come, nobody knows."""
    shop = Shop(tmp_path, registry, node("n", AMD), cart="nodeSelector: {pool: gpu}")
    shop.push(ARM, AMD)
    registry.push("team/cart", "v1", (ARM,))
    ending, warnings = shop.prove()
    assert ending.code == 0, ending
    assert [w.partition(":")[0] for w in warnings] == ["Deployment/cart"]


def test_where_nodes_may_not_be_listed_that_is_said_once_and_only_where_it_matters(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    shop = Shop(tmp_path, registry)
    shop.cluster.node_list = None
    shop.push(AMD, ARM)
    ending, warnings = shop.prove()
    assert ending.code == 0, ending
    assert [("may not be listed" in w, AMD in w) for w in warnings] == [(True, True)]
    shop = Shop(tmp_path / "plain", registry)
    shop.cluster.node_list = None
    shop.push(plain=ARM)
    registry.asked.clear()
    assert shop.prove()[1] == []
    assert _bodies(registry) == ([], [])


def test_a_plain_image_of_another_platform_is_refused_and_asking_costs_two_gets_an_image(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    shop = Shop(tmp_path, registry, node("n", AMD))
    shop.push(plain=AMD)
    ending, warnings = shop.prove()
    assert (ending.code, warnings) == (0, []), ending
    registry.asked.clear()
    shop = Shop(tmp_path / "other", registry, node("n", AMD), node("arm", ARM))
    ending, warnings = shop.prove()
    assert ending.code == 0, ending
    assert [("the image is for linux/amd64, not for linux/arm64" in w) for w in warnings] == [True, True]
    assert [len(asked) for asked in _bodies(registry)] == [2, 2]
    shop = Shop(tmp_path / "refused", registry, node("arm", ARM))
    ending, _ = shop.prove()
    assert ending.code == 3
    assert "team/user:v1: the image is for linux/amd64, not for linux/arm64" in ending.error


def test_a_child_of_an_index_that_only_a_node_still_has(tmp_path: Path, registry: FakeRegistry) -> None:
    """No pod runs it, and the node says that it holds it: by the index, or by the manifest of its platform."""
    shop = Shop(tmp_path, registry, node("n", AMD))
    shop.push(AMD)
    child = {key: kept for key, kept in registry.stored.items() if key[1].startswith("sha256:")}
    indexes = {registry.stored[f"team/{n}", "v1"][1] for n in ("cart", "user")}
    digests = {}
    for (repository, digest), (_, body) in child.items():
        if body not in indexes:
            digests[repository] = digest
            del registry.stored[repository, digest]
    ending, _ = shop.prove()
    assert (ending.code, "--accept" in ending.error) == (3, False), ending
    held = tuple((f"docker.io/{repository}@{digest}",) for repository, digest in digests.items())
    shop = Shop(tmp_path / "held", registry, node("n", AMD, *held))
    ending, _ = shop.prove()
    assert (ending.code, "image-on-nodes-only" in ending.error) == (3, True), ending
    shop = Shop(tmp_path / "elsewhere", registry, node("n", AMD), node("m", AMD, *held, unschedulable=True))
    ending, _ = shop.prove()
    assert (ending.code, "--accept" in ending.error) == (3, False), "no pod can be on that node"
