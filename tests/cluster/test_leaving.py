"""Objects on their way out, as the real API server and its controllers hold them (D15)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, live, patch, settled
from tests.cluster.test_made_again import claim, said_by
from tests.cluster.untouched import untouched

TARGET, FAILED = "v1.1.0", "v1.2.0"
WEB = "web"


def with_claim(kind: str) -> Any:
    """One pod with a claim: by a Deployment that ends it before the next one starts, or by a StatefulSet's template."""

    def manifests(shop: Shop, release: str) -> dict[str, str]:
        volumes: dict[str, Any] = {}
        spec: dict[str, Any] = {"volumeClaimTemplates": [claim("data")]}
        if kind == "Deployment":
            volumes = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart-data"}}]}
            spec = {"strategy": {"type": "Recreate"}}
        mounts = [{"name": "data", "mountPath": "/data"}]
        pods = shapes.template(WEB, shapes.container(shop, WEB, volumeMounts=mounts, **level(release)), **volumes)
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"})),
            f"k8s/{WEB}/all.yaml": shapes.file(shapes.workload(kind, WEB, pods, **spec), shapes.service(WEB)),
        }

    return manifests


@contextmanager
def volume(shop: Shop, name: str) -> Iterator[None]:
    """The claim's volume, on the node."""
    called = f"{shop.namespace}-{name}"
    made = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": called},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": shop.namespace, "name": name},
            "hostPath": {"path": f"/tmp/{called}", "type": "DirectoryOrCreate"},
        },
    }
    shop.cluster.apply(shapes.file(made), namespace=shop.namespace)
    try:
        yield
    finally:
        shop.cluster.kubectl("delete", "persistentvolume", "--wait=false", called)


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "cart-data"), ("StatefulSet", "data-web-0")])
def test_a_claim_that_goes_with_the_next_pod_keeps_that_pod(shop: ShopFactory, kind: str, name: str) -> None:
    made = shop(services=(WEB,), manifests=with_claim(kind))
    made.rollback_yaml()
    with volume(made, name):
        if kind == "Deployment":
            given = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim(name)}
            made.cluster.apply(shapes.file(given), namespace=made.namespace)
        for release in (TARGET, FAILED):
            made.deploy(release)
            settled(made, f"{kind.lower()}/{WEB}")
        product = Product(made)
        made.cluster.kubectl("delete", "pvc", name, "--wait=false", namespace=made.namespace)
        with untouched(made.cluster, made.namespace):
            said = said_by(product.run(code=3))
        assert f"PersistentVolumeClaim {name} is on its way out" in said
        assert "Its data goes with the next pod" in said
        assert f"[--accept missing-reference:{name}]" in said
        assert made.running_digests()[WEB] == {made.digests[FAILED][WEB]}
        assert live(made, "pvc", name)["metadata"]["deletionTimestamp"], "it is there as long as its pod is"


@pytest.mark.parametrize("what", [f"deployment/{WEB}", f"service/{WEB}", "configmap/common-config"])
def test_what_somebody_deletes_is_not_written_to(shop: ShopFactory, what: str) -> None:
    def manifests(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(WEB, shapes.container(shop, WEB, **level(release)))
        service = shapes.service(WEB, sessionAffinity="ClientIP" if release == TARGET else "None")
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": release})),
            f"k8s/{WEB}/all.yaml": shapes.file(shapes.workload("Deployment", WEB, pods), service),
        }

    made = shop(services=(WEB,), manifests=manifests)
    made.rollback_yaml()
    for release in (TARGET, FAILED):
        made.deploy(release)
        settled(made, f"deployment/{WEB}")
    product = Product(made)
    patch(made, what, {"metadata": {"finalizers": ["example.com/hold"]}})
    made.cluster.kubectl("delete", what, "--wait=false", "--cascade=orphan", namespace=made.namespace)
    try:
        with untouched(made.cluster, made.namespace):
            said = said_by(product.run(code=3))
        assert "is on its way out: it was deleted at" in said
        assert "example.com/hold still holds it" in said
        assert live(made, what)["metadata"]["uid"], "it is there"
    finally:
        patch(made, what, {"metadata": {"finalizers": None}})


def test_a_patch_that_comes_after_the_deletion_changes_nothing(shop: ShopFactory) -> None:
    """The plan is approved, the ConfigMap is deleted, the plan is applied."""

    def manifests(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(WEB, shapes.container(shop, WEB, **level(release)))
        return {
            SHARED: shapes.file(shapes.config_map("common-config", {"A": release})),
            f"k8s/{WEB}/all.yaml": shapes.file(shapes.workload("Deployment", WEB, pods)),
        }

    made = shop(services=(WEB,), manifests=manifests)
    made.rollback_yaml()
    for release in (TARGET, FAILED):
        made.deploy(release)
        settled(made, f"deployment/{WEB}")
    product = Product(made)
    for stage in ("detect", "incident", "resolve", "images", "rewrite", "preflight", "approve"):
        product("stage", stage, "--environment=prod", f"--to={TARGET}", "--yes")
    patch(made, "configmap/common-config", {"metadata": {"finalizers": ["example.com/hold"]}})
    made.cluster.kubectl("delete", "configmap/common-config", "--wait=false", namespace=made.namespace)
    try:
        with untouched(made.cluster, made.namespace):
            said = said_by(product("stage", "apply", "--environment=prod", f"--to={TARGET}", "--yes", code=7))
        assert "ConfigMap/common-config: deleted since the plan was made" in said
    finally:
        patch(made, "configmap/common-config", {"metadata": {"finalizers": None}})
