"""Shops that deploy in different ways, and which image comes back: the files are believed as far as they explain it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster import images, shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Manifests, Shop, shop_manifests
from tests.cluster.steps import live

SERVICE = "user-service"
BUILDS = {"v1.0.0": "57", "v1.1.0": "58", "v1.2.0": "59"}
BEHIND = {"v1.0.0": "0.9.0", "v1.1.0": "1.0.0", "v1.2.0": "1.1.0"}  # images have numbers of their own


def with_image(tag: Callable[[str], str], *, alike: bool = False) -> Manifests:
    """Manifests whose image has this tag at a release. ``alike``: nothing else tells the releases apart."""

    def manifests(shop: Shop, release: str) -> dict[str, str]:
        files = shop_manifests(shop, "v1.1.0" if alike else release)
        return {path: text.replace(":prod  #", f":{tag(release)}  #") for path, text in files.items()}

    return manifests


def push(shop: Shop, tag: str, version: str) -> None:
    """An image that answers with this version, in the registry and on the node."""
    images.push(shop.cluster.registry_url, f"{shop.organization}/{SERVICE}", tag, "good", version)
    shop.cluster.pull(shop.image(SERVICE, tag))


def deploy(shop: Shop, release: str, *, set_image: str = "") -> None:
    """What the job does: apply, and set the image where it does."""
    shop.cluster.apply(shop.manifests_at(release), namespace=shop.namespace)
    if set_image:
        image = f"{SERVICE}={shop.image(SERVICE, set_image)}"
        shop.cluster.kubectl("set", "image", f"deployment/{SERVICE}", image, namespace=shop.namespace)
    shop.wait_ready()


def made(shop: ShopFactory, manifests: Manifests) -> tuple[Shop, Product]:
    one = shop(services=(SERVICE,), manifests=manifests)
    one.rollback_yaml()
    return one, Product(one)


def build_number_shop(shop: ShopFactory, tag: str, *, record: bool = False) -> tuple[Shop, Product]:
    """The manifests name one tag at every release, and the job sets the build's number."""
    one, product = made(shop, with_image(lambda _: tag))
    push(one, tag, tag)
    for release, build in BUILDS.items():
        push(one, build, build)
        deploy(one, release, set_image=build)
        if record:
            product("record-release", "--environment=prod", f"--release={release}")
    return one, product


@pytest.mark.parametrize("tag", ["v8", "latest"])
def test_what_a_manifest_names_and_the_job_overrides_is_never_written_by_itself(shop: ShopFactory, tag: str) -> None:
    one, product = build_number_shop(shop, tag)
    ended = product.run(code=3)
    assert one.served(SERVICE) == "59"
    assert "image-from:revision" in str(ended)
    assert one.image(SERVICE, "58") in str(ended)  # what the older revisions ran
    product.run("--accept=image-from:revision")
    assert one.served(SERVICE) == "58"


def test_by_the_ledger_the_build_that_ran_comes_back(shop: ShopFactory) -> None:
    one, product = build_number_shop(shop, "v8", record=True)
    product.run()
    assert one.served(SERVICE) == "58"


def test_the_same_digest_under_the_name_that_the_job_gave_it_is_what_was_recorded(shop: ShopFactory) -> None:
    one, product = made(shop, with_image(lambda _: "v8"))
    push(one, "v8", "v8")
    push(one, "58", "58")
    deploy(one, "v1.1.0", set_image="58")
    product("record-release", "--environment=prod", "--release=v1.1.0")
    product("verify", "--environment=prod", "--to=v1.1.0")
    assert "Nothing to do" in product.run().last_line


@pytest.mark.parametrize("failed", ["v1.2.0", ""])
def test_an_everyday_shop_goes_back_twice_though_nothing_knows_its_failed_release(
    shop: ShopFactory, failed: str
) -> None:
    one, product = made(shop, with_image(lambda release: release))
    for release in ("v1.0.0", "v1.1.0", "v1.2.0"):
        push(one, release, release)
    deploy(one, "v1.0.0")
    deploy(one, "v1.1.0")
    if failed:
        deploy(one, failed)
    else:
        push(one, "hotfix", "hotfix")
        text = one.manifests_at("v1.2.0").replace(":v1.2.0  #", ":hotfix  #")
        one.cluster.apply(text, namespace=one.namespace)
        one.wait_ready()
    for release in ("v1.1.0", "v1.0.0"):
        assert product.run(to=release).last_line.startswith("Done")
        one.wait_ready()  # until the old pods answer no more
        assert one.served(SERVICE) == release


def test_a_release_whose_images_have_numbers_of_their_own_gets_those(shop: ShopFactory) -> None:
    one, product = made(shop, with_image(BEHIND.__getitem__))
    for release, number in BEHIND.items():
        push(one, number, number)
        push(one, release, f"another product's {release}")
    deploy(one, "v1.1.0")
    deploy(one, "v1.2.0")
    product.run()
    assert one.served(SERVICE) == "1.0.0"


def test_a_tag_that_each_deploy_overwrites_and_nobody_named_is_no_proof(shop: ShopFactory) -> None:
    one, product = made(shop, with_image(lambda _: "1.0.0dev", alike=True))
    for release in ("v1.1.0", "v1.2.0"):
        push(one, "1.0.0dev", release)
        deploy(one, release)
        one.cluster.kubectl("rollout", "restart", f"deployment/{SERVICE}", namespace=one.namespace)
        one.wait_ready()
    assert one.served(SERVICE) == "v1.2.0"
    ended = product.run(code=3)
    assert "unproven-images" in str(ended)
    assert "images.mutable_tags" in str(ended)


def test_where_something_else_changes_such_a_tag_is_a_warning_above_the_question(shop: ShopFactory) -> None:
    one, product = made(shop, with_image(lambda _: "1.0.0dev"))
    for release in ("v1.1.0", "v1.2.0"):
        push(one, "1.0.0dev", release)
        deploy(one, release)
    assert "1.0.0dev" in " ".join(product.plan().data["warnings"])


def test_one_tag_for_all_and_no_release_tags_is_refused_and_never_resolved_now(shop: ShopFactory) -> None:
    one, product = made(shop, shop_manifests)
    for release in ("v1.1.0", "v1.2.0"):
        one.deploy(release, release_tags=False)
        one.wait_ready()
    product.run(code=3)
    assert one.served(SERVICE) == "v1.2.0"


@pytest.mark.parametrize("alike", [False, True], ids=["a tag of its own", "a tag that all releases have"])
def test_a_release_whose_image_is_not_there_is_named_and_what_it_brought_goes(shop: ShopFactory, alike: bool) -> None:
    def manifests(one: Shop, release: str) -> dict[str, str]:
        files = shop_manifests(one, release)
        if release != "v1.2.0":
            return files
        path = f"k8s/{SERVICE}/deployment.yaml"
        token = "        - {name: TOKEN, valueFrom: {secretKeyRef: {name: no-such, key: token}}}\n        envFrom:\n"
        fails = ("        envFrom:\n", token) if alike else (":prod  #", ":v1.2.0  #")
        job = shapes.job_spec(one, SERVICE, ["true"])
        cron = shapes.workload("CronJob", "cleaner", {}) | {
            "apiVersion": "batch/v1", "spec": {"schedule": "0 4 * * *", "jobTemplate": {"spec": job}}
        }  # fmt: skip
        deny = {
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"},
            "spec": {"podSelector": {"matchLabels": {"app": SERVICE}}, "policyTypes": ["Ingress"]},
        }  # fmt: skip
        return {**files, path: files[path].replace(*fails), f"k8s/{SERVICE}/own.yaml": shapes.file(cron, deny)}

    one, product = made(shop, manifests)
    one.deploy("v1.1.0")
    one.wait_ready()
    one.cluster.apply(one.manifests_at("v1.2.0"), namespace=one.namespace)
    one.wait_waiting(SERVICE)
    plan = product.plan()
    assert plan.data["current"]["release"] == "v1.2.0", plan.text
    assert plan.orphans == {"CronJob/cleaner": "delete", "NetworkPolicy/closed": "left"}
    ended = product.run()
    assert "NetworkPolicy/closed stays" in ended.last_line
    assert not live(one, "cronjobs")["items"]
    product("guard", "--environment=prod", "--release=v1.2.0", code=3)


def test_what_the_job_fills_in_is_not_overwritten_with_what_the_file_says(shop: ShopFactory) -> None:
    def manifests(one: Shop, release: str) -> dict[str, str]:
        files = shop_manifests(one, release)
        path = f"k8s/{SERVICE}/deployment.yaml"
        token = "        - {name: DB_HOST, value: '#{DB_HOST}#'}\n        envFrom:\n"
        settings = shapes.file(shapes.config_map("settings", {"limit": "%%LIMIT%%", "of": release}))
        filled = {path: files[path].replace("        envFrom:\n", token), f"k8s/{SERVICE}/settings.yaml": settings}
        return {**files, **filled}

    one, product = made(shop, manifests)
    for release in ("v1.1.0", "v1.2.0"):
        one.deploy(release)
        text = one.manifests_at(release).replace("#{DB_HOST}#", "db.prod").replace("%%LIMIT%%", "77")
        one.cluster.apply(text, namespace=one.namespace)
        one.wait_ready()
    refused = product.run(code=3)
    assert f"k8s/{SERVICE}/settings.yaml:" in str(refused)
    codes = (f"--accept=keep:Deployment/{SERVICE}", "--accept=keep:ConfigMap/settings")
    assert all(code.removeprefix("--accept=") in str(refused) for code in codes)
    product.run(*codes)
    env = live(one, "deployment", SERVICE)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert next(e["value"] for e in env if e["name"] == "DB_HOST") == "db.prod"
    assert live(one, "configmap", "settings")["data"] == {"limit": "77", "of": "v1.1.0"}
    assert one.served(SERVICE) == "v1.1.0"
