"""The lab itself: that it shows what the tool has to cope with. The tool has no part in these tests."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.shop import Shop
from tests.cluster.state import ClusterState


def overwritten(shop: ShopFactory) -> Shop:
    """v1.1.0 ran, then v1.2.0 was deployed over `:prod`: it becomes Ready but is wrong."""
    made = shop()
    made.deploy("v1.1.0")
    made.wait_ready()
    assert Counter(made.served_all().values()) == {"v1.1.0": 10}
    made.deploy("v1.2.0")
    made.wait_ready()
    assert Counter(made.served_all().values()) == {"v1.2.0": 10}
    return made


def test_old_manifests_applied_by_hand_end_green_and_serve_the_bad_release(shop: ShopFactory) -> None:
    made = overwritten(shop)
    made.cluster.apply(made.manifests_at("v1.1.0"), namespace=made.namespace)
    made.wait_ready()
    assert Counter(made.served_all().values()) == {"v1.2.0": 10}


def test_rollout_undo_ends_green_and_serves_the_bad_release(shop: ShopFactory) -> None:
    made = overwritten(shop)
    for service in made.services:
        made.cluster.kubectl("rollout", "undo", f"deployment/{service}", namespace=made.namespace)
    made.wait_ready()
    assert Counter(made.served_all().values()) == {"v1.2.0": 10}


def test_images_named_by_digest_bring_the_old_release_back(shop: ShopFactory) -> None:
    made = overwritten(shop)
    text = made.manifests_at("v1.1.0")
    for service, digest in made.digests["v1.1.0"].items():
        text = text.replace(made.image(service), f"{made.image(service)}@{digest}")
    made.cluster.apply(text, namespace=made.namespace)
    made.wait_ready()
    assert Counter(made.served_all().values()) == {"v1.1.0": 10}
    assert made.running_digests() == {service: {digest} for service, digest in made.digests["v1.1.0"].items()}


def test_a_crashing_release_leaves_the_old_pods_serving(shop: ShopFactory) -> None:
    made = shop(services=("user-service", "order-service"))
    made.deploy("v1.1.0")
    made.wait_ready()
    made.deploy("v1.2.0", "crash")
    assert made.wait_waiting("user-service") == "CrashLoopBackOff"
    assert made.served_all() == {"user-service": "v1.1.0", "order-service": "v1.1.0"}


def test_a_service_that_crashes_twice_recovers(shop: ShopFactory) -> None:
    made = shop(services=("cloud-config",))
    made.deploy("v1.1.0", "crash-twice")
    made.wait_ready()
    (pod,) = made.pods("cloud-config")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 2
    assert made.served("cloud-config", path="/actuator/health") == '{"status":"UP","version":"v1.1.0"}'


def test_two_shops_do_not_share_a_tag(shop: ShopFactory) -> None:
    one, other = shop(services=("user-service",)), shop(services=("user-service",))
    one.deploy("v1.1.0")
    other.deploy("v1.2.0")
    one.wait_ready()
    other.wait_ready()
    assert (one.served("user-service"), other.served("user-service")) == ("v1.1.0", "v1.2.0")


def test_an_index_starts_the_image_of_the_nodes_platform(cluster: Cluster, namespace: str) -> None:
    registry, repository = cluster.registry_url, f"sanjodb-{namespace}/user-service"
    here = images.push(registry, repository, "", "good", "v1.1.0")
    elsewhere = images.push(registry, repository, "", "good", "v1.1.0", image_platform="linux/s390x")
    index = images.push_index(
        registry, repository, "v1.1.0", [("linux/s390x", elsewhere), (images.HERE_PLATFORM, here)]
    )
    assert len({here, elsewhere, index}) == 3
    cluster.kubectl("run", "one", f"--image={repository}@{index}", namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=30s", namespace=namespace)
    images.delete(registry, repository, index)
    assert images.resolve(registry, repository, "v1.1.0") is None


def test_the_audit_log_tells_who_wrote_what_and_where(cluster: Cluster, namespace: str) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]}
    cluster.grant("operator", namespace, [rule])
    mark = cluster.audit_mark()
    literal = ("create", "configmap", "note", "--from-literal=a=b")
    cluster.kubectl(*literal, "--dry-run=server", user="operator", namespace=namespace)
    assert cluster.writes(mark, user="operator") == []
    cluster.kubectl(*literal, user="operator", namespace=namespace)
    (write,) = cluster.writes(mark, user="operator", namespace=namespace)
    assert (write["verb"], write["objectRef"]["resource"], write["objectRef"]["name"]) == (
        "create",
        "configmaps",
        "note",
    )
    assert cluster.writes(mark, user="nobody") == []


def test_users_have_no_rights_until_they_are_granted(cluster: Cluster, namespace: str) -> None:
    refused = cluster.kubectl("get", "pods", user="smallrole", namespace=namespace, check=False)
    assert refused.returncode != 0
    assert "forbidden" in refused.stderr


def test_a_state_file_of_a_cluster_that_is_gone_is_not_believed(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.state is None:
        pytest.skip("this cluster is not the tests' own")
    file = tmp_path / "state.json"
    assert ClusterState.read(file) is None
    cluster.state.write(file)
    assert ClusterState.read(file) == cluster.state
    replace(cluster.state, server="https://127.0.0.1:1").write(file)
    assert ClusterState.read(file) is None
