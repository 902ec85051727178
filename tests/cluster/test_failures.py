"""The target itself is sick: `verify` ends soon after the kubelet or controller has said so, with 4 and the cause."""

import json
from datetime import datetime
from typing import Any

import pytest

from rollback_lib.core import health
from tests.cluster import images
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Shop, deployment
from tests.command_line import Ended

NAME = "user-service"


def failed(shop: ShopFactory, behaviour: str, **settings: Any) -> Shop:
    """v1.2.0 runs; v1.1.0's image behaves as it is told."""
    made = shop(services=(NAME,))
    made.rollback_yaml(settings)
    made.deploy("v1.2.0")
    made.wait_ready()
    repository = f"{made.organization}/{NAME}"
    images.push(made.cluster.registry_url, repository, "v1.1.0", behaviour, "v1.1.0")
    return made


def ended_at(product: Product) -> datetime:
    lines = [json.loads(line) for line in (product.latest / "journal.jsonl").read_text().splitlines()]
    stamp = next(e["at"] for e in lines if e["mark"] == "stage-failed" and e["stage"] == "verify")
    return datetime.fromisoformat(stamp)


def is_named(product: Product, ended: Ended, *causes: str) -> None:
    """The cause stands where people look: in the output, the step and the record; and the last line is true."""
    found = json.loads((product.latest / "steps/verify.json").read_text())
    assert set(found["workloads"][0]["causes"]) & set(causes), found["workloads"][0]
    assert found["workloads"][0]["health"] == "failed"
    assert NAME in ended.err
    assert "FAILED in verify (4). 1 object was changed; traffic is open." in ended.last_line
    record = (
        (product.latest / "report/incident.md").read_text().replace("\\", "")
    )  # what Markdown would read as its own
    assert "NOT healthy" in record
    assert any(cause in record or found["workloads"][0]["message"] in record for cause in causes)


@pytest.mark.alone
def test_a_crash_loop_is_named_with_its_last_log_lines(shop: ShopFactory) -> None:
    made = failed(shop, "crash")
    product = Product(made)
    ended = product.run(code=4)
    is_named(product, ended, "CrashLoopBackOff")
    found = json.loads((product.latest / "steps/verify.json").read_text())
    assert any("FATAL" in line for line in found["workloads"][0]["logs"])
    assert "FATAL" in ended.err
    newest = max(made.pods(NAME), key=lambda p: str(p["metadata"]["creationTimestamp"]))
    state = newest["status"]["containerStatuses"][0]
    over = [s["terminated"]["finishedAt"] for s in (state["state"], state["lastState"]) if "terminated" in s]
    last = datetime.fromisoformat(max(over).replace("Z", "+00:00"))
    # times of the API have whole seconds
    assert (ended_at(product) - last).total_seconds() < 4


def test_a_service_that_crashes_twice_and_then_serves_has_not_failed(shop: ShopFactory) -> None:
    made = failed(shop, "crash-twice")
    Product(made).run()
    made.wait_ready()
    assert made.served(NAME) == "v1.1.0"


def test_an_image_that_the_node_cannot_pull_is_named(shop: ShopFactory, tmp_path: Any) -> None:
    """It goes from the registry between the plan and the pull."""
    made = failed(shop, "good")
    product = Product(made)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        product("stage", stage, "--run-dir=.rollback/staged", "--to=v1.1.0")
    plan = json.loads((made.repo / ".rollback/staged/plan.json").read_text())
    approval = {"ROLLBACK_APPROVED_HASH": plan["hash"], "ROLLBACK_APPROVED_BY": "ana"}
    product("stage", "approve", "--run-dir=.rollback/staged", environ=approval)
    digest = plan["services"][-1]["containers"][0]["digest"]
    images.delete(made.cluster.registry_url, f"{made.organization}/{NAME}", digest)
    product("stage", "apply", "--run-dir=.rollback/staged")
    ended = product("stage", "verify", "--run-dir=.rollback/staged", code=4)
    product("stage", "document", "--run-dir=.rollback/staged", code=4)
    is_named(product, ended, "ErrImagePull", "ImagePullBackOff")


def test_a_quota_that_forbids_the_pod_is_named(shop: ShopFactory) -> None:
    made = failed(shop, "good")
    hard = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    made.cluster.apply(json.dumps(hard), namespace=made.namespace)
    made.cluster.kubectl(
        "wait", "--for=jsonpath={.status.used.pods}=1", "--timeout=30s", "resourcequota/full", namespace=made.namespace
    )
    product = Product(made)
    is_named(product, product.run(code=4), "ReplicaFailure")
    assert made.served(NAME) == "v1.2.0", "the old pod still serves"


def test_a_service_account_that_is_missing_is_named(shop: ShopFactory) -> None:
    def files(shop: Shop, release: str) -> dict[str, str]:
        text = deployment(shop, release, NAME)
        if release == "v1.1.0":
            text = text.replace("    spec:\n      term", "    spec:\n      serviceAccountName: gone\n      term")
        config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: common-config}\ndata: {A: b}\n"
        return {f"k8s/{NAME}/deployment.yaml": text, "k8s/common-config.yaml": config}

    made = shop(services=(NAME,), manifests=files)
    made.rollback_yaml()
    made.deploy("v1.2.0")
    made.wait_ready()
    images.push(made.cluster.registry_url, f"{made.organization}/{NAME}", "v1.1.0", "good", "v1.1.0")
    product = Product(made)
    refused = product.run(code=3)
    assert "missing-reference:gone" in refused.err
    is_named(product, product.run("--accept=missing-reference:gone", code=4), "ReplicaFailure")


def test_what_never_becomes_ready_ends_at_its_limit(shop: ShopFactory) -> None:
    made = failed(shop, "never-ready", verify={"rollout_timeout": "5s"})
    product = Product(made)
    limit = health.limit(made.cluster.get("deployment", NAME, namespace=made.namespace), 5.0)
    ended = product.run(code=4)
    is_named(product, ended, "NeverReady")
    lines = [json.loads(line) for line in (product.latest / "journal.jsonl").read_text().splitlines()]
    began = next(e["at"] for e in lines if e["mark"] == "stage-begin" and e["stage"] == "verify")
    took = (ended_at(product) - datetime.fromisoformat(began)).total_seconds()
    assert limit <= took < limit + 3


@pytest.mark.parametrize("pinned", [True, False], ids=["by-index-digest", "by-tag"])
def test_an_image_index_is_recognised_by_what_the_node_makes_of_it(shop: ShopFactory, pinned: bool) -> None:
    made = shop(services=(NAME,))
    made.rollback_yaml()
    made.deploy("v1.2.0")
    made.wait_ready()
    registry, repository = made.cluster.registry_url, f"{made.organization}/{NAME}"
    one = images.push(registry, repository, "single", "good", "v1.1.0")
    other = images.push(registry, repository, "arm", "good", "v1.1.0 for arm", image_platform="linux/arm64")
    index = images.push_index(registry, repository, "v1.1.0", [("linux/amd64", one), ("linux/arm64", other)])
    if pinned:  # the pods run the manifest already, by another repository's name
        twin = f"{made.organization}/twin"
        images.push(registry, twin, "v1.1.0", "good", "v1.1.0")
        made.cluster.pull(f"{twin}:v1.1.0")
    product = Product(made)
    product.run()
    assert (
        index
        in made.cluster.get("deployment", NAME, namespace=made.namespace)["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
    )
    made.wait_ready()
    assert made.served(NAME) == "v1.1.0"
    assert product.run().last_line.startswith("Nothing to do")


def test_an_index_without_the_nodes_platform_is_refused(shop: ShopFactory) -> None:
    made = shop(services=(NAME,))
    made.rollback_yaml()
    made.deploy("v1.2.0")
    made.wait_ready()
    registry, repository = made.cluster.registry_url, f"{made.organization}/{NAME}"
    other = images.push(registry, repository, "arm", "good", "v1.1.0", image_platform="linux/arm64")
    images.push_index(registry, repository, "v1.1.0", [("linux/arm64", other)])
    ended = Product(made).run(code=3)
    assert "linux/amd64" in ended.err
    assert "Nothing was changed" in ended.last_line
