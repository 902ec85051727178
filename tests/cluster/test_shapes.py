"""Other workloads than Deployments, and what other people did to them: put back, or left exactly as it is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import images, shapes
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import SHARED, Shop, deployment

TARGET, FAILED = "v1.1.0", "v1.2.0"
Files = Callable[[Shop, str], dict[str, str]]


def flag(release: str) -> list[dict[str, Any]]:
    return shapes.variable("RELEASE_FLAG", release)


def one(kind: str, name: str, **spec: Any) -> Files:
    """A shop of one workload, told apart by a variable."""

    def files(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(name, shapes.container(shop, name, env=flag(release)))
        return {
            f"k8s/{name}/workload.yaml": shapes.file(shapes.workload(kind, name, pods, **spec), shapes.service(name))
        }

    return files


def made(shop: ShopFactory, name: str, files: Files, **settings: Any) -> Shop:
    found = shop(services=(name,), manifests=files)
    manifests = {"path": "k8s/{service}", **settings.pop("manifests", {})}
    found.rollback_yaml({"manifests": manifests, **settings})
    return found


def wait(shop: Shop, kind: str, name: str, *, seconds: float = 60) -> None:
    shop.cluster.kubectl(
        "rollout", "status", f"--timeout={seconds:.0f}s", f"{kind.lower()}/{name}", namespace=shop.namespace
    )


def live(shop: Shop, kind: str, name: str) -> dict[str, Any]:
    return dict(shop.cluster.get(kind, name, namespace=shop.namespace))


def flags(shop: Shop, name: str) -> set[str]:
    """What the ready pods of a service say of their release."""
    found = set()
    for pod in shop.pods(name):
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        if ready and "deletionTimestamp" not in pod["metadata"]:
            found |= {e["value"] for e in pod["spec"]["containers"][0]["env"] if e["name"] == "RELEASE_FLAG"}
    return found


def crashes(shop: Shop, name: str) -> None:
    """Wait until a pod of the failed release is in trouble."""
    shop.wait_waiting(name, timeout=60)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("DaemonSet", {}),
        ("StatefulSet", {"replicas": 2, "podManagementPolicy": "Parallel"}),
        ("StatefulSet", {"replicas": 2, "podManagementPolicy": "OrderedReady"}),
    ],
    ids=["daemon-set", "parallel", "ordered-ready"],
)
def test_a_workload_whose_new_revision_crash_loops_comes_back(
    shop: ShopFactory, kind: str, spec: dict[str, Any]
) -> None:
    name = "user-service"
    it = made(shop, name, one(kind, name, **spec))
    it.deploy(TARGET)
    wait(it, kind, name)
    it.deploy(FAILED, "crash")
    crashes(it, name)
    product = Product(it)
    plan = product.plan()
    assert plan.changes[f"{kind}/{name}"] == "update"
    ordered = spec.get("podManagementPolicy") == "OrderedReady"
    assert plan.stuck == ([name] if ordered else [])
    ended = product.run()
    assert "Done" in ended.last_line
    wait(it, kind, name)
    assert flags(it, name) == {TARGET}
    assert product.run().last_line.startswith("Nothing to do")


@pytest.mark.parametrize("scaled_by", ["a person", "an autoscaler"])
def test_replicas_that_somebody_else_set_are_kept(shop: ShopFactory, scaled_by: str) -> None:
    name = "order-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        found = {f"k8s/{name}/deployment.yaml": deployment(shop, release, name, replicas=1), SHARED: ""}
        found[SHARED] = shapes.file(shapes.config_map("common-config", {"A": "1"}))
        if scaled_by == "an autoscaler":
            goal = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
            body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}}
            found[f"k8s/{name}/hpa.yaml"] = shapes.file(
                {**body, "spec": {"scaleTargetRef": goal, "minReplicas": 2, "maxReplicas": 3}}
            )
        return found

    it = made(shop, name, files, manifests={"shared": [SHARED]})
    it.deploy(TARGET)
    it.wait_ready()
    it.deploy(FAILED)
    it.cluster.kubectl("scale", f"deployment/{name}", "--replicas=2", namespace=it.namespace)
    it.wait_ready()
    product = Product(it)
    product.run()
    found = live(it, "deployment", name)
    assert found["spec"]["replicas"] == 2
    assert found["status"]["readyReplicas"] == 2


def test_what_other_people_own_is_kept_and_said(shop: ShopFactory) -> None:
    """A node port and a selector switched by hand, foreign annotations and labels."""
    name = "api-gateway"

    def files(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(name, shapes.container(shop, name, env=flag(release)), labels={"slot": "blue"})
        entry = shapes.service(name, selector={"app": name, "slot": "blue"}, type="NodePort")
        return {f"k8s/{name}/all.yaml": shapes.file(shapes.workload("Deployment", name, pods), entry)}

    it = made(shop, name, files)
    it.deploy(TARGET)
    it.wait_ready()
    it.deploy(FAILED)
    it.wait_ready()
    hand = {
        "metadata": {"annotations": {"example.com/owner": "ops"}},
        "spec": {"selector": {"slot": "green"}, "ports": [{"port": 80, "nodePort": 30000 + hash(it.namespace) % 2000}]},
    }
    it.cluster.kubectl("patch", f"service/{name}", f"--patch={json.dumps(hand)}", namespace=it.namespace)
    it.cluster.kubectl("annotate", f"deployment/{name}", "example.com/owner=ops", namespace=it.namespace)
    it.cluster.kubectl("label", f"deployment/{name}", "team=ops", namespace=it.namespace)
    before = live(it, "service", name)
    product = Product(it)
    plan = product.plan()
    assert plan.changes[f"Service/{name}"] == "none"
    assert plan.kept[f"Service/{name}"] == ["spec.selector.slot"]
    assert "spec.selector.slot is somebody else's" in plan.text
    product.run()
    after = live(it, "service", name)
    assert after["spec"] == before["spec"]
    found = live(it, "deployment", name)["metadata"]
    assert found["annotations"]["example.com/owner"] == "ops"
    assert found["labels"]["team"] == "ops"
    assert flags(it, name) == {TARGET}


def test_what_does_not_run_is_not_started_and_a_job_is_not_run_again(shop: ShopFactory) -> None:
    runs, rests = "user-service", "shipping-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(runs, shapes.container(shop, runs, env=flag(release)))
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}}
        job["spec"] = shapes.job_spec(shop, runs, ["/bin/busybox", "true"])
        idle = shapes.template(rests, shapes.container(shop, rests))
        return {
            f"k8s/{runs}/all.yaml": shapes.file(shapes.workload("Deployment", runs, pods), job),
            f"k8s/{rests}/all.yaml": shapes.file(shapes.workload("Deployment", rests, idle), shapes.service(rests)),
        }

    it = shop(services=(runs, rests), manifests=files)
    it.rollback_yaml({"manifests": {"path": "k8s/{service}"}})
    for release in (TARGET, FAILED):
        it.deploy(release, services=(runs,))
        wait(it, "deployment", runs)
    uid = live(it, "job", "migrate")["metadata"]["uid"]
    # its image exists, so that it is not for its image that it is left
    images.push(it.cluster.registry_url, f"{it.organization}/{rests}", TARGET, "good", TARGET)
    product = Product(it)
    plan = product.plan()
    assert plan.changes[f"Deployment/{rests}"] == "left"
    assert plan.changes[f"Service/{rests}"] == "left"
    assert plan.changes["Job/migrate"] == "left"
    product.run()
    there = it.cluster.get("deployments,services", namespace=it.namespace)["items"]
    assert {o["metadata"]["name"] for o in there} == {runs}
    assert live(it, "job", "migrate")["metadata"]["uid"] == uid


def test_a_configuration_too_large_for_apply_goes_back(shop: ShopFactory) -> None:
    name = "user-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        mount = {"name": "large", "mountPath": "/config"}
        volume = {"name": "large", "configMap": {"name": "large"}}
        reader = shapes.container(shop, name, env=flag(release), volumeMounts=[mount])
        pods = shapes.template(name, reader, volumes=[volume])
        big = shapes.config_map("large", {"RELEASE": release, "big.txt": release * 46_500})
        return {
            f"k8s/{name}/workload.yaml": shapes.file(shapes.workload("Deployment", name, pods)),
            "k8s/large.yaml": shapes.file(big),
        }

    it = made(shop, name, files, manifests={"shared": ["k8s/large.yaml"]})
    for release in (TARGET, FAILED):
        text = it.git("show", f"{release}:k8s/large.yaml")
        assert len(text) > 279_000
        it.cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "--filename=-", namespace=it.namespace, input=text
        )
        it.deploy(release)
        it.wait_ready()
    product = Product(it)
    product.run()
    assert live(it, "configmap", "large")["data"]["RELEASE"] == TARGET
    assert flags(it, name) == {TARGET}


def test_where_only_configuration_changed_its_readers_restart_once(shop: ShopFactory) -> None:
    reads, other = "user-service", "order-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        config = shapes.config_map("common-config", {"RELEASE": release})
        reader = shapes.container(shop, reads, envFrom=[{"configMapRef": {"name": "common-config"}}])
        return {
            SHARED: shapes.file(config),
            f"k8s/{reads}/all.yaml": shapes.file(
                shapes.workload("Deployment", reads, shapes.template(reads, reader)), shapes.service(reads)
            ),
            f"k8s/{other}/all.yaml": shapes.file(
                shapes.workload("Deployment", other, shapes.template(other, shapes.container(shop, other)))
            ),
        }

    it = shop(services=(reads, other), manifests=files)
    it.rollback_yaml({"manifests": {"path": "k8s/{service}", "shared": [SHARED]}})
    it.deploy(TARGET)
    it.wait_ready()
    # the same images under the next release's tag, and its manifests: only the configuration is another one
    it.cluster.apply(it.manifests_at(FAILED), namespace=it.namespace)
    before = {s: len(it.replica_sets(s)) for s in (reads, other)}
    product = Product(it)
    plan = product.plan()
    assert plan.changes["ConfigMap/common-config"] == "update"
    assert plan.changes[f"Deployment/{reads}"] == "restart"
    assert plan.changes[f"Deployment/{other}"] == "none"
    product.run()
    it.wait_ready()
    assert {s: len(it.replica_sets(s)) - n for s, n in before.items()} == {reads: 1, other: 0}
    assert live(it, "configmap", "common-config")["data"] == {"RELEASE": TARGET}
    mark = it.cluster.audit_mark()
    assert product.run().last_line.startswith("Nothing to do")
    assert it.cluster.writes(mark, user=OPERATOR, namespace=it.namespace) == []
    applied = it.cluster.kubectl(
        "apply", "--recursive", f"--filename={product.manifests}", namespace=it.namespace
    ).stdout
    assert [line for line in applied.splitlines() if not line.endswith("unchanged")] == []


def test_what_only_the_failed_release_had_goes_last_and_secrets_stay(shop: ShopFactory) -> None:
    name, extra = "user-service", "recommendation-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        pods = shapes.template(name, shapes.container(shop, name, env=flag(release)))
        found = {f"k8s/{name}/all.yaml": shapes.file(shapes.workload("Deployment", name, pods))}
        if release == FAILED:
            more = shapes.template(extra, shapes.container(shop, extra))
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "extra"}, "stringData": {"a": "b"}}
            found[f"k8s/{extra}/all.yaml"] = shapes.file(
                shapes.workload("Deployment", extra, more), shapes.service(extra), secret
            )
        return found

    it = shop(services=(name, extra), manifests=files)
    it.rollback_yaml({"manifests": {"path": "k8s/{service}"}})
    it.deploy(TARGET, services=(name,))
    wait(it, "deployment", name)
    it.deploy(FAILED)
    it.wait_ready()
    product = Product(it)
    plan = product.plan()
    assert plan.data["current"]["release"] == FAILED
    assert plan.orphans == {f"Deployment/{extra}": "delete", f"Service/{extra}": "delete", "Secret/extra": "left"}
    product.run()
    there = it.cluster.get("deployments,services,secrets", namespace=it.namespace)["items"]
    assert {(o["kind"], o["metadata"]["name"]) for o in there} == {("Deployment", name), ("Secret", "extra")}
    done = [json.loads(line) for line in (product.latest / "journal.jsonl").read_text().splitlines()]
    keys = [e["key"] for e in done if e["mark"] == "done"]
    assert keys[0] == f"apply/deployment/{name}"
    assert all(key.startswith("delete/") for key in keys[1:])


def test_waves_go_in_order_and_a_plain_folder_has_services_too(shop: ShopFactory) -> None:
    first, second = "cloud-config", "user-service"

    def files(shop: Shop, release: str) -> dict[str, str]:
        both = []
        for name in (second, first):
            pods = shapes.template(
                name,
                shapes.container(shop, name, env=flag(release)),
                initContainers=[{"name": "prepare", "image": shop.image(name), "command": ["/bin/busybox", "true"]}],
            )
            both += [shapes.workload("Deployment", name, pods), shapes.service(name)]
        return {f"k8s/{first}/all.yaml": shapes.file(*both)}

    it = shop(services=(first, second), manifests=files)
    it.rollback_yaml(
        {
            "manifests": {"path": "k8s"},
            "services": {"order": [[first]], "order_wait": "updated"},
            "environments": {
                "prod": {"context": "test", "namespace": it.namespace, "overlay": {"env": {"PROFILE": "prod"}}}
            },
        }
    )
    for release in (TARGET, FAILED):
        it.deploy(release)
        it.wait_ready()
    product = Product(it)
    product.run()
    it.wait_ready()
    done = [json.loads(line) for line in (product.latest / "journal.jsonl").read_text().splitlines()]
    assert [e["key"] for e in done if e["mark"] == "done"] == [f"apply/deployment/{n}" for n in (first, second)]
    for name in (first, second):
        pod_spec = live(it, "deployment", name)["spec"]["template"]["spec"]
        assert {"name": "PROFILE", "value": "prod"} in pod_spec["containers"][0]["env"]
        assert "@sha256:" in pod_spec["initContainers"][0]["image"]
    applied = it.cluster.kubectl(
        "apply", "--recursive", f"--filename={product.manifests}", namespace=it.namespace
    ).stdout
    assert all(line.endswith("unchanged") for line in applied.splitlines()), applied
