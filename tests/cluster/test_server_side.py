"""A team that applies server-side, by a name of its own: its next apply of another manifest has no conflict."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import images, shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import live, settled

TARGET, FAILED, NEXT = "v1.1.0", "v1.2.0", "v1.3.0"
USER = "user-service"


def objects(shop: Shop, release: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All that a release changes differs in every release: an image, variables that come and go, data, a selector."""
    number = {"v1.0.0": "0", TARGET: "1", FAILED: "2", NEXT: "3"}[release]
    env = [{"name": "LEVEL", "value": number}, {"name": f"ONLY_{number}", "value": "x"}]
    pods = shapes.template(USER, shapes.container(shop, USER, env=env), labels={"tier": number})
    service = shapes.service(USER, selector={"app": USER, "tier": number})
    config = shapes.config_map("common-config", {"LEVEL": number})
    return config, [shapes.workload("Deployment", USER, pods), service]


def manifests(shop: Shop, release: str) -> dict[str, str]:
    config, rest = objects(shop, release)
    return {SHARED: shapes.file(config), f"k8s/{USER}/all.yaml": shapes.file(*rest)}


def apply(shop: Shop, release: str, manager: str = "team") -> None:
    """The team's deploy. Without `--force-conflicts`: a conflict is an error, and fails the test."""
    config, rest = objects(shop, release)
    shop.cluster.kubectl("apply", "--server-side", f"--field-manager={manager}", "--filename=-",
                         namespace=shop.namespace, input=shapes.file(config, *rest))  # fmt: skip
    settled(shop, f"deployment/{USER}")


def deployed(shop: ShopFactory, manager: str = "team") -> Shop:
    made = shop(services=(USER,), manifests=manifests)
    where = {"context": "test", "namespace": made.namespace, "isolation": {"mode": "service", "targets": [USER]}}
    made.rollback_yaml({"environments": {"prod": where}})
    for release in (TARGET, FAILED):
        digest = images.push(made.cluster.registry_url, f"{made.organization}/{USER}", "prod", "good", release)
        images.tag_as(made.cluster.registry_url, f"{made.organization}/{USER}", digest, release)
        made.cluster.pull(made.image(USER))
        apply(made, release, manager)
    return made


def asked_for(shop: Shop) -> dict[str, Any]:
    (main,) = live(shop, "deployment", USER)["spec"]["template"]["spec"]["containers"]
    return {
        "env": main["env"], "selector": live(shop, "service", USER)["spec"]["selector"],
        "data": live(shop, "configmap", "common-config")["data"],
    }  # fmt: skip


def wanted(number: str) -> dict[str, Any]:
    return {
        "env": [{"name": "LEVEL", "value": number}, {"name": f"ONLY_{number}", "value": "x"}],
        "selector": {"app": USER, "tier": number}, "data": {"LEVEL": number},
    }  # fmt: skip


def undone(product: Product) -> None:
    product.run()
    product("undo", product.latest.name, "--yes")


@pytest.mark.parametrize(
    ("step", "number"),
    [(lambda p: p.run(), "1"), (lambda p: p.run("--isolate"), "1"), (undone, "2")],
    ids=["run", "with traffic closed", "undo"],
)
def test_the_next_apply_of_another_manifest_has_no_conflict(
    shop: ShopFactory, step: Callable[[Product], object], number: str
) -> None:
    made = deployed(shop)
    step(Product(made))
    assert asked_for(made) == wanted(number)
    apply(made, NEXT)
    assert asked_for(made) == wanted("3"), "and what only the older manifest had is gone with it"


def test_what_others_had_set_beside_it_is_theirs_after_an_undo(shop: ShopFactory) -> None:
    made = deployed(shop, "kubectl")
    made.cluster.kubectl("set", "env", f"deployment/{USER}", "BY_HAND=yes", namespace=made.namespace)
    settled(made, f"deployment/{USER}")
    undone(Product(made))
    apply(made, NEXT, "kubectl")
    assert {"name": "BY_HAND", "value": "yes"} in asked_for(made)["env"], "no apply takes it back"


def test_who_only_patches_is_asked_nothing_more(shop: ShopFactory) -> None:
    made = shop(services=(USER,), manifests=manifests)
    made.rollback_yaml()
    for release in (TARGET, FAILED):
        made.deploy(release)
        settled(made, f"deployment/{USER}")
    mark = made.cluster.audit_mark()
    Product(made).run()
    patches = [
        w["objectRef"]["name"]
        for w in made.cluster.writes(mark, user="operator", namespace=made.namespace)
        if w["verb"] == "patch" and w["objectRef"]["resource"] in ("deployments", "services", "configmaps")
    ]
    assert sorted(patches) == ["common-config", USER, USER], "one patch an object"
