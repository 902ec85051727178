"""What lies in a tag cannot be edited any more: it is read as kubectl reads it, or there is a way through."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import WORKER, Desk

FILE = "k8s/user-service/deployment.yaml"
MONITOR = """apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, annotations: {said: "${TEAM}"}}
spec: {said: "{{- end }} __TAG__"}
"""
ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: jobs, namespace: %s}\nrules: [%s]\n"


def manifests(desk: Desk, more: str) -> None:
    """rollback.yaml with more in its section of manifests."""
    path = desk.playground.repository / "rollback.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("manifests:\n", f"manifests:\n  {more}\n"), encoding="utf-8")


def planned(desk: Desk) -> Any:
    ended = desk.rollback("plan", "--to", GOOD, "--accept", WORKER, "--output", "json")
    assert ended.code == 0, ended.json["error"]
    return ended.json["plan"]


def refused(desk: Desk) -> str:
    ended = desk.rollback("plan", "--to", GOOD, "--accept", WORKER, "--output", "json")
    assert ended.code == 3, ended
    return str(ended.json["error"])


def changes(plan: Any) -> dict[str, str]:
    return {f"{o['kind']}/{o['name']}": o["change"] for s in plan["services"] for o in s["objects"]}


def test_a_key_that_stands_twice_is_read_as_kubectl_reads_it_and_warned_of(desk: Desk) -> None:
    text = desk.file(GOOD, FILE)
    image = next(line for line in text.splitlines() if line.strip().startswith("image: "))
    desk.rewrite(GOOD, {FILE: text.replace(image, f"{image.split('image')[0]}image: nobody/none:1\n{image}")})
    line = text[: text.index(image)].count("\n") + 2
    plan = planned(desk)
    assert changes(plan)["Deployment/user-service"] == "update"
    assert "nobody/none" not in str(plan)
    said = f"{FILE}:{line}: the key 'image' stands on line {line - 1} too: this one counts, as for kubectl"
    assert said in plan["warnings"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("k8s/user-service/values.yaml", "replicas: 3\n"),
        ("k8s/user-service/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("k8s/user-service/dashboard.json", '{"title": "Users"}\n'),
        ("k8s/user-service/chart/templates/web.yaml", "{{- if .Values.web }}\na: b\n{{- end }}\n"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_the_setting_that_leaves_it_out(
    desk: Desk, file: str, text: str
) -> None:
    desk.rewrite(GOOD, {file: text})
    said = refused(desk)
    assert f"{file}:1" in said
    assert f'`manifests: {{ignore: ["{file}"]}}` in rollback.yaml' in said
    before = desk.settings
    manifests(desk, f'ignore: ["{file}"]')
    assert changes(planned(desk))["Deployment/user-service"] == "update"
    before()
    manifests(desk, f'ignore: ["k8s/**/{file.rpartition("/")[2]}"]')
    assert changes(planned(desk))["Deployment/user-service"] == "update"


def test_what_is_left_out_is_left_out_of_every_release(desk: Desk) -> None:
    """What only the failed release has in such a file was not deployed from it, and is no orphan of ours."""
    manifests(desk, 'ignore: ["k8s/**/worker.yaml"]')
    assert "k8s/user-service/worker.yaml" in desk.playground.shop.files(BAD)
    ended = desk.rollback("plan", "--to", GOOD, "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert "user-worker" not in [o["name"] for o in ended.json["plan"]["orphans"]]


def test_a_service_of_which_all_is_left_out_is_none(desk: Desk) -> None:
    desk.rewrite(GOOD, {"k8s/charts/values.yaml": "a: 1\n"})
    manifests(desk, 'ignore: ["k8s/charts/*"]')
    assert "charts" not in [s["name"] for s in planned(desk)["services"]]


def test_one_object_in_two_files_that_differ_is_refused_with_the_setting(desk: Desk) -> None:
    copy = FILE.replace("deployment", "old-deployment")
    desk.rewrite(GOOD, {copy: desk.file(GOOD, FILE).replace("replicas: ", "replicas: 1")})
    said = refused(desk)
    assert f"Deployment/user-service stands in {FILE} and {copy}, and they differ." in said
    assert f'`manifests: {{ignore: ["{copy}"]}}` in rollback.yaml' in said
    manifests(desk, f'ignore: ["{copy}"]')
    assert changes(planned(desk))["Deployment/user-service"] == "update"


def test_what_is_never_written_is_listed_whatever_stands_in_it(desk: Desk) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {a: b}\ntype: ${TYPE}\n"
    roles = "---\n".join(ROLE % (where, rule) for where, rule in (("one", ""), ("two", "{verbs: [get]}")))
    desk.rewrite(GOOD, {"k8s/user-service/more.yaml": "---\n".join((MONITOR, secret, roles))})
    found = changes(planned(desk))
    assert found["PrometheusRule/rules"] == "left"
    assert found["Role/jobs"] == "left"


def test_an_annotation_of_what_is_written_keeps_its_text_by_a_setting(desk: Desk) -> None:
    text = desk.file(GOOD, FILE).replace(
        "metadata:\n", "metadata:\n  annotations: {tpl: '{{- end }}', who: '${X}'}\n", 1
    )
    desk.rewrite(GOOD, {FILE: text})
    said = refused(desk)
    assert "placeholder ${X} has no value" in said
    assert "keep the text with X: '${X}'" in said
    assert "{{- end }}" not in said
    manifests(desk, "substitute: {X: '${X}'}")
    assert changes(planned(desk))["Deployment/user-service"] == "update"
