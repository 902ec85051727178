"""Where a release's files name an object, in whatever kind of file."""

from __future__ import annotations

import pytest

from rollback_lib.core.manifests.naming import named
from rollback_lib.core.manifests.tree import may_be_text

NAMES_API = {
    "a template": "metadata:\n  name: api\n  labels: {{ .labels }}\n",
    "in quotes": "name: 'api'",
    "JSON": '{"metadata": {"name": "api"}}',
    "JSON in one word": '{"name":"api"}',
    "a mapping on one line": "- {name: api, port: 80}",
    "a list's item": "  - name: api # the gate\n",
    "CRLF": "name: api\r\nkind: Service\r\n",
    "another key that is a name": "serviceName: api\n",
    "upper case": "API_NAME=api\n",
    "HCL": '  name   = "api"\n',
    "a value on the next line": "name:\n  api\n",
    "a folded value": "name: >-\n  api\n",
    "an anchor": "name: &it api\n",
    "a tag": "name: !!str api\n",
    "a chart's values": "fullnameOverride: api\n",
    "the last word of a file": "name: api",
    "a document that does not read": "}{\nname: api\n",
    "before a template's end": "name: api{{ end }}\n",
    "XML": "<name>api</name>",
}


@pytest.mark.parametrize("text", NAMES_API.values(), ids=NAMES_API)
def test_a_name_is_found_in_any_kind_of_file(text: str) -> None:
    assert named({"api"}, {"deploy/x.tmpl": text.encode()}) == {"api": "deploy/x.tmpl"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_name_is_found_in_any_encoding(encoding: str) -> None:
    assert named({"api"}, {"x": "# año\nname: api\n".encode(encoding)}) == {"api": "x"}


@pytest.mark.parametrize(
    "text",
    ["name: api-gateway", "name: my-api", "name: api.v2", "app: api", "image: shop/api", "rename the api", "name: apis",
     "name: api gateway of the shop", "names: [api]", "namespace: api"],
)  # fmt: skip
def test_a_part_of_another_value_is_no_name(text: str) -> None:
    assert named({"api"}, {"x": text.encode()}) == {}


def test_the_first_file_stands_for_each_name() -> None:
    texts = {"b": b"name: web\nname: api\n", "a": b"name: api\n", "c": b"name: web\n"}
    assert named({"api", "web", "cache"}, texts) == {"api": "a", "web": "b"}


@pytest.mark.parametrize(("path", "read"), [("a/logo.png", False), ("LIB.JAR", False), ("k8s/api.yaml.tmpl", True),
                                             ("Makefile", True), ("a.png/README", True), (".gz", True)])  # fmt: skip
def test_what_makes_a_repository_large_is_not_looked_through(path: str, read: bool) -> None:
    assert may_be_text(path) is read
