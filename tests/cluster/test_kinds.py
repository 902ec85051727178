"""Every kind of workload comes back from a release that crash-loops, also where its controller waits for a pod."""

from typing import Any

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, settled, unchanged

TARGET, FAILED = "v1.1.0", "v1.2.0"
KINDS = {"agent": "DaemonSet", "cache": "StatefulSet", "queue": "StatefulSet"}


def kinds_manifests(shop: Shop, release: str) -> dict[str, str]:
    files = {SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"}))}
    specs: dict[str, dict[str, Any]] = {
        "agent": {},
        "cache": {"replicas": 2, "podManagementPolicy": "Parallel"},
        "queue": {"replicas": 2},
    }
    for name, kind in KINDS.items():
        if name not in shop.services:
            continue
        pods = shapes.template(name, shapes.container(shop, name, **level(release)))
        files[f"k8s/{name}/all.yaml"] = shapes.file(
            shapes.workload(kind, name, pods, **specs[name]), shapes.service(name)
        )
    return files


def test_every_kind_of_workload_comes_back_from_a_crash_loop(shop: ShopFactory) -> None:
    made = shop(services=tuple(KINDS), manifests=kinds_manifests)
    made.rollback_yaml()
    targets = tuple(f"{kind.lower()}/{name}" for name, kind in KINDS.items())
    made.deploy(TARGET)
    settled(made, *targets)
    made.deploy(FAILED, "crash")
    for name in KINDS:
        made.wait_waiting(name)
    product = Product(made)
    plan = product.plan()
    assert plan.stuck == ["queue"]
    assert "its pods that are stuck are deleted, one at a time" in plan.text
    queue = {p["metadata"]["name"]: p["metadata"]["uid"] for p in made.pods("queue")}
    mark = made.cluster.audit_mark()
    product.run()
    written = made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    assert [w["objectRef"]["name"] for w in written if w["verb"] == "delete"] == ["queue-1"]
    assert sorted(w["objectRef"]["name"] for w in written if w["verb"] == "patch") == sorted(KINDS)
    settled(made, *targets)
    assert made.served_all() == dict.fromkeys(KINDS, TARGET)
    assert made.running_digests() == {name: {digest} for name, digest in made.digests[TARGET].items()}
    now = {p["metadata"]["name"]: p["metadata"]["uid"] for p in made.pods("queue")}
    assert now.keys() == queue.keys()
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)


def test_a_pod_that_is_stuck_is_deleted_also_where_the_template_is_back_already(shop: ShopFactory) -> None:
    """As after a run that died between the two, or an apply of its manifests by hand."""
    made = shop(services=("queue",), manifests=kinds_manifests)
    made.rollback_yaml()
    made.deploy(TARGET)
    settled(made, "statefulset/queue")
    made.deploy(FAILED, "crash")
    made.wait_waiting("queue")
    product = Product(made)
    product.plan()
    arguments = ("apply", "--recursive", f"--filename={product.manifests}")
    made.cluster.kubectl(*arguments, namespace=made.namespace)
    plan = product.plan()
    assert (plan.changes["StatefulSet/queue"], plan.stuck) == ("none", ["queue"])
    assert "stuck pods of 1 StatefulSet to delete" in plan.text
    mark = made.cluster.audit_mark()
    product.run()
    (write,) = made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    assert (write["verb"], write["objectRef"]["name"]) == ("delete", "queue-1")
    settled(made, "statefulset/queue")
    assert made.served("queue") == TARGET
    assert product.run().last_line.startswith("Nothing to do")
