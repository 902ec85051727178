"""What the target lacks goes whole: a mapping, and the member that only the failed release's choice may have."""

from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, live, settled, unchanged

TARGET, FAILED = "v1.1.0", "v1.2.0"
USER = "user-service"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize("failed", [{"strategy": ROLLING}, {}], ids=["asked for", "filled in by the server"])
def test_a_strategy_goes_back_to_recreate_and_forth_by_undo(shop: ShopFactory, failed: dict[str, Any]) -> None:
    def manifests(shop: Shop, release: str) -> dict[str, str]:
        spec = failed if release == FAILED else {"strategy": {"type": "Recreate"}}
        pods = shapes.template(USER, shapes.container(shop, USER, **level(release)))
        autoscaler = {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": USER},
            "spec": {
                "maxReplicas": 2, "minReplicas": 1,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": USER},
                **({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}} if release == FAILED else {}),
            },
        }  # fmt: skip
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"})),
            f"k8s/{USER}/all.yaml": shapes.file(shapes.workload("Deployment", USER, pods, **spec), autoscaler),
        }

    made = shop(services=(USER,), manifests=manifests)
    made.rollback_yaml()
    made.deploy(TARGET)
    settled(made, f"deployment/{USER}")
    made.deploy(FAILED)
    settled(made, f"deployment/{USER}")
    before = live(made, "deployment", USER)["spec"]["strategy"]
    assert before["type"] == "RollingUpdate"
    product = Product(made)
    product.run()
    run = product.latest.name
    assert live(made, "deployment", USER)["spec"]["strategy"] == {"type": "Recreate"}
    assert "behavior" not in live(made, "hpa", USER)["spec"], "nothing is left of what the server filled in"
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)
    product("undo", run, "--yes")
    assert live(made, "deployment", USER)["spec"]["strategy"] == before
