"""Configuration that changes between releases: who restarts, how large it may be, and what goes first."""

from datetime import datetime
from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import CONFIG, SHARED, Shop, deployment, shop_manifests

TARGET, FAILED = "v1.1.0", "v1.2.0"
THRESHOLDS = {"v1.0.0": 10, TARGET: 50, FAILED: 90}


def names_of(writes: list[dict[str, Any]]) -> list[str]:
    return [w["objectRef"]["name"] for w in writes]


def running(shop: Shop) -> dict[str, str]:
    """The uid of each service's one pod."""
    return {service: shop.pods(service)[0]["metadata"]["uid"] for service in shop.services}


# -- only the configuration differs


def same_templates(shop: Shop, release: str) -> dict[str, str]:
    """`order-service` reads the shared configuration, `user-service` does not; neither changes between releases."""
    pods = shapes.template("user-service", shapes.container(shop, "user-service"))
    return {
        SHARED: CONFIG.format(threshold=THRESHOLDS[release]),
        "k8s/order-service/deployment.yaml": deployment(shop, TARGET, "order-service"),
        "k8s/order-service/service.yaml": shop_manifests(shop, TARGET)["k8s/order-service/service.yaml"],
        "k8s/user-service/all.yaml": shapes.file(
            shapes.workload("Deployment", "user-service", pods), shapes.service("user-service")
        ),
    }


@pytest.mark.parametrize("restarted", [False, True], ids=["never-restarted", "restarted-by-hand"])
def test_a_change_of_configuration_alone_restarts_those_who_read_it_once(shop: ShopFactory, restarted: bool) -> None:
    made = shop(services=("order-service", "user-service"), manifests=same_templates)
    made.rollback_yaml()
    for release in (TARGET, FAILED):
        made.deploy(release, version="the same")
        made.wait_ready()
    if restarted:
        made.cluster.kubectl("rollout", "restart", "deployment/order-service", namespace=made.namespace)
        made.wait_ready()
    before, sets = running(made), len(made.replica_sets("order-service"))
    product = Product(made)
    plan = product.plan()
    expected = {
        "ConfigMap/common-config": "update", "Deployment/order-service": "restart", "Deployment/user-service": "none",
    }  # fmt: skip
    assert {name: plan.changes[name] for name in expected} == expected
    assert plan.text.startswith("ecommerce prod: v1.2.0 → v1.1.0\n")  # by what was applied: the images are the same
    assert "Deployment/order-service: restart (ConfigMap common-config changes)" in plan.text
    mark = made.cluster.audit_mark()
    product.run(f"--plan-hash={plan.data['hash']}")
    assert names_of(made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)) == [
        "common-config",
        "order-service",
    ]
    made.wait_ready()
    after = running(made)
    assert after["user-service"] == before["user-service"]
    assert after["order-service"] != before["order-service"]
    assert len(made.replica_sets("order-service")) == sets + 1
    config = made.cluster.get("configmap", "common-config", namespace=made.namespace)["data"]
    assert config["CIRCUIT_BREAKER_THRESHOLD"] == "50"

    of_the_run = product.manifests
    mark = made.cluster.audit_mark()
    assert product.run().last_line.startswith("Nothing to do")
    assert made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace) == []
    for manifests in (of_the_run, product.manifests):
        arguments = ("apply", "--recursive", f"--filename={manifests}")
        said = made.cluster.kubectl(*arguments, namespace=made.namespace).stdout.splitlines()
        assert {"configmap/common-config unchanged", "deployment.apps/order-service unchanged"} <= set(said)
    assert running(made)["order-service"] == after["order-service"]


def test_a_restart_by_hand_is_no_reason_for_another_rollback(shop: ShopFactory) -> None:
    made = shop(services=("order-service",))
    made.rollback_yaml()
    made.deploy(TARGET)
    made.cluster.kubectl("rollout", "restart", "deployment/order-service", namespace=made.namespace)
    made.wait_ready()
    assert Product(made).run().last_line.startswith("Nothing to do")


# -- a ConfigMap that fits no annotation


def large_manifests(shop: Shop, release: str) -> dict[str, str]:
    rules = "".join(f"rule-{number:05}={release}\n" for number in range(15_500))
    files = dict(shop_manifests(shop, release))
    files["k8s/rules.yaml"] = shapes.file(shapes.config_map("rules", {"rules.properties": rules}))
    return files


def test_a_config_map_that_is_too_large_for_client_side_apply_goes_back(shop: ShopFactory) -> None:
    made = shop(services=("user-service",), manifests=large_manifests)
    made.rollback_yaml({"manifests": {"path": "k8s/{service}", "shared": [SHARED, "k8s/rules.yaml"]}})

    def rules() -> str:
        found = made.cluster.get("configmap", "rules", namespace=made.namespace)
        return str(found["data"]["rules.properties"])

    for release in (TARGET, FAILED):
        text = made.git("show", f"{release}:k8s/rules.yaml")
        how = ("create",) if release == TARGET else ("apply", "--server-side", "--force-conflicts")
        made.cluster.kubectl(*how, "--filename=-", namespace=made.namespace, input=text)
        made.deploy(release)
        made.wait_ready()
    assert len(rules()) == 279_000
    assert FAILED in rules()
    product = Product(made)
    plan = product.plan()
    assert plan.changes["ConfigMap/rules"] == "update"
    assert max(map(len, plan.text.splitlines())) < 200
    product.run()
    assert rules() == "".join(f"rule-{number:05}={TARGET}\n" for number in range(15_500))
    made.wait_ready()
    assert made.served("user-service") == TARGET
    assert product.run().last_line.startswith("Nothing to do")
    text = made.git("show", f"{FAILED}:k8s/rules.yaml")
    arguments = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    made.cluster.kubectl(*arguments, namespace=made.namespace, input=text)
    assert FAILED in rules()


# -- waves


@pytest.mark.parametrize("order_wait", ["ready", "updated"])
def test_what_others_wait_for_goes_first(shop: ShopFactory, order_wait: str) -> None:
    names = ("cloud-config", "order-service", "user-service")
    made = shop(services=names)
    made.rollback_yaml({"services": {"order": [["cloud-config"]], "order_wait": order_wait}})
    made.deploy(TARGET)
    made.wait_ready()
    made.deploy(FAILED)
    made.wait_ready()
    product = Product(made)
    mark = made.cluster.audit_mark()
    product.run()
    writes = made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    assert names_of(writes)[0] == "cloud-config"
    assert sorted(names_of(writes)[1:]) == ["order-service", "user-service"]
    made.wait_ready()
    assert made.served_all() == dict.fromkeys(names, TARGET)
    (pod,) = made.pods("cloud-config")
    ready = next(c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == "Ready")
    second = datetime.fromisoformat(writes[1]["requestReceivedTimestamp"])
    if order_wait == "updated":
        assert datetime.fromisoformat(ready) <= second
