"""One failure of each kind on a real cluster: detect names the cause and the service, quickly; a healthy shop never."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Shop

pytestmark = pytest.mark.alone

SICK = "user-service"
SERVICES = (SICK, "order-service")
SMOKE = {"smoke": [{"service": SICK, "path": "/cgi-bin/orders", "within": "1s", "patience": "2s"}]}
HEALTH = {"smoke": [{"service": SICK, "path": "/actuator/health", "json": {"status": "UP"}}]}
QUICK = 5.0  # seconds


def made(shop: ShopFactory, behaviour: str = "good", **settings: Any) -> tuple[Shop, Product]:
    """v1.2.0 runs; one service's image behaves as it is told."""
    one = shop(services=SERVICES)
    one.rollback_yaml(settings)
    one.deploy("v1.1.0")
    one.wait_ready()
    one.deploy("v1.2.0")
    one.wait_ready()
    if behaviour != "good":
        one.deploy("v1.2.0", behaviour, services=(SICK,))
        one.cluster.kubectl("rollout", "restart", f"deployment/{SICK}", namespace=one.namespace)
    return one, Product(one)


def until(shop: Shop, word: str) -> None:
    deadline = time.monotonic() + 60
    while not any(word in json.dumps(p["status"]) for p in shop.pods(SICK)):
        assert time.monotonic() < deadline, f"no pod of {SICK} ever said {word}"
        time.sleep(0.2)


def rolled_out(shop: Shop) -> None:
    shop.cluster.kubectl("rollout", "status", f"deployment/{SICK}", "--timeout=60s", namespace=shop.namespace)


def patch(shop: Shop, container: dict[str, Any]) -> None:
    spec = {"spec": {"template": {"spec": {"containers": [{"name": SICK, **container}]}}}}
    shop.cluster.kubectl("patch", f"deployment/{SICK}", f"--patch={json.dumps(spec)}", namespace=shop.namespace)


def detected(product: Product) -> dict[str, Any]:
    product.plan()
    found: dict[str, Any] = json.loads((product.latest / "steps/detect.json").read_text())
    assert found["seconds"] < QUICK
    return found


def accused(found: dict[str, Any]) -> set[tuple[str, str]]:
    """(service, cause) of everything that is no mere note; nobody but the sick service may be among them."""
    got = {(f["service"], f["cause"]) for f in found["findings"] if f["severity"] != "note"}
    assert {service for service, _ in got} <= {SICK}, found["findings"]
    return got


@pytest.mark.parametrize(
    ("behaviour", "word", "causes"),
    [
        ("crash", "CrashLoopBackOff", {"CrashLoopBackOff"}),
        ("never-ready", '"ready": false', {"NotReady", "NeverReady"}),
    ],
)
def test_a_service_that_does_not_come_up(shop: ShopFactory, behaviour: str, word: str, causes: set[str]) -> None:
    one, product = made(shop, behaviour)
    until(one, word)
    found = detected(product)
    assert {cause for _, cause in accused(found)} & causes, found


def test_an_image_that_cannot_be_pulled(shop: ShopFactory) -> None:
    one, product = made(shop)
    patch(one, {"image": f"{one.organization}/{SICK}:gone"})
    until(one, "ErrImagePull")
    assert {c for _, c in accused(detected(product))} & {"ErrImagePull", "ImagePullBackOff"}


def test_out_of_memory(shop: ShopFactory) -> None:
    one, product = made(shop)
    one.deploy("v1.2.0", "hungry", services=(SICK,))
    patch(one, {"resources": {"limits": {"memory": "24Mi"}}, "imagePullPolicy": "Always"})
    until(one, "OOMKilled")
    found = detected(product)
    assert found["verdict"] == "broken"
    assert (SICK, "OOMKilled") in accused(found)


def test_a_configuration_key_that_is_not_there(shop: ShopFactory) -> None:
    one, product = made(shop)
    source = {"configMapKeyRef": {"name": "common-config", "key": "MISSPELT"}}
    patch(one, {"env": [{"name": "LIMIT", "valueFrom": source}]})
    until(one, "CreateContainerConfigError")
    found = detected(product)
    assert (SICK, "CreateContainerConfigError") in accused(found)
    assert "MISSPELT" in found["reasons"][0]


def test_another_services_image(shop: ShopFactory) -> None:
    one, product = made(shop)
    patch(one, {"image": f"{one.organization}/order-service:prod"})
    rolled_out(one)
    assert (SICK, "WrongImage") in accused(detected(product))


@pytest.mark.parametrize(
    ("behaviour", "verify", "cause", "said"),
    [
        ("errors", SMOKE, "SmokeFailed", "answered 500, expected 200"),
        ("slow", SMOKE, "SmokeFailed", "allowed are 1s"),
        ("sick", HEALTH, "SmokeFailed", "its JSON has not"),
        ("alone", {}, "DependencyDown", "zipkin"),
    ],
)
def test_a_service_that_is_ready_and_broken_all_the_same(
    shop: ShopFactory, behaviour: str, verify: dict[str, Any], cause: str, said: str
) -> None:
    one, product = made(shop, verify=verify)
    registry, repository = one.cluster.registry_url, f"{one.organization}/{SICK}"
    digest = images.push(registry, repository, "bad", behaviour, "v1.2.0")
    patch(one, {"image": f"{repository}@{digest}"})
    rolled_out(one)
    found = detected(product)
    assert (SICK, cause) in accused(found), found
    assert said in json.dumps(found)


def test_a_healthy_shop_is_not_accused_once_in_ten_looks(shop: ShopFactory) -> None:
    _, product = made(shop, verify=HEALTH)
    for _ in range(10):
        found = detected(product)
        assert found["verdict"] == "healthy", found
        assert accused(found) == set()


def test_the_evidence_is_there_before_the_pods_are_gone(shop: ShopFactory) -> None:
    one, product = made(shop)
    repository = f"{one.organization}/{SICK}"
    patch(one, {"image": f"{repository}@{images.push(one.cluster.registry_url, repository, 'bad', 'crash', 'v1.2.0')}"})
    until(one, "CrashLoopBackOff")
    product.run()
    logs = {p.name: p.read_text() for p in (product.latest / "evidence/logs").iterdir()}
    assert any(".previous." in name and "FATAL" in text for name, text in logs.items()), logs
    # which of its events the kubelet has sent by now is its own affair
    assert f"Pod/{SICK}" in (product.latest / "evidence/events.txt").read_text()
    assert not [p for p in (product.latest / "evidence/objects").iterdir() if p.name.startswith("Secret")]


def test_c10_a_stale_deadline_condition_is_no_failure(shop: ShopFactory) -> None:
    """The bad image runs past progressDeadlineSeconds; after the rollback the condition of then proves nothing."""
    one, product = made(shop)
    deadline = json.dumps({"spec": {"progressDeadlineSeconds": 5}})
    one.cluster.kubectl("patch", f"deployment/{SICK}", f"--patch={deadline}", namespace=one.namespace)
    repository = f"{one.organization}/{SICK}"
    bad = f"{repository}@{images.push(one.cluster.registry_url, repository, 'bad', 'crash', 'v1.2.0')}"
    for _ in range(2):  # the second time a ReplicaSet of the good template is there already
        patch(one, {"image": bad})
        condition: Callable[[], str] = lambda: json.dumps(  # noqa: E731
            one.cluster.get("deployment", SICK, namespace=one.namespace)["status"]
        )
        end = time.monotonic() + 60
        while "ProgressDeadlineExceeded" not in condition():
            assert time.monotonic() < end
            time.sleep(0.2)
        found = detected(product)
        assert found["verdict"] == "broken"
        product.run()
        one.wait_ready()
        checks = json.loads((product.latest / "steps/verify.json").read_text())["checks"]
        assert all(c["good"] for c in checks), checks
        assert one.served(SICK) == "v1.1.0"
