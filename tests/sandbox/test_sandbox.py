"""What the sandbox has beyond a real cluster: users by address, faults, counting, coming back, ending."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.cluster import ADMIN, Sandbox
from rollback_lib.sandbox.images import Image
from tests.sandbox.pictures import Pictures
from tests.sandbox.world import World, complete, condition, workload

DEPLOYMENT = "apps/v1 deployments/a"


def test_restoring_brings_objects_pods_and_images_back(sandbox: Sandbox, world: World, pictures: Pictures) -> None:
    good = pictures.push("user-service", "good", "v1.1.0")
    world.create("apps/v1 deployments", workload("a", good))
    world.until(DEPLOYMENT, complete)
    kept, (pod,) = sandbox.snapshot(), world.pods("a")
    world.kubectl("delete", "deployment", "a")
    world.until("v1 pods?labelSelector=app=a", lambda f: not f["items"])
    sandbox.restore(kept)
    assert world.pods("a") == [pod]
    assert world.ask("GET", f"v1 pods/{pod['metadata']['name']}:8080/proxy/").body == "v1.1.0\n"
    world.kubectl("scale", "deployment/a", "--replicas=2")
    world.until(DEPLOYMENT, complete)


def test_a_node_keeps_the_tag_that_was_pushed_again_until_it_pulls(
    sandbox: Sandbox, world: World, pictures: Pictures
) -> None:
    name = pictures.push("user-service", "good", "v1.1.0", tag="prod")
    world.create("apps/v1 deployments", workload("a", name))
    world.until(DEPLOYMENT, complete)
    pictures.push("user-service", "good", "v1.2.0", tag="prod")
    world.kubectl("rollout", "restart", "deployment/a")
    world.kubectl("rollout", "status", "deployment/a")
    assert "v1.1.0" in world.kubectl("logs", "deployment/a")
    sandbox.pull(name)
    world.kubectl("set", "env", "deployment/a", "NEW=1")
    world.kubectl("rollout", "status", "deployment/a")
    assert "v1.2.0" in world.kubectl("logs", "deployment/a")
    names = [n for i in world.get("/api/v1/nodes")["items"][0]["status"]["images"] for n in i["names"]]
    assert sum("@sha256:" in n for n in names) == 2


def test_a_setting_can_make_an_image_behave_otherwise(sandbox: Sandbox, world: World, pictures: Pictures) -> None:
    sick = Image("sha256:" + "a" * 64, "v1", "crash", exit_code=1, log="FATAL: threshold 0")
    moody = Image("sha256:" + "a" * 64, "v1", by_environment=lambda e: sick if e.get("THRESHOLD") == "0" else None)
    pictures.put("docker.io/sanjodb/moody:v1", moody)
    config = {"metadata": {"name": "shared"}, "data": {"THRESHOLD": "0"}}
    world.create("v1 configmaps", config)
    source = {"envFrom": [{"configMapRef": {"name": "shared"}}]}
    world.create("apps/v1 deployments", workload("a", "sanjodb/moody:v1", container=source))
    world.until("v1 pods?labelSelector=app=a", lambda f: any(
        s["restartCount"] for p in f["items"] for s in p["status"].get("containerStatuses", [])))  # fmt: skip
    world.patch("v1 configmaps/shared", "merge", {"data": {"THRESHOLD": "50"}})
    world.until(DEPLOYMENT, complete)


def test_a_user_has_the_rules_it_was_given(sandbox: Sandbox, world: World, tmp_path: Any) -> None:
    rules = (
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["mine"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    )
    operator = User("operator", "operator-token", rules)
    sandbox.set_users((ADMIN, operator))
    world.create("v1 configmaps", {"metadata": {"name": "mine"}})
    limited = World(sandbox.url, operator.token, "shop", world.kubectl_path, "", world.push)
    assert limited.ask("GET", "v1 configmaps/mine").code == 200
    refused = limited.ask("GET", "v1 configmaps/other")
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert refused.message == (
        'configmaps "other" is forbidden: User "operator" cannot get resource "configmaps" in API group "" in the '
        'namespace "shop"'
    )
    # kubectl sends no token over plain http: its server's address says who asks.
    file = tmp_path / "operator"
    file.write_text(sandbox.kubeconfig_text("operator", "shop"))
    limited.kubeconfig = str(file)
    assert limited.kubectl("auth", "can-i", "get", "configmaps/mine") == "yes\n"
    assert "no\n" in limited.kubectl("auth", "can-i", "get", "configmaps", code=1)
    assert 'User "operator" cannot list resource "pods"' in limited.kubectl("get", "pods", code=1)
    limited.token = "unknown"
    assert limited.ask("GET", "v1 configmaps/mine").code == 401


@pytest.mark.parametrize(("kind", "code"), [("429", 429), ("503", 503), ("500", 500), ("expired", 401)])
def test_a_fault_strikes_once_and_is_over(sandbox: Sandbox, world: World, kind: str, code: int) -> None:
    sandbox.faults.add(lambda c: c.verb == "create" and c.resource == "configmaps" and not c.dry_run, kind)
    assert world.ask("POST", "v1 configmaps?dryRun=All", {"metadata": {"name": "one"}}).code == 201
    struck = world.ask("POST", "v1 configmaps", {"metadata": {"name": "one"}})
    assert struck.code == code
    if kind in ("429", "503"):
        assert struck.headers["Retry-After"] == "1"
    assert world.ask("GET", "v1 configmaps/one").code == 404
    assert world.ask("POST", "v1 configmaps", {"metadata": {"name": "one"}}).code == 201


@pytest.mark.parametrize(("kind", "is_done"), [("reset", False), ("reset-after", True), ("truncated", True)])
def test_a_cut_connection_has_done_the_write_or_not(sandbox: Sandbox, world: World, kind: str, is_done: bool) -> None:
    sandbox.faults.add(lambda c: c.verb == "create", kind, times=None)
    with pytest.raises((urllib.error.URLError, ConnectionError, http.client.IncompleteRead)):
        world.ask("POST", "v1 configmaps", {"metadata": {"name": "one"}})
    assert world.ask("GET", "v1 configmaps/one").code == (200 if is_done else 404)


def test_a_delay_and_the_nth_request(sandbox: Sandbox, world: World) -> None:
    fault = sandbox.faults.add(lambda c: c.verb == "get", "delay", first=2, seconds=0.2)

    def struck() -> tuple[int, float]:
        began = time.monotonic()
        world.ask("GET", "v1 configmaps/kube-root-ca.crt")
        return fault.struck, time.monotonic() - began

    first, second, third = (struck() for _ in range(3))
    assert [first[0], second[0], third[0]] == [0, 1, 1]
    assert second[1] >= 0.2


def test_kubectl_gets_over_a_429_by_itself(sandbox: Sandbox, world: World) -> None:
    fault = sandbox.faults.add(lambda c: c.client == "kubectl" and c.verb == "list", "429")
    world.kubectl("get", "configmaps")
    assert fault.struck == 1


def test_requests_are_counted_and_writes_are_told_apart(sandbox: Sandbox, world: World) -> None:
    world.kubectl("create", "configmap", "one", "--dry-run=server")
    world.kubectl("auth", "can-i", "get", "pods")
    world.kubectl("get", "configmap", "one", code=1)
    assert len(sandbox.requests) > 3
    assert sandbox.requests.writes() == []
    world.kubectl("create", "configmap", "one")
    (write,) = sandbox.requests.writes("kubectl")
    assert (write.method, write.status) == ("POST", 201)


def watched(sandbox: Sandbox, query: str, meanwhile: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    ready = threading.Event()

    def read() -> None:
        with urllib.request.urlopen(f"{sandbox.url}/api/v1/namespaces/shop/configmaps?watch=True&{query}") as answer:
            ready.set()
            found.extend(json.loads(line) for line in answer)

    thread = threading.Thread(target=read)
    thread.start()
    ready.wait(5)
    meanwhile()
    thread.join(10)
    return [(e["type"], e["object"]["metadata"].get("name", e["object"].get("code"))) for e in found]


def test_a_watch_tells_what_happens_to_the_chosen(sandbox: Sandbox, world: World) -> None:
    version = world.get("v1 configmaps")["metadata"]["resourceVersion"]

    def happen() -> None:
        world.create("v1 configmaps", {"metadata": {"name": "one", "labels": {"a": "b"}}})
        world.create("v1 configmaps", {"metadata": {"name": "two"}})
        world.patch("v1 configmaps/two", "merge", {"metadata": {"labels": {"a": "b"}}})
        world.patch("v1 configmaps/one", "merge", {"data": {"x": "y"}})
        world.patch("v1 configmaps/two", "merge", {"metadata": {"labels": {"a": "c"}}})
        world.ask("DELETE", "v1 configmaps/one")

    query = f"resourceVersion={version}&timeoutSeconds=1&labelSelector=a%3Db"
    assert watched(sandbox, query, happen) == [
        ("ADDED", "one"), ("ADDED", "two"), ("MODIFIED", "one"), ("DELETED", "two"), ("DELETED", "one"),
    ]  # fmt: skip


def test_a_watch_from_a_forgotten_version_has_to_list_again(sandbox: Sandbox) -> None:
    assert watched(sandbox, "resourceVersion=1&timeoutSeconds=1", lambda: None)[0][0] == "ERROR"


def test_a_paused_deployment_does_not_move(world: World, pictures: Pictures) -> None:
    good = pictures.push("user-service", "good", "v1.1.0")
    world.create("apps/v1 deployments", workload("a", good))
    world.until(DEPLOYMENT, complete)
    world.kubectl("rollout", "pause", "deployment/a")
    world.kubectl("set", "env", "deployment/a", "NEW=1")
    found = world.until(DEPLOYMENT, lambda d: condition(d, "Progressing") == ("Unknown", "DeploymentPaused"))
    assert len(world.get("apps/v1 replicasets")["items"]) == 1
    assert found["status"]["readyReplicas"] == 1
    world.kubectl("rollout", "resume", "deployment/a")
    world.until(DEPLOYMENT, complete)
    assert len(world.get("apps/v1 replicasets")["items"]) == 2


def test_recreate_ends_the_old_pods_first(sandbox: Sandbox, world: World, pictures: Pictures) -> None:
    good = pictures.push("user-service", "good", "v1.1.0")
    world.create("apps/v1 deployments", workload("a", good, replicas=2, strategy={"type": "Recreate"}))
    world.until(DEPLOYMENT, complete)
    most = 0

    def looked(found: Any) -> bool:
        nonlocal most
        most = max(most, len(world.pods("a")))
        return complete(found)

    world.kubectl("set", "env", "deployment/a", "NEW=1")
    world.until(DEPLOYMENT, looked)
    assert most == 2


def test_a_deployment_that_does_not_get_on_says_so(world: World, pictures: Pictures) -> None:
    bad = pictures.push("user-service", "never-ready", "v1.2.0")
    world.create("apps/v1 deployments", workload("a", bad, progressDeadlineSeconds=2, minReadySeconds=1))
    world.until(DEPLOYMENT, lambda d: condition(d, "Progressing") == ("False", "ProgressDeadlineExceeded"))
    assert "exceeded its progress deadline" in world.kubectl("rollout", "status", "deployment/a", code=1)


def test_nothing_is_left_of_a_closed_sandbox() -> None:
    before = threading.active_count()
    with Sandbox() as sandbox:
        url = f"{sandbox.url}/api/v1/namespaces/default/configmaps?watch=true"
        with urllib.request.urlopen(url) as answer:
            answer.readline()
            began = time.monotonic()
            sandbox.close()
    assert time.monotonic() - began < 10, "a watch that nobody ends goes on for half an hour"
    assert threading.active_count() == before
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(sandbox.url + "/version")
