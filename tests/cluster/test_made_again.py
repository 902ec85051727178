"""What has to be deleted and made again, on the real controllers: pods, claims, addresses and the kubelet's cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, settled, unchanged
from tests.cluster.untouched import untouched
from tests.cluster.watched import ready_pods
from tests.command_line import Ended

TARGET, FAILED = "v1.1.0", "v1.2.0"
QUEUE, USER = "queue", "user-service"


def said_by(ended: Ended) -> str:
    """What people read, without where its lines break."""
    return " ".join(str(ended).split())


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Mi"}}}
    return {"metadata": {"name": name}, "spec": spec}


def queue_manifests(claims: dict[str, tuple[str, ...]], **more: Any) -> Any:
    def manifests(shop: Shop, release: str) -> dict[str, str]:
        found = claims.get(release, ())
        mounts = [{"name": name, "mountPath": f"/{name}"} for name in found]
        pods = shapes.template(QUEUE, shapes.container(shop, QUEUE, volumeMounts=mounts, **level(release)))
        spec = {"replicas": 2, "volumeClaimTemplates": [claim(name) for name in found], **more}
        made = shapes.workload("StatefulSet", QUEUE, pods, **spec)
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"})),
            f"k8s/{QUEUE}/all.yaml": shapes.file(made, shapes.service(QUEUE, clusterIP="None")),
        }

    return manifests


@contextmanager
def volumes(shop: Shop, *claims: str) -> Iterator[None]:
    """A volume on the node for each claim of two pods."""
    made = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{shop.namespace}-{name}-{number}"},
            "spec": {
                "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": shop.namespace, "name": f"{name}-{QUEUE}-{number}"},
                "hostPath": {"path": f"/tmp/{shop.namespace}-{name}-{number}", "type": "DirectoryOrCreate"},
            },
        }
        for name in claims
        for number in range(2)
    ]
    shop.cluster.apply(shapes.file(*made), namespace=shop.namespace)
    try:
        yield
    finally:
        names = [v["metadata"]["name"] for v in made]  # type: ignore[index]
        shop.cluster.kubectl("delete", "persistentvolume", "--wait=false", *names)


@pytest.mark.parametrize(
    "claims", [{FAILED: ("data",)}, {TARGET: ("data",)}], ids=["a claim more in the failed one", "a claim fewer"]
)
def test_a_stateful_set_is_made_again_around_its_pods_one_at_a_time(
    shop: ShopFactory, claims: dict[str, tuple[str, ...]]
) -> None:
    made = shop(services=(QUEUE,), manifests=queue_manifests(claims))
    made.rollback_yaml()
    with volumes(made, "data"):
        made.deploy(TARGET)
        settled(made, f"statefulset/{QUEUE}")
        made.cluster.kubectl("delete", "statefulset", QUEUE, namespace=made.namespace)
        made.deploy(FAILED)
        settled(made, f"statefulset/{QUEUE}")
        product = Product(made)
        with untouched(made.cluster, made.namespace):
            said = product.run(code=3)
        assert f"[--accept recreate:StatefulSet/{QUEUE}]" in said_by(said)
        assert "updates to statefulset spec for fields other than" in said_by(said)
        kept = {c["metadata"]["uid"] for c in made.cluster.get("pvc", namespace=made.namespace)["items"]}

        mark = made.cluster.audit_mark()
        with ready_pods(made, QUEUE) as seen:
            product.run(f"--accept=recreate:StatefulSet/{QUEUE}")
            settled(made, f"statefulset/{QUEUE}")
        assert min(seen.counts) == 1, f"one pod is Ready at every moment, and one goes at a time: {seen.counts}"
        made.cluster.kubectl("delete", "pod", f"{QUEUE}-last", "--now", namespace=made.namespace)
        assert made.running_digests()[QUEUE] == {made.digests[TARGET][QUEUE]}
        left = {c["metadata"]["uid"] for c in made.cluster.get("pvc", namespace=made.namespace)["items"]}
        assert kept <= left, "every claim is still there"
        pods = [
            (w["verb"], w["objectRef"]["name"])
            for w in made.cluster.writes(mark, namespace=made.namespace)
            if w["objectRef"]["resource"] == "pods" and w["verb"] in ("create", "delete")
            and not w["objectRef"].get("subresource") and "kubelet" not in w["user"]["username"]
            and "node" not in w["user"]["username"]
        ]  # fmt: skip
        gone = [name for verb, name in pods if verb == "delete" and name != f"{QUEUE}-last"]
        assert sorted(gone) == [f"{QUEUE}-0", f"{QUEUE}-1"], "each pod is replaced once"
        assert product.run().last_line.startswith("Nothing to do")


def test_claims_that_would_go_with_it_are_refused_even_if_accepted(shop: ShopFactory) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    made = shop(
        services=(QUEUE,),
        manifests=queue_manifests({FAILED: ("data",)}, persistentVolumeClaimRetentionPolicy=policy),
    )
    made.rollback_yaml()
    with volumes(made, "data"):
        made.deploy(TARGET)
        made.cluster.kubectl("delete", "statefulset", QUEUE, namespace=made.namespace)
        made.deploy(FAILED)
        settled(made, f"statefulset/{QUEUE}")
        product = Product(made)
        with untouched(made.cluster, made.namespace):
            said = product.run(f"--accept=recreate:StatefulSet/{QUEUE}", code=3)
        assert "claims would go" in said_by(said)


def shop_manifests(*, immutable: bool = False, headless: str = "") -> Any:
    def manifests(shop: Shop, release: str) -> dict[str, str]:
        config = shapes.config_map("common-config", {"LEVEL": release}) | ({"immutable": True} if immutable else {})
        source = {"configMapKeyRef": {"name": "common-config", "key": "LEVEL"}}  # what it serves is what it read
        read = {"env": [{"name": "VERSION", "valueFrom": source}]}
        pods = shapes.template(USER, shapes.container(shop, USER, **read))
        service = shapes.service(USER, **({"clusterIP": "None"} if release == headless else {}))
        deployment = shapes.workload("Deployment", USER, pods)
        return {SHARED: shapes.file(config), f"k8s/{USER}/all.yaml": shapes.file(deployment, service)}

    return manifests


def test_an_immutable_config_map_is_made_again_and_the_pods_read_the_old_data(shop: ShopFactory) -> None:
    made = shop(services=(USER,), manifests=shop_manifests(immutable=True))
    made.rollback_yaml()
    made.deploy(TARGET)
    made.wait_ready()
    made.cluster.kubectl("delete", "configmap", "common-config", namespace=made.namespace)
    made.deploy(FAILED)
    made.cluster.kubectl("rollout", "restart", f"deployment/{USER}", namespace=made.namespace)
    settled(made, f"deployment/{USER}")
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        assert "[--accept recreate:ConfigMap/common-config]" in said_by(product.run(code=3))
    product.run("--accept=recreate:ConfigMap/common-config")
    settled(made, f"deployment/{USER}")
    assert made.served(USER, path="/") == TARGET
    assert made.cluster.get("configmap", "common-config", namespace=made.namespace)["data"] == {"LEVEL": TARGET}


@pytest.mark.parametrize("headless", [FAILED, TARGET])
def test_a_service_between_headless_and_normal_is_made_again(shop: ShopFactory, headless: str) -> None:
    made = shop(services=(USER,), manifests=shop_manifests(headless=headless))
    made.rollback_yaml()
    made.deploy(TARGET)
    made.cluster.kubectl("delete", "service", USER, namespace=made.namespace)
    made.deploy(FAILED)
    made.cluster.kubectl("rollout", "restart", f"deployment/{USER}", namespace=made.namespace)
    made.wait_ready()
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        said = product.run(code=3)
    assert f"[--accept recreate:Service/{USER}]" in said_by(said)
    product.run(f"--accept=recreate:Service/{USER}")
    address = made.cluster.get("service", USER, namespace=made.namespace)["spec"]["clusterIP"]
    assert (address == "None") is (headless == TARGET)
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)


def test_a_service_that_the_failed_release_removed_comes_back_with_any_address(shop: ShopFactory) -> None:
    def manifests(shop: Shop, release: str) -> dict[str, str]:
        files = shop_manifests()(shop, release)
        if release == TARGET:
            files[f"k8s/{USER}/admin.yaml"] = shapes.file(shapes.service("user-admin", type="NodePort"))
        return files

    made = shop(services=(USER,), manifests=manifests)
    made.rollback_yaml()
    made.deploy(TARGET)
    made.cluster.kubectl("delete", "service", "user-admin", namespace=made.namespace)
    made.deploy(FAILED)
    made.cluster.kubectl("rollout", "restart", f"deployment/{USER}", namespace=made.namespace)
    made.wait_ready()
    product = Product(made)
    product.run()
    assert made.cluster.get("service", "user-admin", namespace=made.namespace)["spec"]["type"] == "NodePort"
    assert product.run().last_line.startswith("Nothing to do")


def other_selector(**spec: Any) -> Any:
    """The failed release selects by one more label, or by another one."""

    def manifests(shop: Shop, release: str) -> dict[str, str]:
        labels = {"app": USER, "tier": "new" if release == FAILED else "old"}
        pods = shapes.template(USER, shapes.container(shop, USER, **level(release)), labels=labels)
        made = shapes.workload(spec.get("kind", "Deployment"), USER, pods, **spec.get("spec", {}))
        chosen = spec["selectors"][release == FAILED]
        made["spec"]["selector"] = {"matchLabels": {k: labels[k] for k in chosen}}
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"})),
            f"k8s/{USER}/all.yaml": shapes.file(made, shapes.service(USER)),
        }

    return manifests


BY_BOTH, BY_APP = ("app", "tier"), ("app",)
DEPLOYMENT, DAEMON_SET = {"kind": "Deployment", "spec": {"replicas": 2}}, {"kind": "DaemonSet"}
SURGE = {"kind": "DaemonSet", "spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}
RECREATE = {"kind": "Deployment", "spec": {"replicas": 2, "strategy": {"type": "Recreate"}}}


@pytest.mark.parametrize(
    ("how", "selectors", "least"),
    [
        (DEPLOYMENT, (BY_BOTH, BY_BOTH), 2),
        (DEPLOYMENT, (BY_BOTH, BY_APP), 2),
        (DEPLOYMENT, (BY_APP, BY_BOTH), 1),
        (SURGE, (BY_BOTH, BY_BOTH), 1),
        (DAEMON_SET, (BY_BOTH, BY_BOTH), 0),
        (RECREATE, (BY_BOTH, BY_BOTH), 0),
    ],
    ids=["another label", "a label fewer", "a label more", "a DaemonSet with surge", "a DaemonSet", "Recreate"],
)
def test_a_changed_selector_is_made_again_and_a_pod_is_ready_throughout(
    shop: ShopFactory, how: dict[str, Any], selectors: Any, least: int
) -> None:
    kind = how["kind"]
    made = shop(services=(USER,), manifests=other_selector(**how, selectors=selectors))
    made.rollback_yaml()
    made.deploy(TARGET)
    settled(made, f"{kind.lower()}/{USER}")
    made.cluster.kubectl("delete", kind.lower(), USER, namespace=made.namespace)
    made.cluster.kubectl("wait", "--for=delete", "pods", f"--selector=app={USER}", namespace=made.namespace)
    made.deploy(FAILED)
    settled(made, f"{kind.lower()}/{USER}")
    product = Product(made)
    with untouched(made.cluster, made.namespace):
        said = product.run(code=3)
    assert f"[--accept recreate:{kind}/{USER}]" in said_by(said)
    with ready_pods(made, USER) as seen:
        product.run(f"--accept=recreate:{kind}/{USER}")
    assert min(seen.counts) >= least if least else min(seen.counts) == 0, seen.counts
    made.cluster.kubectl("delete", "pod", f"{USER}-last", "--now", namespace=made.namespace)
    made.cluster.kubectl("wait", "--for=delete", "pods", "--selector=tier=new", namespace=made.namespace)
    assert made.running_digests()[USER] == {made.digests[TARGET][USER]}
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)


def test_a_changed_selector_is_undone_as_it_was_done(shop: ShopFactory) -> None:
    made = shop(services=(USER,), manifests=other_selector(**DEPLOYMENT, selectors=(BY_BOTH, BY_BOTH)))
    made.rollback_yaml()
    made.deploy(TARGET)
    made.cluster.kubectl("delete", "deployment", USER, namespace=made.namespace)
    made.deploy(FAILED)
    settled(made, f"deployment/{USER}")
    before = made.cluster.get("deployment", USER, namespace=made.namespace)["spec"]["selector"]
    product = Product(made)
    product.run(f"--accept=recreate:Deployment/{USER}")
    run = product.latest.name
    with ready_pods(made, USER) as seen:
        product("undo", run, "--yes", f"--accept=recreate:Deployment/{USER}")
    assert min(seen.counts) >= 2
    assert made.cluster.get("deployment", USER, namespace=made.namespace)["spec"]["selector"] == before
    made.cluster.kubectl("delete", "pod", f"{USER}-last", "--now", namespace=made.namespace)
    sets = made.cluster.get("replicasets", namespace=made.namespace)["items"]
    assert [s for s in sets if not s["metadata"].get("ownerReferences")] == []
