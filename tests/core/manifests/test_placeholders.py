"""Placeholders that nobody filled in are found where a deploy job templates, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import placeholders
from rollback_lib.core.manifests.manifest_objects import parse

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"
FILE = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop-${ENV}
  namespace: "$NAMESPACE"   # where
spec:
  replicas: ${REPLICAS:-1}
  template:
    metadata:
      labels: {version: __TAG__, app: {{APP}}}
    spec:
      containers:
      - name: shop
        image: ${REGISTRY}/shop:${TAG}
        command: [sh, -c, 'echo $HOME ${PATH}']
        args: ["$1", "${X}"]
        env:
        - {name: A, value: $(POD_IP)}
        - {name: B, value: '^/api/(.*)$'}
        - {name: C, value: "costs $5 and __name__ and {{ .Values.x }} and {{ $labels.pod }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: nginx}
data:
  nginx.conf: "proxy_pass $UPSTREAM; {{NAME}} ${host}"
"""


def find(data: bytes, file: str) -> tuple[placeholders.Found, ...]:
    return placeholders.find(parse(data, file))


def substitute(data: bytes, file: str, values: Mapping[str, str]) -> bytes:
    return placeholders.substitute(parse(data, file), values).data


def test_placeholders_are_found_with_their_place_and_name() -> None:
    found = find(FILE.replace("app: {{APP}}", "app: x").encode(), "k8s/shop.yaml")
    assert [(f.line, f.text, f.name) for f in found] == [
        (4, "${ENV}", "ENV"),
        (5, "$NAMESPACE", "NAMESPACE"),
        (7, "${REPLICAS:-1}", "REPLICAS"),
        (10, "__TAG__", "TAG"),
    ]
    said = str(found[1].problem())
    assert "k8s/shop.yaml:5:14: Deployment/shop-${ENV} metadata.namespace: placeholder $NAMESPACE" in said
    assert "substitute:" in said


def test_an_unquoted_double_brace_is_found_too() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{NAME}}\nspec:\n  ports:\n  - port: {{ PORT }} # c\n"
    assert [f.name for f in find(text.encode(), "f")] == ["NAME", "PORT"]
    after = substitute(text.encode(), "f", {"NAME": "shop", "PORT": "80"}).decode()
    assert after == text.replace("{{NAME}}", "shop").replace("{{ PORT }}", "80")


def test_values_are_filled_in_and_every_other_byte_stays() -> None:
    text = FILE.replace("app: {{APP}}", "app: x")
    values = {"ENV": "prod", "NAMESPACE": "shop", "REPLICAS": "3", "HOME": "no", "X": "no", "host": "no", "TAG": "v1"}
    expected = text.replace("${ENV}", "prod").replace("$NAMESPACE", "shop").replace("${REPLICAS:-1}", "3")
    expected = expected.replace("__TAG__", "v1")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert substitute(text.encode(encoding), "f", values) == expected.encode(encoding)
    assert [f.text for f in find(substitute(text.encode(), "f", {"ENV": "prod"}), "f")] == [
        "$NAMESPACE",
        "${REPLICAS:-1}",
        "__TAG__",
    ]


@pytest.mark.parametrize("value", ["a: b", "a # b", "x\ny: 1", "*y", "[1]", "'q'", "\n---\n"])
def test_a_value_that_would_change_the_structure_is_refused_with_its_place(value: str) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  labels:\n    a: ${A}\n"
    with pytest.raises(RefusedError, match=r"f\.yaml"):
        substitute(text.encode(), "f.yaml", {"A": value})


def test_a_quote_in_a_quoted_placeholder_is_refused() -> None:
    text = 'apiVersion: v1\nkind: Service\nmetadata: {name: x, labels: {a: "${A}"}}\n'
    with pytest.raises(RefusedError, match=r"f\.yaml:3"):
        substitute(text.encode(), "f.yaml", {"A": 'x", b: "y'})


def test_a_definition_and_a_script_are_left_alone() -> None:
    text = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n"
        "spec: {description: 'use ${NAME}'}\n---\n"
        "apiVersion: x/v1\nkind: Task\nmetadata: {name: t}\nspec:\n  script: |\n    echo $HOME\n    echo ${X}\n"
    )
    assert find(text.encode(), "f") == ()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real manifests is not beside the project")
def test_real_files_have_the_placeholders_that_their_jobs_fill_and_no_others() -> None:
    names: dict[str, set[str]] = {}
    for path in sorted(CORPUS.rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".json"):
            continue
        try:
            found = find(path.read_bytes(), str(path))
        except RefusedError:
            continue
        if found:
            names.setdefault(path.relative_to(CORPUS).parts[1], set()).update(f.name for f in found)
    assert names == {
        "doks-monitoring": {"APP_INSTANCE_NAME", "NAMESPACE"},
        "ecommerce-dylanbc1": {"SERVICE_NAME", "PORT"},
        "lms-books": {"BLUE_VERSION", "GREEN_VERSION"},
    }


@pytest.mark.parametrize("token", ["#{LIMIT}#", "@@LIMIT@@", "%%LIMIT%%", "[[ .LIMIT ]]"])
def test_a_token_of_a_tool_that_reads_everything_is_filled_in_wherever_it_stands(token: str) -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
        f'  one: "{token}"\n  many: |\n    limit: {token}\n    host: ${{LIMIT}}\n'
    )
    filled = placeholders.substitute(parse(text.encode(), "a.yaml"), {"LIMIT": "10"})
    assert filled.documents[0].object["data"] == {"one": "10", "many": "limit: 10\nhost: ${LIMIT}\n"}
    other = placeholders.substitute(parse(text.encode(), "a.yaml"), {"OTHER": "10"})
    assert other.data == text.encode()
