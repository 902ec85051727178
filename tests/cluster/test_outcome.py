"""The outcome that the product is for: what ran before v1.2.0 runs again, whichever way v1.2.0 failed.

Each way is gone through once, and what was seen on it is kept; the tests ask about that.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Plan, Product
from tests.cluster.shop import SERVICES, Shop
from tests.command_line import Ended

TARGET, FAILED = "v1.1.0", "v1.2.0"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
STAMPS = ("kubernetes.io/change-cause", "rollback-lib/run", "rollback-lib/release", "rollback-lib/template")
KINDS = "deployments,services,configmaps"


def objects(shop: Shop) -> dict[str, Any]:
    """Everything that the manifests describe, status aside, with who owns which field."""
    found = shop.cluster.get(KINDS, "--show-managed-fields", namespace=shop.namespace)["items"]
    return {f"{o['kind']}/{o['metadata']['name']}": {k: v for k, v in o.items() if k != "status"} for o in found}


def asked_for(found: dict[str, Any]) -> dict[str, Any]:
    """What people asked for: without the book-keeping of apply, and what only says that there was a rollback."""
    book = (LAST_APPLIED, *STAMPS)
    return {
        name: {
            **{key: o.get(key) for key in ("spec", "data")},
            "labels": o["metadata"].get("labels"),
            "annotations": {k: v for k, v in o["metadata"].get("annotations", {}).items() if k not in book},
        }
        for name, o in found.items()
    }


def replica_sets(shop: Shop) -> dict[str, set[str]]:
    return {s: {r["metadata"]["name"] for r in shop.replica_sets(s)} for s in shop.services}


def names(shop: Shop, what: str) -> dict[str, set[str]]:
    """Names of the containers, or of their variables, in each service's live template."""
    found = {}
    for service in shop.services:
        template = shop.cluster.get("deployment", service, namespace=shop.namespace)["spec"]["template"]["spec"]
        found[service] = {
            name
            for each in template["containers"]
            for name in ([each["name"]] if what == "containers" else [e["name"] for e in each.get("env", [])])
        }
    return found


@dataclass
class Story:
    """One way, from the failure to the team's next deploy."""

    shop: Shop
    plan: Plan
    sets_before: dict[str, set[str]]
    run: Ended
    writes: list[dict[str, Any]]
    served: dict[str, str]
    ready: dict[str, Any]
    digests: dict[str, set[str]]
    sets_after: dict[str, set[str]]
    variables: dict[str, set[str]]
    containers: dict[str, set[str]]
    restored: dict[str, Any]
    again: Ended
    writes_again: list[dict[str, Any]]
    applied: str
    after_client_side: dict[str, Any]
    server_side: list[Any]
    after_server_side: list[dict[str, Any]]
    sets_at_the_end: dict[str, set[str]]
    next_deploy: dict[str, str]


@pytest.fixture(scope="module", params=("good", "crash"), ids=("ready-but-wrong", "crash-loop"))
def story(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    with cluster.namespace() as namespace:
        shop = Shop(cluster, namespace, tmp_path_factory.mktemp("shop"))
        shop.write_repo()
        shop.rollback_yaml()
        yield walk(shop, request.param)


def walk(shop: Shop, behaviour: str) -> Story:
    cluster, namespace = shop.cluster, shop.namespace
    shop.deploy(TARGET)
    shop.wait_ready()
    shop.deploy(FAILED, behaviour)
    shop.set_env({"SET_BY_HAND": "on"}, services=("order-service", "user-service"))
    sidecar = {
        "name": "added-by-hand",
        "image": shop.image("proxy-client", TARGET),
        "env": [{"name": "SERVER_PORT", "value": "9090"}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
    cluster.kubectl("patch", "deployment/user-service", f"--patch={json.dumps(patch)}", namespace=namespace)
    if behaviour == "good":
        shop.wait_ready()
        assert Counter(shop.served_all().values()) == {FAILED: len(SERVICES)}
    else:
        shop.wait_waiting("shipping-service")
        assert Counter(shop.served_all().values()) == {TARGET: len(SERVICES)}

    product = Product(shop)
    sets_before = replica_sets(shop)
    plan = product.plan()
    mark = cluster.audit_mark()
    run = product.run("--reason=it is wrong")
    writes = cluster.writes(mark, user=OPERATOR, namespace=namespace)
    ready = {d["metadata"]["name"]: d["status"] for d in cluster.get("deployments", namespace=namespace)["items"]}
    shop.wait_ready()  # pods of the failed release may still be on their way out, and kube-proxy behind
    seen = {
        "served": shop.served_all(), "digests": shop.running_digests(), "sets_after": replica_sets(shop),
        "variables": names(shop, "variables"), "containers": names(shop, "containers"),
    }  # fmt: skip
    manifests = product.manifests

    restored = objects(shop)
    mark = cluster.audit_mark()
    again = product.run()
    writes_again = cluster.writes(mark, user=OPERATOR, namespace=namespace)
    applied = cluster.kubectl("apply", "--recursive", f"--filename={manifests}", namespace=namespace).stdout
    after_client_side = objects(shop)
    server_side, after_server_side = [], []
    for _ in range(2):
        arguments = ("apply", "--server-side", "--recursive", f"--filename={manifests}")
        server_side.append(cluster.kubectl(*arguments, namespace=namespace, check=False))
        after_server_side.append(objects(shop))
    sets_at_the_end = replica_sets(shop)

    some = ("order-service", "user-service")
    shop.deploy(FAILED, "good", services=some, version="v1.2.0 mended")
    shop.wait_ready(some)
    next_deploy = {service: shop.served(service) for service in some}
    return Story(
        shop=shop, plan=plan, sets_before=sets_before, run=run, writes=writes, ready=ready, restored=restored,
        again=again, writes_again=writes_again, applied=applied, after_client_side=after_client_side,
        server_side=server_side, after_server_side=after_server_side, sets_at_the_end=sets_at_the_end,
        next_deploy=next_deploy, **seen,
    )  # fmt: skip


def test_every_service_answers_as_the_target(story: Story) -> None:
    assert Counter(story.served.values()) == {TARGET: 10}


def test_all_are_ready_when_the_run_ends(story: Story) -> None:
    assert {
        name: (s.get("readyReplicas"), s.get("updatedReplicas")) for name, s in story.ready.items()
    } == dict.fromkeys(SERVICES, (1, 1))
    assert "10 of 10 ready" in story.run.last_line


def test_the_pods_run_the_digests_of_the_target(story: Story) -> None:
    assert story.digests == {service: {digest} for service, digest in story.shop.digests[TARGET].items()}


def test_nothing_of_the_failed_release_or_made_by_hand_is_left(story: Story) -> None:
    expected = {"SPRING_PROFILES_ACTIVE", "SPRING_APPLICATION_NAME", "LOG_LEVEL"}
    assert story.variables == dict.fromkeys(SERVICES, expected)
    assert story.containers == {service: {service} for service in SERVICES}


def test_the_plan_names_what_was_made_by_hand_and_nothing_else_as_left_over(story: Story) -> None:
    found = {(x["kind"], x["name"], x["what"]) for x in story.plan.data["leftovers"]}
    assert found == {
        ("Deployment", "order-service", "variable SET_BY_HAND of container order-service"),
        ("Deployment", "user-service", "variable SET_BY_HAND of container user-service"),
        ("Deployment", "user-service", "container added-by-hand"),
    }
    assert "added-by-hand" in story.plan.text


def test_there_is_one_new_replica_set_a_workload(story: Story) -> None:
    new = {service: len(story.sets_after[service] - story.sets_before[service]) for service in SERVICES}
    assert new == dict.fromkeys(SERVICES, 1)


def test_each_workload_is_written_once_and_nothing_else(story: Story) -> None:
    written = Counter((w["verb"], w["objectRef"]["resource"], w["objectRef"]["name"]) for w in story.writes)
    assert written == {("patch", "deployments", service): 1 for service in SERVICES}


def test_a_second_run_has_nothing_to_do_and_writes_nothing(story: Story) -> None:
    assert story.again.last_line.startswith("Nothing to do")
    assert story.writes_again == []


def test_the_next_client_side_apply_is_unchanged(story: Story) -> None:
    lines = story.applied.split("\n")[:-1]
    assert len(lines) == 21
    assert [line for line in lines if not line.endswith(" unchanged")] == []
    assert story.after_client_side == story.restored


def test_a_server_side_apply_has_no_conflict_and_starts_no_rollout(story: Story) -> None:
    """kubectl takes the object over from client-side apply: it rewrites its annotation, which counts as a change of a
    Deployment's generation with and without a rollback, and drops what the manifests do not name: our stamps.
    """
    assert [(done.returncode, done.stderr) for done in story.server_side] == [(0, ""), (0, "")]
    first, second = story.after_server_side
    assert asked_for(first) == asked_for(story.restored)
    assert second == first
    assert story.sets_at_the_end == story.sets_after


def test_the_last_line_warns_that_the_mutable_tag_is_still_the_failed_release(story: Story) -> None:
    assert ":prod in 10 repositories is still v1.2.0" in story.run.last_line
    assert "the next ordinary deploy brings it back" in story.run.last_line


def test_the_teams_next_deploy_works(story: Story) -> None:
    assert story.next_deploy == {"order-service": "v1.2.0 mended", "user-service": "v1.2.0 mended"}


def test_without_release_tags_the_pods_that_still_serve_tell_the_image(shop: ShopFactory) -> None:
    made = shop(services=("order-service", "user-service"))
    made.rollback_yaml()
    made.deploy(TARGET, release_tags=False)
    made.wait_ready()
    made.deploy(FAILED, "crash", release_tags=False)
    made.wait_waiting("user-service")
    product = Product(made)
    plan = product.plan()
    assert {c["rung"] for s in plan.data["services"] for c in s["containers"]} == {"history"}
    product.run()
    made.wait_ready()
    assert made.served_all() == {"order-service": TARGET, "user-service": TARGET}
    assert made.running_digests() == {service: {digest} for service, digest in made.digests[TARGET].items()}
    assert product.run().last_line.startswith("Nothing to do")
