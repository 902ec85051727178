"""D50: what a file calls its object is a name or is refused, and leads no request elsewhere."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import GOOD, NAMESPACE
from tests.cli.desk import Desk

WALKS = "../api/v1/namespaces/kube-system/configmaps?"
FILE = "k8s/user-service/settings.yaml"
ELSEWHERE = [
    ("apiVersion", WALKS), ("apiVersion", f"apps/{WALKS}"), ("apiVersion", "%2e%2e/v1"), ("apiVersion", "v1;x"),
    ("apiVersion", "v1#"), ("apiVersion", "v1?dryRun=All"), ("apiVersion", "V1"), ("apiVersion", "v1\nx"),
    ("apiVersion", "a/b/c"), ("apiVersion", ".."), ("apiVersion", "v" * 3000),
    ("kind", WALKS), ("kind", "ConfigMap?dryRun="), ("kind", "Config/Map"), ("kind", "ConfigMap\n"), ("kind", "../x"),
    ("name", WALKS), ("name", ".."), ("name", "a/b"), ("name", "a\nb"), ("name", "n" * 3000), ("name", "."),
    ("namespace", "../kube-system"), ("namespace", "a/b"), ("namespace", "shop\n"),
]  # fmt: skip
NO_NAMES = ["user%2e%2e", "user;x", "user#x", "user?dryRun=All", "User", "user settings", "%2e%2e%2fsecrets"]


def written(field: str, value: str) -> str:
    identity = {"apiVersion": "v1", "kind": "ConfigMap", "name": "user-settings", "namespace": "", field: value}
    metadata = {key: identity[key] for key in ("name", "namespace") if identity[key]}
    body = {
        "apiVersion": identity["apiVersion"],
        "kind": identity["kind"],
        "metadata": metadata,
        "data": {"limit": "1"},
    }
    return f"# a comment\n{json.dumps(body)}\n"


def stays(desk: Desk) -> None:
    """Every request was one of the shop's namespace, or one of no namespace that any rollback makes."""
    known = ("/version", "/api/v1/nodes", "/apis/authorization.k8s.io/v1/selfsubject")
    for asked in desk.playground.cluster.requests:
        mine = asked.path.partition("/namespaces/")[2].partition("/")[0] in (NAMESPACE, "default")
        assert mine or asked.path.startswith(known), asked.path
        assert not {".", "..", "secrets", "kube-system"} & set(asked.path.split("/")), asked.path


@pytest.mark.parametrize(("field", "value"), ELSEWHERE, ids=[f"{f} {v[:20]!r}" for f, v in ELSEWHERE])
def test_what_cannot_be_an_identity_is_refused_with_its_place(desk: Desk, field: str, value: str) -> None:
    desk.rewrite(GOOD, {FILE: written(field, value)})
    desk.playground.cluster.requests.clear()
    ended = desk.rollback("plan", "--to", GOOD, "--output", "json")
    assert ended.code == 3, ended
    assert f"{FILE}:2" in ended.json["error"]
    stays(desk)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_the_server_does_not_take_leads_nowhere_either(desk: Desk, name: str) -> None:
    refers = f"envFrom: [{{configMapRef: {{name: {json.dumps(name)}}}}}]"
    worker = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: user-worker}}
spec:
  selector: {{matchLabels: {{app: user-worker}}}}
  template:
    metadata: {{labels: {{app: user-worker}}}}
    spec:
      containers: [{{name: user-worker, image: "sanjodb/user-service:prod", {refers}}}]
"""
    desk.rewrite(GOOD, {FILE: written("name", name), "k8s/user-service/worker.yaml": worker})
    desk.playground.cluster.requests.clear()
    assert desk.rollback("plan", "--to", GOOD).code in (0, 3)
    stays(desk)
    assert not desk.playground.cluster.requests.writes()


@pytest.mark.parametrize("name", ["..", "../secrets/user-service", "../../kube-system/configmaps/x?"])
def test_a_reference_leads_nowhere_else(desk: Desk, name: str) -> None:
    volume = f"volumes: [{{name: v, configMap: {{name: {json.dumps(name)}}}}}]"
    text = desk.file(GOOD, "k8s/user-service/deployment.yaml").replace(
        "      containers:", f"      {volume}\n      containers:"
    )
    assert name in text
    desk.rewrite(GOOD, {"k8s/user-service/deployment.yaml": text})
    desk.playground.cluster.requests.clear()
    assert desk.rollback("plan", "--to", GOOD).code == 3
    stays(desk)
