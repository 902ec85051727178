"""What is told of a server's answer. `server_answers.json` has what Kubernetes 1.36.3 and its kubectl really said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.kubernetes_http import Answer
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.server_answers import dotted, not_text, told, without_quotes
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.plan import dry_run
from rollback_lib.core.redact import HIDDEN

SECRET = "hunter2-S3CRET"  # in a variable of each object, and in what was refused
ANSWERS: dict[str, str] = json.loads(Path(__file__).with_name("server_answers.json").read_text("utf-8"))
MAIN = "spec.template.spec.containers[0]"
NUMBER = (
    "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"
)
CAUSES = {
    "api: patch env number": f'"" is invalid: {NUMBER}',
    "api: patch label number": "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    "api: patch cm data number": "cannot unmarshal number into Go struct field ConfigMap.data of type string",
    "api: patch unknown strict": f'strict decoding error: unknown field "{MAIN}.foo"',
    "api: patch quantity": "quantities must match the regular expression",
    "api: patch port": f"{MAIN}.ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
    "api: patch env name": f"{MAIN}.env[1].name: Invalid value: {HIDDEN}: a valid environment variable name",
    "api: patch label invalid": f"metadata.labels: Invalid value: {HIDDEN}: a valid label must be an empty string",
    "api: patch selector": f"spec.selector: Invalid value: {HIDDEN}: field is immutable",
    "api: patch valueFrom": f'{MAIN}.env[1].valueFrom: Invalid value: "": may not be specified',
    "api: patch mount": f"{MAIN}.volumeMounts[0].name: Not found: {HIDDEN}",
    "api: patch restart": f'restartPolicy: Unsupported value: {HIDDEN}: supported values: "Always", "OnFailure"',
    "api: create env number": NUMBER,
    "api: create name": f"metadata.name: Invalid value: {HIDDEN}: a lowercase RFC 1123 subdomain",
    "api: create cron": f"spec.schedule: Invalid value: {HIDDEN}: expected exactly 5 fields, found 2: [{HIDDEN}]",
    "api: create hpa": 'apiVersion: Invalid value: "": apiVersion must specify API group',
    "api: policy denies": f"denied request: replicas 7 is forbidden for DB_PASSWORD={HIDDEN},V=x",
    "kubectl: patch number": f"The request is invalid: {NUMBER}",
    "kubectl: apply number": "The request is invalid: cannot convert int64 to string",
    "kubectl: create number": f'Error from server (BadRequest): error when creating "/run/before/request.json": '
    f'Deployment in version "v1" cannot be handled as a Deployment: {NUMBER}',
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_gives_away_what_it_quotes(name: str) -> None:
    said = told(ANSWERS[name])
    assert SECRET not in said
    assert "fieldsV1" not in said
    assert len(said) < 900


def test_most_of_these_answers_quote_a_secret() -> None:
    assert sum(SECRET in text for text in ANSWERS.values()) > 15


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told(name: str) -> None:
    assert CAUSES[name] in told(ANSWERS[name])


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ('admission webhook "policy.example.com" denied the request: no tag in {"image":"a","env":[{"value":"x"}]}: '
         "see it", f'admission webhook "policy.example.com" denied the request: no tag in {HIDDEN}: see it'),
        ("denied: map[env:[map[name:A value:x y]] image:a]; ask platform", f"denied: {HIDDEN}; ask platform"),
        ('denied: v1.Container{Name:"a", Env:[]v1.EnvVar{v1.EnvVar{Value:"}x"}}}: no', f"denied: {HIDDEN}: no"),
        (r'denied: "{\"a\":\"cut in the midd', f'denied: "{HIDDEN}'),
        ("spec.a: Invalid value: map[string]string{\"a\":\"b\"}: bad", f"spec.a: Invalid value: {HIDDEN}: bad"),
        ('a: Invalid value: "x\\"y: z": bad, b: Duplicate value: "q9Q": worse',
         f"a: Invalid value: {HIDDEN}: bad, b: Duplicate value: {HIDDEN}: worse"),
        ('a: Invalid value: "cut', f"a: Invalid value: {HIDDEN}"),
        ("a: Invalid value: ", "a: Invalid value:"),
        ('spec.volumes[0].name: Not found: "tmp"', 'spec.volumes[0].name: Not found: "tmp"'),
        ("spec.ports[0].protocol: Unsupported value: \"HTTP\": supported", 'spec.ports[0].protocol: Unsupported value: '
         '"HTTP": supported'),
        ("spec.replicas: Invalid value: -1: must be greater", "spec.replicas: Invalid value: -1: must be greater"),
        ("token: Invalid value: 12345678901234567890123456: long", f"token: Invalid value: {HIDDEN}: long"),
        ("denied: []v1.EnvVar{{Value:\"x\"}}, sorry", f"denied: {HIDDEN}, sorry"),
        ("of type map[string]string", "of type map[string]string"),
        ('pods "web" is forbidden: exceeded quota: q, requested: pods=1', 'pods "web" is forbidden: exceeded quota: q, '
         "requested: pods=1"),
        ('must set securityContext.capabilities.drop=["ALL"]', 'must set securityContext.capabilities.drop=["ALL"]'),
    ],
)  # fmt: skip
def test_other_ways_to_quote(said: str, is_told: str) -> None:
    assert without_quotes(said) == is_told


def test_the_adapter_tells_no_object_be_it_json_or_not() -> None:
    quoted = ANSWERS["api: patch env number"]
    for body in (json.dumps({"kind": "Status", "message": quoted}), quoted):
        assert SECRET not in Answer(422, body.encode()).message()


# -- a value without quotes

FILE = """\
# the shop
apiVersion: v1
kind: Secret
metadata: {name: web}
---
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: web
    labels:
      v: 12e3
    annotations: {ready: yes, text: "5"}
  spec:
    replicas: 3
    selector: {matchLabels: {app: web, v: 5}}
    template:
      metadata: {labels: {app: web}}
      spec:
        containers:
        - name: main
          args: [-p, 8080]
          ports: [{containerPort: 8080}]
          env:
          - {name: A, value: text}
          - name: B
            value: 1.50
"""


def test_each_number_where_text_is_meant_is_found_with_its_line() -> None:
    manifest = manifest_objects.parse(FILE.encode(), "k8s/web.yaml")
    (found,) = (d.object for d in manifest.documents if d.object["kind"] == "Deployment")
    lines = {
        dotted(path): (what, manifest_objects.line_of(manifest, ObjectRef("Deployment", "web"), path))
        for path, what in not_text(found)
    }
    assert lines == {
        "metadata.labels.v": ("a number", 14),
        "metadata.annotations.ready": ("true or false", 15),
        "spec.selector.matchLabels.v": ("a number", 18),
        "spec.template.spec.containers[0].args[1]": ("a number", 24),
        "spec.template.spec.containers[0].env[1].value": ("a number", 29),
    }


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        ({"kind": "ConfigMap", "data": {"a": 5, "b": "5"}}, ["data.a"]),
        ({"kind": "Service", "spec": {"selector": {"v": 1.0}, "ports": [{"port": 80}]}}, ["spec.selector.v"]),
        ({"kind": "PodDisruptionBudget", "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": True}}}},
         ["spec.selector.matchLabels.a"]),
    ],
)  # fmt: skip
def test_in_other_kinds_too(obj: Any, where: list[str]) -> None:
    assert [dotted(path) for path, _ in not_text(obj)] == where


def test_a_value_that_is_not_there_has_no_line() -> None:
    manifest = manifest_objects.parse(FILE.encode(), "k8s/web.yaml")
    for path in (("spec", "nothing"), ("spec", "template", "spec", "containers", 7)):
        assert manifest_objects.line_of(manifest, ObjectRef("Deployment", "web"), path) == 0
    assert manifest_objects.line_of(manifest, ObjectRef("Deployment", "other"), ("spec",)) == 0


def test_a_refusal_says_where_and_what_to_do() -> None:
    refusal = Refusal("Deployment/web: the server refuses it: bad", code="skip:Deployment/web")
    found = dry_run.placed(refusal, [("k8s/web.yaml:14", "metadata.labels.v", "a number")])
    assert str(found) == (
        "Deployment/web: the server refuses it: bad. k8s/web.yaml:14: metadata.labels.v is a number, where only text "
        "may be. Put it in quotes there, or leave the object as it is. [--accept skip:Deployment/web]"
    )
    assert dry_run.placed(refusal, []) == refusal
