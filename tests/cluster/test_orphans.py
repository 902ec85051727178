"""What only the failed release had, on a real control plane: it goes where it began with that release, else it stays
and is named."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.cluster import shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import SHARED, Shop
from tests.cluster.steps import level, live

TARGET, FAILED = "v1.1.0", "v1.2.0"
SERVICES = ("user-service", "api")
API = "k8s/api/api.yaml"
OWN = ("Deployment/api", "Service/api", "ConfigMap/api-config")
CODE = "--accept=orphan:Deployment/api"


def user_service(shop: Shop, release: str) -> dict[str, str]:
    pods = shapes.template("user-service", shapes.container(shop, "user-service", **level(release)))
    return {
        SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"})),
        "k8s/user-service/all.yaml": shapes.file(
            shapes.workload("Deployment", "user-service", pods), shapes.service("user-service")
        ),
    }


def api(shop: Shop) -> str:
    reads = [{"configMapRef": {"name": "api-config"}}]
    pods = shapes.template("api", shapes.container(shop, "api", envFrom=reads))
    return shapes.file(
        shapes.config_map("api-config", {"LIMIT": "10"}),
        shapes.workload("Deployment", "api", pods),
        shapes.service("api"),
    )


def with_api(shop: Shop, release: str) -> dict[str, str]:
    """`api` stands in the manifests of v1.2.0 only."""
    files = user_service(shop, release)
    return {**files, API: api(shop)} if release == FAILED else files


def deployed(made: Shop, before: Callable[[], object] | None = None) -> Product:
    """v1.1.0; what somebody does with `api` meanwhile; then v1.2.0, and all of it is Ready."""
    made.rollback_yaml()
    made.deploy(TARGET, services=SERVICES if before else ("user-service",))
    made.wait_ready(("user-service",))
    if before:
        before()
    made.deploy(FAILED)
    if before:  # a template that stays the same pulls no new image
        made.cluster.kubectl("rollout", "restart", "deployment/api", namespace=made.namespace)
    made.wait_ready()
    return Product(made)


def stays(product: Product, *names: str, why: str) -> None:
    """Nothing is deleted, even with the code; each is named with the reason, in the plan and at the end."""
    made = product.shop
    plan = product.plan(CODE)
    assert plan.orphans == dict.fromkeys(names, "left"), plan.text
    reasons = {f"{o['kind']}/{o['name']}": o["why"] for o in plan.data["orphans"]}
    assert all(why in said for said in reasons.values()), reasons
    text = " ".join(plan.text.split())
    assert all(f"{name}: left, {reasons[name]}" in text for name in names), plan.text
    mark = made.cluster.audit_mark()
    ended = product.run(CODE)
    written = made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    assert [w["objectRef"]["name"] for w in written if w["verb"] == "delete"] == []
    assert all(name in ended.last_line for name in names), ended.last_line
    assert made.served("user-service") == TARGET
    assert made.served("api") == FAILED, "it serves as before"
    assert live(made, "configmap", "api-config")["data"] == {"LIMIT": "10"}


def retag(made: Shop, release: str, change: Callable[[], object], *paths: str) -> None:
    """Have the release's tag name a tree with a change more, at these paths."""
    date = made.git("log", "-1", "--format=%cI", release).strip()
    made.git("checkout", "--quiet", "--detach", release)
    change()
    if paths:
        made.git("add", "--all", "--", *paths)
    made.git("commit", "--quiet", "--message=again", date=date)
    made.git("tag", "--force", "--annotate", f"--message={release}", release, date=date)
    made.git("checkout", "--quiet", "--force", "master")


ELSEWHERE = {
    "moved file": "deploy/api.yaml",
    "renamed folder": "manifests/api/api.yaml",
    "template": "k8s/api/api.yaml.tmpl",
}


@pytest.mark.parametrize("path", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_the_target_has_in_another_file_stays(shop: ShopFactory, path: str) -> None:
    """By the times it could have begun with v1.2.0; that its manifest is older only its name tells."""

    def manifests(made: Shop, release: str) -> dict[str, str]:
        files = user_service(made, release)
        return {**files, (API if release == FAILED else path): api(made)}

    made = shop(services=SERVICES, manifests=manifests)
    retag(made, FAILED, (made.repo / path).unlink, path)
    stays(deployed(made), *OWN, why=f"{path} of v1.1.0 names it")


def test_what_stands_behind_a_link_of_the_target_is_put_back_and_stays(shop: ShopFactory) -> None:
    made = shop(services=SERVICES, manifests=with_api)

    def linked() -> None:
        (made.repo / "base").mkdir()
        (made.repo / "base" / "api.yaml").write_text(api(made))
        (made.repo / "k8s" / "api").symlink_to("../base")

    retag(made, TARGET, linked, "base", "k8s")
    # the lab's `git show` does not follow links; a checkout and `kubectl apply --filename=k8s/api` do
    product = deployed(made, lambda: made.cluster.apply(api(made), namespace=made.namespace))
    plan = product.plan()
    assert plan.orphans == {}
    assert {plan.changes[name] for name in OWN} <= {"update", "none"}
    uids = {kind: live(made, kind, "api")["metadata"]["uid"] for kind in ("deployment", "service")}
    product.run()
    made.wait_ready()
    assert {kind: live(made, kind, "api")["metadata"]["uid"] for kind in uids} == uids
    assert made.served_all() == {"user-service": TARGET, "api": TARGET}


@pytest.mark.parametrize("place", ["k8s/api", "vendor/api"])
def test_a_submodule_of_the_target_is_not_an_empty_folder(shop: ShopFactory, place: str) -> None:
    made = shop(services=SERVICES, manifests=with_api)

    def submodule() -> None:
        made.git("update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},{place}")
        (made.repo / place).mkdir(parents=True)

    retag(made, TARGET, submodule)
    product = deployed(made)
    if place == "vendor/api":
        stays(product, *OWN, why="vendor/api is a submodule")
        return
    refused = product.run(CODE, code=3)
    said = " ".join(refused.err.split())
    assert "k8s/api of v1.1.0 is a submodule" in said
    assert "services.ignore" in said
    assert made.served_all() == dict.fromkeys(SERVICES, FAILED)


def test_what_was_made_by_hand_and_then_put_into_git_stays(shop: ShopFactory) -> None:
    made = shop(services=SERVICES, manifests=with_api)

    def by_hand() -> None:
        made.cluster.kubectl("create", "--filename=-", input=api(made), namespace=made.namespace)

    stays(deployed(made, by_hand), *OWN, why="made it, not `kubectl apply`")


def test_what_was_applied_before_the_failed_release_was_made_stays(shop: ShopFactory) -> None:
    """With exactly the manifest that it has later: neither its fields nor who wrote them tell that it is older."""
    made = shop(services=SERVICES, manifests=with_api)

    def applied_and_then_committed() -> None:
        made.cluster.apply(api(made), namespace=made.namespace)
        made_at = int(time.time())
        while int(time.time()) == made_at:  # the API server counts in whole seconds
            time.sleep(0.05)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made.commit({}, "the same once more", date=now)
        made.git("tag", "--force", "--annotate", f"--message={FAILED}", FAILED, date=now)

    stays(deployed(made, applied_and_then_committed), *OWN, why="it is older than v1.2.0")


def test_what_was_there_when_the_target_was_recorded_stays(shop: ShopFactory) -> None:
    made = shop(services=SERVICES, manifests=with_api)

    def applied_and_then_recorded() -> None:
        made.cluster.apply(api(made), namespace=made.namespace)
        made_at = int(time.time())
        while int(time.time()) == made_at:
            time.sleep(0.05)
        Product(made)("record-release", "--environment=prod", f"--release={TARGET}")

    stays(deployed(made, applied_and_then_recorded), *OWN, why="v1.1.0 was recorded")


def test_what_began_with_the_failed_release_goes_when_that_is_accepted_and_is_named_when_not(shop: ShopFactory) -> None:
    made = shop(services=SERVICES, manifests=with_api)
    product = deployed(made)
    plan = product.plan()
    assert plan.orphans == dict.fromkeys(OWN, "left"), plan.text
    text = " ".join(plan.text.split())
    assert "Deployment/api: left, pods of it are Ready: it goes only with --accept orphan:Deployment/api" in text
    assert "Service/api: left, Deployment/api stays and needs it" in text
    assert product.plan(CODE).orphans == dict.fromkeys(OWN, "delete")
    product.run(CODE)
    found = live(made, "deployments,services,configmaps")["items"]
    assert not [o for o in found if o["metadata"]["name"] in ("api", "api-config")]
    assert made.served("user-service") == TARGET


def test_what_does_not_run_goes_without_a_code(shop: ShopFactory) -> None:
    """The commonest one: the new service never came up."""
    made = shop(services=SERVICES, manifests=with_api)
    made.rollback_yaml()
    made.deploy(TARGET, services=("user-service",))
    made.wait_ready(("user-service",))
    made.deploy(FAILED, services=("user-service",))
    made.deploy(FAILED, "crash", services=("api",))
    made.wait_waiting("api")
    product = Product(made)
    plan = product.plan()
    assert plan.orphans == dict.fromkeys(OWN, "delete"), plan.text
    ended = product.run()
    assert " stay" not in ended.last_line
    assert [d["metadata"]["name"] for d in live(made, "deployments")["items"]] == ["user-service"]
