"""Steps that tests of other shapes have in common."""

import json
from collections.abc import Mapping
from typing import Any

from tests.cluster import shapes
from tests.cluster.product import Product
from tests.cluster.shop import Shop


def level(release: str) -> dict[str, Any]:
    """What tells the releases apart in a container."""
    return {"env": shapes.variable("RELEASE", release)}


def settled(shop: Shop, *workloads: str) -> None:
    """Wait until these are rolled out."""
    shop.cluster.kubectl("rollout", "status", "--timeout=60s", *workloads, namespace=shop.namespace)


def live(shop: Shop, *what: str) -> Any:
    return shop.cluster.get(*what, namespace=shop.namespace)


def patch(shop: Shop, what: str, change: Mapping[str, Any], *, type: str = "merge") -> None:
    shop.cluster.kubectl("patch", what, f"--type={type}", f"--patch={json.dumps(change)}", namespace=shop.namespace)


def unchanged(shop: Shop, product: Product) -> None:
    """The next ordinary apply of what was rolled back to has nothing to change."""
    arguments = ("apply", "--recursive", f"--filename={product.manifests}")
    said = shop.cluster.kubectl(*arguments, namespace=shop.namespace).stdout.splitlines()
    assert [line for line in said if not line.endswith(" unchanged")] == [], said
    assert said != []
