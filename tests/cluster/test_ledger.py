"""The ledger on a real cluster: every release overwrites one tag, and what really was good comes back all the same."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import Shop
from tests.cluster.untouched import untouched

TWO = ("order-service", "user-service")
GOOD, FAILED = "v1.1.0", "v1.2.0"


def record(product: Product, release: str, *arguments: str, code: int | None = 0) -> str:
    ended = product("record-release", "--environment=prod", f"--release={release}", *arguments, code=code)
    return ended.out + ended.err


def status(product: Product) -> Any:
    return json.loads(product("status", "--output=json").out)


def history(product: Product) -> dict[str, Any]:
    return {r["release"]: r for r in json.loads(product("history", "--output=json").out)["releases"]}


def repoint(shop: Shop, tag: str, release: str) -> None:
    """Let a tag name what another release had."""
    for service in shop.services:
        repository = f"{shop.organization}/{service}"
        images.tag_as(shop.cluster.registry_url, repository, shop.digests[release][service], tag)


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Product]]:
    """Two releases recorded and a third that looks healthy and is wrong; no tag says any more what ran."""
    with cluster.namespace() as namespace:
        shop = Shop(cluster, namespace, tmp_path_factory.mktemp("shop"), services=TWO)
        shop.write_repo()
        shop.rollback_yaml()
        product = Product(shop)
        for release in ("v1.0.0", GOOD):
            shop.deploy(release, release_tags=False)
            shop.wait_ready()
            record(product, release)
        shop.deploy(FAILED, release_tags=False)
        shop.wait_ready()
        repoint(shop, GOOD, FAILED)
        yield shop, product


def test_the_digest_that_really_ran_comes_back_without_a_name_and_although_every_tag_moved(
    story: tuple[Shop, Product],
) -> None:
    shop, product = story
    assert status(product)["current"]["release"] == FAILED  # by what was applied: :v1.1.0 names these bits by now
    ended = product("run", "--environment=prod", "--yes", "--reason=wrong prices")
    assert shop.served_all() == dict.fromkeys(TWO, GOOD)
    assert shop.running_digests() == {s: {d} for s, d in shop.digests[GOOD].items()}
    assert "what ran at that release, by the ledger" in ended.err
    assert ":prod" in ended.last_line


def test_a_second_run_has_nothing_to_do(story: tuple[Shop, Product]) -> None:
    shop, product = story
    with untouched(shop.cluster, shop.namespace):
        ended = product("run", "--environment=prod", "--yes")
    assert "Nothing to do" in ended.last_line


def test_what_was_gone_back_from_is_quarantined_and_history_tells_the_states(story: tuple[Shop, Product]) -> None:
    _, product = story
    found = history(product)
    assert (found[GOOD]["state"], found["v1.0.0"]["state"]) == ("current", "good")
    assert found["v1.0.0"]["gone"] == []
    said = product("history").out
    assert all(len(line) <= 80 for line in said.splitlines()), said
    assert "wrong prices" in said


def test_an_ordinary_deploy_after_the_rollback_is_what_runs_and_not_our_stale_mark(story: tuple[Shop, Product]) -> None:
    shop, product = story
    shop.deploy("v1.0.0", release_tags=False)
    shop.wait_ready()
    notes = shop.cluster.get("deployment", TWO[0], namespace=shop.namespace)["metadata"]["annotations"]
    assert notes["rollback-lib/release"] == GOOD
    assert status(product)["current"]["release"] == "v1.0.0"


def test_from_there_the_last_good_is_again_the_one_that_was(story: tuple[Shop, Product]) -> None:
    shop, product = story
    product("run", "--environment=prod", "--yes")
    assert shop.served_all() == dict.fromkeys(TWO, GOOD)
    assert status(product)["current"]["release"] == GOOD


def test_a_pruned_digest_is_found_before_anything_is_changed(shop: ShopFactory) -> None:
    made = shop(services=TWO)
    made.rollback_yaml()
    product = Product(made)
    made.deploy(GOOD, release_tags=False)
    made.wait_ready()
    record(product, GOOD)
    made.deploy(FAILED, release_tags=False)
    made.wait_ready()
    lost = made.digests[GOOD][TWO[0]]
    images.delete(made.cluster.registry_url, f"{made.organization}/{TWO[0]}", lost)
    with untouched(made.cluster, made.namespace):
        ended = product("run", "--environment=prod", "--yes", code=3)
    assert lost in ended.err
    assert history(product)[GOOD]["gone"] == [f"{made.organization}/{TWO[0]}@{lost}"]


def test_a_sick_release_is_not_recorded(shop: ShopFactory) -> None:
    made = shop(services=TWO)
    made.rollback_yaml({"verify": {"crash_restarts": 1}})
    product = Product(made)
    made.deploy(GOOD)
    made.wait_ready()
    made.deploy(FAILED, "crash")
    for service in TWO:
        made.wait_waiting(service)
    said = record(product, FAILED, code=1)
    assert "not healthy, so it is not recorded" in said
    assert "cannot start: no bean named" in said or "CrashLoopBackOff" in said or "crash" in said
    assert all(r["changes"] is None for r in history(product).values())


def test_two_machines_that_record_at_once_lose_nothing(shop: ShopFactory) -> None:
    made = shop(services=TWO)
    made.rollback_yaml()
    product = Product(made)
    made.deploy(GOOD)
    made.wait_ready()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(record, product, GOOD, *pin) for pin in (("--pin",), ())]:
            assert "Recorded: prod runs v1.1.0" in done.result()
    found = history(product)[GOOD]
    assert (found["state"], found["pinned"]) == ("current", True)


def test_every_recorded_digest_gets_a_registry_tag_of_its_own(shop: ShopFactory) -> None:
    made = shop(services=TWO)
    made.rollback_yaml()
    product = Product(made)
    made.deploy(GOOD, release_tags=False)
    made.wait_ready()
    record(product, GOOD, "--keep-tag=keep-{release}")
    made.deploy(FAILED, release_tags=False)  # :prod is another image by now
    for service in TWO:
        kept = images.resolve(made.cluster.registry_url, f"{made.organization}/{service}", f"keep-{GOOD}")
        assert kept == made.digests[GOOD][service]


def test_an_index_and_its_platform_manifest_are_one_image(shop: ShopFactory) -> None:
    """One pod was pulled by the index, one by the platform's own manifest: different imageIDs, the same bits."""
    made = shop(services=TWO)
    made.rollback_yaml()
    product = Product(made)
    made.deploy(GOOD, release_tags=False)
    made.wait_ready()
    registry, repository = made.cluster.registry_url, f"{made.organization}/{TWO[0]}"
    single = made.digests[GOOD][TWO[0]]
    index = images.push_index(registry, repository, "prod", [(images.HERE_PLATFORM, single)])
    record(product, GOOD)
    kept = made.cluster.get("configmaps", "--selector=rollback-lib/ledger=prod", namespace=made.namespace)["items"]
    entry = json.loads(kept[0]["data"]["record"])
    (container,) = next(w for w in entry["workloads"] if w["name"] == TWO[0])["containers"]
    assert container["digest"] == index
    assert {index, single} <= set(container["digests"])


def test_the_wire_is_one_list_for_all_records(story: tuple[Shop, Product]) -> None:
    shop, product = story
    mark = shop.cluster.audit_mark()
    product("history")
    lists = [
        e
        for e in shop.cluster.audit(mark, user=OPERATOR, namespace=shop.namespace, verbs=["list"])
        if "labelSelector=rollback-lib" in e["requestURI"]
    ]
    assert len(lists) == 1


def test_quarantine_by_hand_and_back(story: tuple[Shop, Product]) -> None:
    _, product = story
    product("quarantine", "v1.0.0", "--reason=old key")
    said = product("run", "--environment=prod", "--to=v1.0.0", "--yes", code=3)
    assert "--accept quarantined" in said.err
    assert history(product)["v1.0.0"]["state"] == "quarantined"
    product("quarantine", "v1.0.0", "--lift")
    assert history(product)["v1.0.0"]["state"] == "good"
