"""Node ports and addresses that another Service has: nothing that making one again would help (D16)."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, live, unchanged
from tests.cluster.test_made_again import said_by
from tests.cluster.untouched import untouched

TARGET, FAILED = "v1.1.0", "v1.2.0"
WEB, API = "web", "api"
Specs = Mapping[str, Mapping[str, Mapping[str, Any]]]  # release → service → what its Service's spec has


def manifests(specs: Specs) -> Any:
    def made(shop: Shop, release: str) -> dict[str, str]:
        files = {SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"}))}
        for name in shop.services:
            pods = shapes.template(name, shapes.container(shop, name, **level(release)))
            service = shapes.service(name, **specs.get(release, {}).get(name, {}))
            files[f"k8s/{name}/all.yaml"] = shapes.file(shapes.workload("Deployment", name, pods), service)
        return files

    return made


def on_port(number: int) -> dict[str, Any]:
    return {"type": "NodePort", "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": number}]}


def deployed(shop: ShopFactory, specs: Specs, *services: str) -> Shop:
    """v1.2.0 over v1.1.0, its Services made by itself: what only one can have was free in between."""
    made = shop(services=services, manifests=manifests(specs))
    made.rollback_yaml()
    made.deploy(TARGET)
    made.wait_ready()
    made.cluster.kubectl("delete", "service", *services, namespace=made.namespace)
    made.deploy(FAILED)
    made.wait_ready()
    return made


def some_address(cluster: Cluster) -> str:
    """One that nobody has, most likely: the server itself gives out others first."""
    first = cluster.get("service", "kubernetes", namespace="default")["spec"]["clusterIP"]
    return f"{first.rpartition('.')[0]}.{random.randint(20, 250)}"


def takes(cluster: Cluster, namespace: str, **spec: Any) -> None:
    cluster.apply(shapes.file(shapes.service("theirs", **spec)), namespace=namespace)


@pytest.mark.parametrize("failed", [{}, {"type": "NodePort"}], ids=["none in the failed one", "another one"])
def test_a_node_port_of_another_namespace_is_named_and_nothing_is_made_again(
    shop: ShopFactory, namespace: str, failed: dict[str, Any]
) -> None:
    port = random.randint(30000, 32767)
    made = deployed(shop, {TARGET: {WEB: on_port(port)}, FAILED: {WEB: failed}}, WEB)
    takes(made.cluster, namespace, **on_port(port))
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        said = said_by(product.run(code=3))
        again = said_by(product.run(f"--accept=recreate:Service/{WEB}", code=3))
    assert f"nodePort: Invalid value: {port}: provided port is already allocated" in said
    assert "recreate:" not in said
    assert f"[--accept skip:Service/{WEB}]" in said
    assert "provided port is already allocated" in again
    product.run(f"--accept=skip:Service/{WEB}")
    assert made.running_digests()[WEB] == {made.digests[TARGET][WEB]}


def test_two_services_that_swap_their_node_ports_are_refused_before_the_first_write(shop: ShopFactory) -> None:
    one = random.randint(30000, 32764)
    two = one + 1
    made = shop(
        services=(WEB, API),
        manifests=manifests(
            {TARGET: {WEB: on_port(one), API: on_port(two)}, FAILED: {WEB: on_port(two), API: on_port(one)}}
        ),
    )
    made.rollback_yaml({"services": {"order": [[API]]}})
    made.deploy(TARGET)
    made.wait_ready()
    made.cluster.kubectl("delete", "service", WEB, API, namespace=made.namespace)
    made.deploy(FAILED)
    made.wait_ready()
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        said = said_by(product.run(code=3))
    assert f"Node port {one} is Service/{API}'s" in said
    assert f"Node port {two} is Service/{WEB}'s" in said
    assert "recreate:" not in said

    def give_another(name: str, port: int) -> None:  # as the text says
        patch = json.dumps([{"op": "replace", "path": "/spec/ports/0/nodePort", "value": port}])
        made.cluster.kubectl("patch", "service", name, "--type=json", f"--patch={patch}", namespace=made.namespace)

    give_another(API, two + 1)
    assert f"Node port {two} is Service/{WEB}'s" in said_by(product.run(code=3)), "which the other one needs"
    give_another(WEB, two + 2)
    product.run()
    ports = {name: live(made, "service", name)["spec"]["ports"][0]["nodePort"] for name in (WEB, API)}
    assert ports == {WEB: one, API: two}


def test_an_address_that_another_namespace_took_leaves_the_old_service_and_resume_goes_on(
    shop: ShopFactory, namespace: str, cluster: Cluster
) -> None:
    address = some_address(cluster)
    made = deployed(shop, {TARGET: {WEB: {"clusterIP": address}}}, WEB)
    takes(made.cluster, namespace, clusterIP=address)
    before = live(made, "service", WEB)["spec"]
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        assert f"[--accept recreate:Service/{WEB}]" in said_by(product.run(code=3))

    failed = product.run(f"--accept=recreate:Service/{WEB}", code=4)
    said = said_by(failed)
    assert "provided IP is already allocated" in said
    assert "the old one was put back, as it was" in said
    assert "MISSING" not in failed.last_line
    assert live(made, "service", WEB)["spec"] == before, "its own address as well"
    stuck = said_by(product("resume", "--environment=prod", code=4))
    assert "the old one was put back" in stuck, "and not lost by trying again"

    made.cluster.kubectl("delete", "service", "theirs", namespace=namespace)
    product("resume", "--environment=prod")
    assert live(made, "service", WEB)["spec"]["clusterIP"] == address
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)


def test_who_may_look_at_addresses_is_told_before(shop: ShopFactory, namespace: str, cluster: Cluster) -> None:
    address = some_address(cluster)
    made = deployed(shop, {TARGET: {WEB: {"clusterIP": address}}}, WEB)
    takes(made.cluster, namespace, clusterIP=address)
    with untouched(made.cluster, made.namespace):
        said = said_by(Product(made, user="admin").run(code=3))
    assert f"nor does it take a new one: spec.clusterIP: {address} is already allocated" in said
    assert "recreate:" not in said
