"""doctor and status, against a real API server, registry and kubelet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.conftest import ShopFactory
from tests.cluster.shop import Shop
from tests.command_line import Ended, rollback

LOOKS = ["get", "list", "watch"]
FULL = [
    {
        "apiGroups": [""],
        "resources": ["configmaps", "services"],
        "verbs": [*LOOKS, "create", "update", "patch", "delete"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": [*LOOKS, "create", "patch", "delete"]},
    {"apiGroups": ["apps"], "resources": ["replicasets", "controllerrevisions"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list"]},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update", "delete"]},
]


def command(shop: Shop, *arguments: str, user: str = "admin") -> Ended:
    kubectl = str(Path(shop.cluster.kubectl_path).parent)
    environ = {
        "KUBECONFIG": shop.cluster.kubeconfig(user),
        "PATH": os.pathsep.join((kubectl, os.environ.get("PATH", ""))),
    }
    done = rollback(*arguments, folder=shop.repo, environ=environ)
    print(done.out, done.err)
    assert "Traceback" not in done.out + done.err
    if arguments in (("doctor",), ("status",)):
        # only an address, which nobody could copy in two halves, may be longer
        assert [line for line in done.out.splitlines() if len(line) > 80 and " " in line.strip()] == []
    return done


@pytest.fixture
def small(shop: ShopFactory) -> Shop:
    """Two services of v1.1.0, deployed and ready, with settings; v1.2.0 is tagged and has no images."""
    made = shop(services=("user-service", "order-service"))
    made.deploy("v1.1.0")
    made.wait_ready()
    made.rollback_yaml()
    return made


def test_doctor_finds_everything_there_and_status_names_the_release(shop: ShopFactory) -> None:
    made = shop()
    made.rollback_yaml()
    made.deploy("v1.2.0")
    made.deploy("v1.1.0")
    made.wait_ready()
    made.cluster.grant("operator", made.namespace, FULL)

    doctor = command(made, "doctor", user="operator")
    assert doctor.code == 0
    assert {line[:4].strip() for line in doctor.out.splitlines() if line and line[0] != " "} == {"ok", "Read"}
    said = " ".join(doctor.out.split())
    assert "v1.2.0: 10 of 10 images are there, by release tag or as the manifest names them." in said
    assert "Ready for a rollback." in doctor.out
    found = command(made, "doctor", "--output", "json", user="operator").json
    assert found["ready"] is True
    assert {c["name"] for c in found["checks"]} == {
        "settings", "git tags", "manifests", "registry", "images", "cluster", "kubectl", "permission", "workloads",
        "traffic", "lock",
    }  # fmt: skip

    status = command(made, "status")
    assert status.code == 0
    assert status.out.startswith("ecommerce prod: v1.1.0, 10 of 10 workloads ready\n")
    assert "last run  none on this machine" in status.out
    shown = command(made, "status", "--output", "json").json
    assert shown["current"]["release"] == "v1.1.0"
    # which digest a node reports for an image, that of the manifest or of the config, is its own affair
    assert {len(w["images"][0]["digests"]) for w in shown["workloads"]} == {1}
    assert {w["name"] for w in shown["workloads"]} == set(made.services)
    assert shown["mutable_tags"] == []
    assert not (made.repo / ".rollback").exists()


def test_status_shows_the_last_run_and_the_tag_that_brings_the_failure_back(small: Shop) -> None:
    small.deploy("v1.2.0")
    small.wait_ready()
    assert command(small, "status").out.startswith("ecommerce prod: v1.2.0, 2 of 2")
    assert command(small, "run", "--to", "v1.1.0", "--yes").code == 0
    assert command(small, "plan", "--to", "v1.0.0").code == 3
    status = command(small, "status")
    assert status.out.startswith("ecommerce prod: v1.1.0, 2 of 2 workloads ready\n")
    assert "last run  to v1.1.0, " in status.out
    assert ": done (" in status.out
    assert ":prod in 2 repositories is v1.2.0" in status.out


def test_status_of_a_crashing_release_shows_what_still_serves(small: Shop) -> None:
    small.deploy("v1.2.0", "crash", services=("user-service",))
    small.wait_waiting("user-service")
    status = command(small, "status")
    assert status.code == 0
    shown = command(small, "status", "--output", "json").json["workloads"]
    user = next(w for w in shown if w["name"] == "user-service")
    assert user["health"] != "healthy"
    crashing, serving = user["images"][0]["digests"], user["images"][0]["older"]
    assert (len(crashing), len(serving)) == (1, 1)
    assert serving != crashing
    assert "release unknown, 1 of 2 workloads ready" in status.out
    assert "CrashLoopBackOff" in status.out or "crash" in status.out.lower()


def test_a_small_role_fails_by_the_permission_that_is_missing(small: Shop) -> None:
    without = [
        {**r, "verbs": [v for v in r["verbs"] if v != "patch"]} if "deployments" in r["resources"] else r for r in FULL
    ]
    small.cluster.grant("smallrole", small.namespace, [r for r in without if "pods/log" not in r["resources"]])
    done = command(small, "doctor", user="smallrole")
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "FAIL permission may not patch deployments" in said
    assert "Add to the Role: {apiGroups: [apps], resources: [deployments], verbs: [get, list, patch]}" in said
    assert "warn permission may not get pods/log" in said
    assert "may get, list, patch services" in said


def test_a_role_limited_by_names_is_enough(small: Shop) -> None:
    ours = list(small.services)
    names = {"deployments": ours, "services": ours, "configmaps": ["common-config"]}
    narrow = [
        rule
        for group, resource in (("apps", "deployments"), ("", "services"), ("", "configmaps"))
        for rule in (
            {"apiGroups": [group], "resources": [resource], "verbs": ["list"]},
            {
                "apiGroups": [group],
                "resources": [resource],
                "verbs": ["get", "patch"],
                "resourceNames": names[resource],
            },
        )
    ]
    others = [r for r in FULL if not {"configmaps", "deployments"} & set(r["resources"])]
    small.cluster.grant("named", small.namespace, [*narrow, *others])
    done = command(small, "doctor", "--output", "json", user="named")
    failing = [c for c in done.json["checks"] if c["state"] == "FAIL"]
    assert [c["name"] for c in failing] == ["images"]  # v1.2.0 was never pushed
    assert "Missing: " in failing[0]["text"]


def test_without_a_cluster_doctor_goes_on_and_status_is_refused(small: Shop, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "gone.yaml"
    text = Path(small.cluster.kubeconfig()).read_text()
    server = next(line.split()[-1] for line in text.splitlines() if "server:" in line)
    kubeconfig.write_text(text.replace(server, "https://127.0.0.1:1"))
    environ = {"KUBECONFIG": str(kubeconfig)}
    doctor = rollback("doctor", folder=small.repo, environ=environ)
    print(doctor.out)
    assert doctor.code == 1
    assert "FAIL cluster" in doctor.out
    assert "ok   git tags" in doctor.out
    assert "warn permission  not checked: the cluster comes first." in doctor.out
    status = rollback("status", folder=small.repo, environ=environ)
    assert status.code == 3
    assert "the cluster does not answer" in status.err


def test_a_registry_that_is_down_leaves_the_workloads_visible(small: Shop) -> None:
    down = {"docker.io": {"url": "http://127.0.0.1:1"}}
    small.rollback_yaml({"images": {"repository": f"{small.organization}/{{service}}", "registries": down}})
    doctor = command(small, "doctor")
    assert doctor.code == 1
    assert "FAIL registry" in doctor.out
    status = command(small, "status")
    assert status.code == 0
    # what was applied is what one release's manifests say
    assert status.out.startswith("ecommerce prod: v1.1.0, 2 of 2 workloads ready\n")
    assert "Deployment/user-service" in status.out
