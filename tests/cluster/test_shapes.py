"""What belongs to somebody else, what is left alone, and what only the failed release had."""

import json

from tests.cluster import images, shapes
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import SHARED, Shop, shop_manifests
from tests.cluster.steps import level, live, patch, unchanged

TARGET, FAILED = "v1.1.0", "v1.2.0"


# -- what somebody else owns


def owned_manifests(shop: Shop, release: str) -> dict[str, str]:
    """`web` is scaled by an autoscaler and has a node port; `api` is scaled by hand, and blue/green."""
    files = {SHARED: shapes.file(shapes.config_map("common-config", {"A": "1"}))}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
        },
    }
    for name in ("web", "api"):
        pods = shapes.template(name, shapes.container(shop, name, **level(release)), labels={"color": "blue"})
        files[f"k8s/{name}/deployment.yaml"] = shapes.file(shapes.workload("Deployment", name, pods, replicas=1))
    files["k8s/web/service.yaml"] = shapes.file(shapes.service("web", type="NodePort"))
    files["k8s/web/hpa.yaml"] = shapes.file(scaler)
    files["k8s/api/service.yaml"] = shapes.file(shapes.service("api", selector={"app": "api", "color": "blue"}))
    return files


def free_node_port(cluster: Cluster) -> int:
    taken = {
        port.get("nodePort")
        for service in cluster.get("services", "--all-namespaces")["items"]
        for port in service["spec"].get("ports", [])
    }
    return next(port for port in range(31200, 32000) if port not in taken)


def test_what_somebody_else_owns_stays_and_is_said(shop: ShopFactory) -> None:
    made = shop(services=("web", "api"), manifests=owned_manifests)
    made.rollback_yaml()
    made.deploy(TARGET)
    made.wait_ready()
    made.deploy(FAILED)
    for name, replicas in (("web", 3), ("api", 2)):
        made.cluster.kubectl("scale", f"deployment/{name}", f"--replicas={replicas}", namespace=made.namespace)
    port = free_node_port(made.cluster)
    change = [{"op": "replace", "path": "/spec/ports/0/nodePort", "value": port}]
    made.cluster.kubectl(
        "patch", "service/web", "--type=json", f"--patch={json.dumps(change)}", namespace=made.namespace
    )
    pods = shapes.template("api", shapes.container(made, "api", name="green"), labels={"color": "green"})
    green = shapes.workload("Deployment", "api-green", pods)
    green["spec"]["selector"] = {"matchLabels": {"color": "green"}}
    made.cluster.apply(shapes.file(green), namespace=made.namespace)
    made.cluster.kubectl("rollout", "status", "deployment/api-green", namespace=made.namespace)
    patch(made, "service/api", {"spec": {"selector": {"color": "green"}}})
    foreign = {"metadata": {"annotations": {"team.example/on-call": "ana"}, "labels": {"team.example/cost": "42"}}}
    for what in ("deployment/api", "service/api", "service/web"):
        patch(made, what, foreign)
    made.wait_ready()

    product = Product(made)
    plan = product.plan()
    assert plan.kept == {
        "Deployment/api": ["spec.replicas stays 2 (the release: 1)"],
        "Service/api": ["spec.selector.color stays green (the release: blue)"],
    }
    said = " ".join(plan.text.split())
    assert "Service/api: spec.selector.color stays green (the release: blue): somebody else set it" in said
    product.run()
    made.wait_ready()
    deployments = {d["metadata"]["name"]: d for d in live(made, "deployments")["items"]}
    services = {s["metadata"]["name"]: s for s in live(made, "services")["items"]}
    replicas = {name: d["spec"]["replicas"] for name, d in deployments.items()}
    assert replicas == {"web": 3, "api": 2, "api-green": 1}
    assert services["web"]["spec"]["ports"][0]["nodePort"] == port
    assert services["api"]["spec"]["selector"] == {"app": "api", "color": "green"}
    for one in (deployments["api"], services["api"], services["web"]):
        assert one["metadata"]["annotations"]["team.example/on-call"] == "ana"
        assert one["metadata"]["labels"]["team.example/cost"] == "42"
    assert made.served("web") == TARGET
    assert made.running_digests() == {name: {digest} for name, digest in made.digests[TARGET].items()}
    assert product.run().last_line.startswith("Nothing to do")


# -- what is left alone


def left_manifests(shop: Shop, release: str) -> dict[str, str]:
    """`user-service`, a report that the team has taken down by hand, a migration and a nightly job."""
    files = {name: text for name, text in shop_manifests(shop, release).items() if "user-service" in name}
    files[SHARED] = shapes.file(shapes.config_map("common-config", {"A": "1"}))
    pods = shapes.template("report", shapes.container(shop, "report", **level(release)))
    files["k8s/report/all.yaml"] = shapes.file(shapes.workload("Deployment", "report", pods), shapes.service("report"))
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}}
    nightly = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}}
    hour = {"v1.0.0": 1, TARGET: 2, FAILED: 3}[release]
    files["k8s/user-service/jobs.yaml"] = shapes.file(
        {**job, "spec": shapes.job_spec(shop, "user-service", ["true"])},
        {
            **nightly,
            "spec": {
                "schedule": f"0 {hour} * * *",
                "jobTemplate": {"spec": shapes.job_spec(shop, "user-service", ["echo", release])},
            },
        },
    )
    return files


def test_what_does_not_run_is_not_started_and_a_job_not_run_again(shop: ShopFactory) -> None:
    made = shop(services=("user-service", "report"), manifests=left_manifests)
    made.rollback_yaml()
    made.deploy(TARGET)
    made.wait_ready()
    made.cluster.kubectl("wait", "--for=condition=Complete", "job/migrate", "--timeout=30s", namespace=made.namespace)
    job = live(made, "job", "migrate")["metadata"]["uid"]
    made.deploy(FAILED)
    made.cluster.kubectl("delete", "deployment/report", "service/report", namespace=made.namespace)
    made.wait_ready(("user-service",))

    product = Product(made)
    plan = product.plan()
    expected = {
        "Deployment/report": "left", "Service/report": "left", "Job/migrate": "left", "CronJob/nightly": "update",
        "Deployment/user-service": "update",
    }  # fmt: skip
    assert {name: plan.changes[name] for name in expected} == expected
    mark = made.cluster.audit_mark()
    product.run()
    written = made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    assert sorted(w["objectRef"]["name"] for w in written) == ["nightly", "user-service"]
    nightly = live(made, "cronjob", "nightly")["spec"]
    (container,) = nightly["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert (nightly["schedule"], container["command"]) == ("0 2 * * *", ["echo", TARGET])
    assert container["image"].endswith(f"@{made.digests[TARGET]['user-service']}")
    assert [j["metadata"]["uid"] for j in live(made, "jobs")["items"]] == [job]
    assert [d["metadata"]["name"] for d in live(made, "deployments")["items"]] == ["user-service"]
    assert [s["metadata"]["name"] for s in live(made, "services")["items"]] == ["user-service"]
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)


# -- what only the failed release had


def orphan_manifests(shop: Shop, release: str) -> dict[str, str]:
    """v1.2.0 brings a service of its own, with configuration, a password and a disk."""
    files = {name: text for name, text in shop_manifests(shop, release).items() if "promo" not in name}
    if release != FAILED:
        return files
    pods = shapes.template(
        "promo", shapes.container(shop, "promo", envFrom=[{"configMapRef": {"name": "promo-config"}}])
    )
    meta = {"name": "promo-data"}
    files["k8s/promo/all.yaml"] = shapes.file(
        shapes.config_map("promo-config", {"BANNER": "winter"}),
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"password": "hunter2"}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta,
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        },
        shapes.workload("Deployment", "promo", pods),
        shapes.service("promo"),
    )
    return files


def test_what_only_the_failed_release_had_goes_last_and_data_stays(shop: ShopFactory) -> None:
    made = shop(services=("user-service", "promo"), manifests=orphan_manifests)
    made.rollback_yaml()
    made.deploy(TARGET, services=("user-service",))
    made.wait_ready(("user-service",))
    made.deploy(FAILED)
    made.wait_ready()
    product, code = Product(made), "--accept=orphan:Deployment/promo"
    plan = product.plan(code)
    assert plan.data["current"]["release"] == FAILED
    assert plan.orphans == {
        "ConfigMap/promo-config": "delete", "Deployment/promo": "delete", "Service/promo": "delete",
        "Secret/promo-data": "left", "PersistentVolumeClaim/promo-data": "left",
    }  # fmt: skip
    assert "hunter2" not in plan.text
    mark = made.cluster.audit_mark()
    product.run(code)
    written = [
        (w["verb"], w["objectRef"]["resource"], w["objectRef"]["name"])
        for w in made.cluster.writes(mark, user=OPERATOR, namespace=made.namespace)
    ]
    assert written[0] == ("patch", "deployments", "user-service")
    assert sorted(written[1:]) == [
        ("delete", "configmaps", "promo-config"), ("delete", "deployments", "promo"), ("delete", "services", "promo"),
    ]  # fmt: skip
    assert written[-1] == ("delete", "configmaps", "promo-config")
    left = live(made, "secrets,persistentvolumeclaims")["items"]
    assert [o["kind"] for o in left if o["metadata"]["name"] == "promo-data"] == ["Secret", "PersistentVolumeClaim"]
    assert made.served("user-service") == TARGET
    assert product.run().last_line.startswith("Nothing to do")


# -- several containers, an overlay, one file with everything


def containers_manifests(shop: Shop, release: str) -> dict[str, str]:
    """One file. The pod has an init container and a helper of the team's own, and a vendor's log shipper."""
    own = {"name": "warm-up", "image": shop.image("user-service"), "command": ["true"]}
    helper = shapes.container(shop, "order-service", name="helper", **level(release))
    helper["env"] += shapes.variable("SERVER_PORT", "9090")
    helper["readinessProbe"] = {"httpGet": {"path": "/", "port": 9090}, "periodSeconds": 1}
    vendor = {"name": "shipper", "image": f"vendor-{shop.namespace}/shipper:2.4", "command": ["sleep", "1000000"]}
    main = shapes.container(shop, "user-service", **level(release))
    pods = shapes.template("user-service", main, helper, vendor, initContainers=[own])
    everything = (
        shapes.config_map("common-config", {"A": "1"}),
        shapes.workload("Deployment", "user-service", pods),
        shapes.service("user-service"),
        shapes.workload(
            "Deployment",
            "order-service",
            shapes.template("order-service", shapes.container(shop, "order-service", **level(release))),
        ),
        shapes.service("order-service"),
    )
    return {SHARED: shapes.file(*everything)}


def test_each_container_gets_its_image_from_one_file_with_the_overlay(shop: ShopFactory) -> None:
    """The deploy job sets a variable after it applied: that is part of what ran."""
    made = shop(services=("user-service", "order-service"), manifests=containers_manifests)
    overlay = {"env": {"SPRING_PROFILES_ACTIVE": "prod"}}
    where = {"context": "test", "namespace": made.namespace, "overlay": overlay}
    made.rollback_yaml({"manifests": {"path": "k8s"}, "environments": {"prod": where}})
    vendor = images.push(made.cluster.registry_url, f"vendor-{made.namespace}/shipper", "2.4", "good", "2.4")
    for release in (TARGET, FAILED):
        made.deploy(release)
        for service, container in (("user-service", "user-service,helper"), ("order-service", "order-service")):
            for name in container.split(","):
                arguments = ("set", "env", f"deployment/{service}", f"--containers={name}")
                made.cluster.kubectl(*arguments, "SPRING_PROFILES_ACTIVE=prod", namespace=made.namespace)
        made.wait_ready()
    product = Product(made)
    plan = product.plan()
    found = {(c["workload"], c["name"], c["rung"]) for s in plan.data["services"] for c in s["containers"]}
    assert found == {
        ("Deployment/user-service", "warm-up", "release-tag"),
        ("Deployment/user-service", "user-service", "release-tag"),
        ("Deployment/user-service", "helper", "release-tag"),
        ("Deployment/user-service", "shipper", "as-is"),
        ("Deployment/order-service", "order-service", "release-tag"),
    }
    product.run()
    made.wait_ready()
    assert made.served_all() == {"user-service": TARGET, "order-service": TARGET}
    digests = made.digests[TARGET]
    (pod,) = made.pods("user-service")
    running = {
        status["name"]: status["imageID"].rpartition("@")[2]
        for status in (*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"])
    }
    assert running == {
        "user-service": digests["user-service"], "warm-up": digests["user-service"],
        "helper": digests["order-service"], "shipper": vendor,
    }  # fmt: skip
    spec = live(made, "deployment", "user-service")["spec"]["template"]["spec"]
    profiles = {
        c["name"]: [e["value"] for e in c.get("env", []) if "PROFILES" in e["name"]] for c in spec["containers"]
    }
    assert profiles == {"user-service": ["prod"], "helper": ["prod"], "shipper": []}
    assert product.run().last_line.startswith("Nothing to do")
    unchanged(made, product)
