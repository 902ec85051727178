"""What the API server and kubectl compare by its bytes: the tests of a patch, and the last-applied annotation."""

from typing import Any

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import live, settled, unchanged

NAME, PAGE = "user-service", "order-service"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ODD = 'mysql://db:3306/shop?ssl=false&tz=UTC <año> \U0001f600 \u2028\u2029 \x7f \x85 "q" \\ \t\r\n\x01/'


def odd_manifests(odd: str, shop: Shop, release: str) -> dict[str, str]:
    """``odd`` in env, command and annotations, in a ConfigMap, and in what traffic goes by."""
    main = shapes.container(
        shop, NAME, env=[*shapes.variable("RELEASE", release), *shapes.variable("ODD", odd)],
        lifecycle={"postStart": {"exec": {"command": ["true", odd]}}},
    )  # fmt: skip
    pods = shapes.template(NAME, main)
    pods["metadata"]["annotations"] = {"example.com/odd.pod": odd}
    backend = {"service": {"name": NAME, "port": {"number": 80}}}
    paths = [{"path": "/a&b/año", "pathType": "Prefix", "backend": backend}]
    ingress = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{"http": {"paths": paths}}]},
    }  # fmt: skip
    found = [shapes.workload("Deployment", NAME, pods), shapes.service(NAME), ingress]
    for one in found:
        one["metadata"]["annotations"] = {"example.com/odd": odd, "example.com/of": f"{release}&{odd}"}
        one["metadata"]["labels"] = {**one["metadata"].get("labels", {}), "release": release}
    page = shapes.template(PAGE, shapes.container(shop, PAGE))
    return {
        SHARED: shapes.file(shapes.config_map("common-config", {"odd": f"{release} {odd}", "same": odd})),
        f"k8s/{NAME}/all.yaml": shapes.file(*found),
        f"k8s/{PAGE}/all.yaml": shapes.file(shapes.workload("Deployment", PAGE, pods=page), shapes.service(PAGE)),
    }


def says(shop: Shop, *, image: str = "") -> dict[str, Any]:
    """What the objects say, and the last-applied annotation of each, where ``image`` stands for its tag."""
    found = {}
    for what in (f"deployment/{NAME}", f"service/{NAME}", "ingress/web", "configmap/common-config"):
        body = live(shop, what)
        pods = (body.get("spec") or {}).get("template") or {}
        notes = body["metadata"]["annotations"]
        found[what] = {
            "notes": {k: v for k, v in notes.items() if k.startswith("example.com/")},
            "pods": [(pods.get("metadata") or {}).get("annotations")] if pods else [],
            "main": [
                {k: c.get(k) for k in ("env", "lifecycle")} for c in (pods.get("spec") or {}).get("containers") or []
            ],
            "rules": (body.get("spec") or {}).get("rules"), "selector": (body.get("spec") or {}).get("selector"),
            "data": body.get("data"), "applied": notes[LAST_APPLIED].replace(f'"{image}"', f'"{shop.image(NAME)}"'),
        }  # fmt: skip
    return found


@pytest.mark.parametrize("odd", [ODD, "\b and \f, which versions of Go write otherwise"], ids=["odd", "go-differs"])
def test_any_character_goes_back_with_traffic_closed_and_is_undone(shop: ShopFactory, odd: str) -> None:
    made = shop(services=(NAME, PAGE), manifests=lambda shop, release: odd_manifests(odd, shop, release))
    states = {}
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        settled(made, f"deployment/{NAME}", f"deployment/{PAGE}")
        states[release] = says(made)
    isolation = {"mode": "ingress", "targets": ["web"], "drain": "1s", "maintenance": {"service": PAGE}}
    where = {"context": "test", "namespace": made.namespace, "isolation": isolation}
    made.rollback_yaml({"environments": {"prod": where}})
    product = Product(made)
    product.run("--isolate")
    assert says(made, image=f"{made.image(NAME, 'v1.1.0')}@{made.digests['v1.1.0'][NAME]}") == states["v1.1.0"]
    unchanged(made, product)
    product("undo", product.latest.name, "--yes")
    assert says(made) == states["v1.2.0"]
    said = made.cluster.apply(made.manifests_at("v1.2.0"), namespace=made.namespace).splitlines()
    moved = {f"deployment.apps/{name} configured" for name in (NAME, PAGE)}  # from the digest to the tag again
    assert {line for line in said if not line.endswith(" unchanged")} <= moved


# -- undo, and the team's next apply


def plain(shop: Shop, release: str) -> dict[str, str]:
    """No replicas; a ConfigMap whose value changes; v1.2.0 has an object more, which a rollback deletes."""
    main = shapes.container(shop, NAME, env=shapes.variable("RELEASE", release))
    found = [shapes.workload("Deployment", NAME, shapes.template(NAME, main)), shapes.service(NAME)]
    files = {
        SHARED: shapes.file(shapes.config_map("common-config", {"limit": release})),
        f"k8s/{NAME}/all.yaml": shapes.file(*found),
        "k8s/apart.yaml": shapes.file(shapes.config_map("apart", {"limit": release})),
    }
    if release == "v1.2.0":
        files[f"k8s/{NAME}/more.yaml"] = shapes.file(shapes.config_map("added", {"limit": release}))
    return files


def others(shop: Shop) -> None:
    """What people and programs set beside the manifests."""
    kubectl, space = shop.cluster.kubectl, shop.namespace
    kubectl("scale", f"deployment/{NAME}", "--replicas=3", namespace=space)
    kubectl("set", "env", f"deployment/{NAME}", "BY_HAND=yes", namespace=space)
    for name in ("common-config", "added", "apart"):
        kubectl("patch", f"configmap/{name}", "--type=merge", '--patch={"data": {"other": "theirs"}}', namespace=space)
    settled(shop, f"deployment/{NAME}")


def owned(shop: Shop) -> dict[str, Any]:
    """What is live, without what stands for the same image."""
    deployment = live(shop, f"deployment/{NAME}")
    (main,) = deployment["spec"]["template"]["spec"]["containers"]
    return {
        "replicas": deployment["spec"]["replicas"], "env": main["env"],
        **{name: live(shop, f"configmap/{name}")["data"] for name in ("common-config", "added", "apart")},
    }  # fmt: skip


def annotations(shop: Shop) -> dict[str, Any]:
    what = (f"deployment/{NAME}", f"service/{NAME}", "configmap/common-config", "configmap/added", "configmap/apart")
    return {one: (live(shop, one)["metadata"].get("annotations") or {}).get(LAST_APPLIED) for one in what}


def test_after_an_undo_the_next_apply_takes_nothing_back_that_others_own(shop: ShopFactory) -> None:
    made = shop(services=(NAME,), manifests=plain)
    made.rollback_yaml({"manifests": {"path": "k8s/{service}", "shared": [SHARED, "k8s/apart.yaml"]}})
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        apart = made.git("show", f"{release}:k8s/apart.yaml")  # by server-side apply: it has no annotation
        made.cluster.kubectl("apply", "--server-side", "--filename=-", namespace=made.namespace, input=apart)
        settled(made, f"deployment/{NAME}")
    others(made)
    before, notes = owned(made), annotations(made)
    assert (before["replicas"], notes["configmap/apart"]) == (3, None)
    product = Product(made)
    product.run()
    assert "added" not in live_names(made)
    product("undo", product.latest.name, "--yes")
    assert owned(made) == before
    assert annotations(made) == notes, "each as it was, to the byte; none where there was none"
    made.cluster.apply(made.manifests_at("v1.2.0"), namespace=made.namespace)
    assert owned(made) == before, "as the same apply leaves it without a rollback and an undo"


def live_names(shop: Shop) -> list[str]:
    return [c["metadata"]["name"] for c in live(shop, "configmaps")["items"]]
