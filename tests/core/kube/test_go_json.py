"""JSON as Go writes it, and the JSON of our own hashes: two encoders, neither of which may take the other's place."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from rollback_lib.core.kube import go_json
from rollback_lib.core.kube.objects import fingerprint, template_hash
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.plan.three_way import last_applied_text
from rollback_lib.core.record import canonical

# Each right side is what Go 1.26's encoding/json gave for the left.
TEXTS = [
    ("a&b<c>d", '"a\\u0026b\\u003cc\\u003ed"'),
    ("año", '"año"'),
    ("\U0001f600", '"\U0001f600"'),
    ("\u2028\u2029", '"\\u2028\\u2029"'),
    ("\x7f\x80\x85\ufeff\uffff", '"\x7f\x80\x85\ufeff\uffff"'),
    ("\x00\x01\x1f", '"\\u0000\\u0001\\u001f"'),
    ("\b\f\n\r\t", '"\\b\\f\\n\\r\\t"'),
    ("\"\\/'", '"\\"\\\\/\'"'),
    ("half \ud800 of a pair", '"half \ufffd of a pair"'),
]
NUMBERS = [
    (0, "0"), (-1, "-1"), (True, "true"), (2**63 - 1, "9223372036854775807"), (2**63, "9223372036854776000"),
    (10**21, "1e+21"), (5.0, "5"), (0.1, "0.1"), (1e16, "10000000000000000"), (1.25e17, "125000000000000000"),
    (123456789012345680000.0, "123456789012345680000"), (1e21, "1e+21"), (-1.5e300, "-1.5e+300"), (1e-5, "0.00001"),
    (1.5e-6, "0.0000015"), (9.9e-7, "9.9e-7"), (5e-324, "5e-324"), (1e-10, "1e-10"), (-0.0, "-0"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), [*TEXTS, *NUMBERS])
def test_a_value_has_the_bytes_that_go_gives_it(value: Any, text: str) -> None:
    assert go_json.encode(value) == text.encode()


def test_keys_are_sorted_and_escaped_and_nothing_is_blank() -> None:
    value = {"b": [1, None, {}], "a<": {"ñ": False, "\U0001f600": [], "\uffff": ()}}
    text = '{"a\\u003c":{"ñ":false,"\uffff":[],"\U0001f600":[]},"b":[1,null,{}]}'
    assert go_json.encode(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_go_refuses_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no JSON number"):
        go_json.encode({"a": value})


@pytest.mark.parametrize(("value", "text"), TEXTS[:-1])
def test_the_form_for_yaml_is_read_back_by_a_reader_of_yaml_as_the_same_text(value: str, text: str) -> None:
    (found,) = manifest_objects.values(go_json.in_yaml([{value: value}]), "patch")
    assert found == [{value: value}]
    assert b"\\ud83d" not in go_json.in_yaml(value), "a reader of YAML does not put the halves together"


def test_which_values_versions_of_go_write_otherwise() -> None:
    assert go_json.varies({"a": [1, "x\by"]})
    assert go_json.varies("\f")
    assert not go_json.varies({"\b": ["\n", 1.5, None, "ñ&"]}), "keys are compared as they are read"


# -- the bytes that journal, ledger and plan hash hang on

ODD: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "odd", "labels": {"z": "1", "a": "2"}},
    "spec": {
        "template": {"spec": {"containers": [{"name": "main", "env": [
            {"value": "a&b<c>\"q\"\\/", "name": "ODD"}, {"value": "ñ\u2028\U0001f600\x7f\x85", "name": "ñ&"},
            {"value": "\x00\x01\b\f\n\r\t\x1f", "name": "C"},
        ]}]}},
        "numbers": [0, -1, 2**53 + 1, 2**63, 1.5, 5.0, 1e21, 1e16, 1e-7, 0.1],
        "rest": [None, True, False, {}, [], ""],
    },
}  # fmt: skip


def test_the_bytes_of_our_own_hashes_are_what_they_were() -> None:
    env = (
        '[{"name":"ODD","value":"a&b<c>\\"q\\"\\\\/"},{"name":"ñ&","value":"ñ\u2028\U0001f600\x7f\x85"},'
        '{"name":"C","value":"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f"}]'
    )
    text = (
        '{"kind":"Deployment","metadata":{"labels":{"a":"2","z":"1"},"name":"odd"},"spec":{"numbers":[0,-1,'
        '9007199254740993,9223372036854775808,1.5,5.0,1e21,1e16,1e-7,0.1],"rest":[null,true,false,{},[],""],'
        '"template":{"spec":{"containers":[{"env":' + env + ',"name":"main"}]}}}}'
    )
    assert canonical(ODD).decode() == text
    digest = "9d70a96228b5d8749045588dd32be8b2e124797ec7024ef0fb03ed684d636f11"
    assert hashlib.sha256(canonical(ODD)).hexdigest() == digest
    assert fingerprint(ODD) == "93c541292b5dc39432528e054d1bb90f3d41ff1fa23b4b91d03c194fa0206d9e"
    assert template_hash(ODD) == "37b5a7c9c069e894c83d39e0043f77619b048e02a6b4f5330ce60498d52f7108"


def test_the_annotation_has_the_bytes_that_kubectl_gives_it() -> None:
    manifest = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "x&\b\x7fñ\u2028<"}, "apiVersion": "v1"}
    assert last_applied_text(manifest, "shop") == (
        '{"apiVersion":"v1","data":{"k":"x\\u0026\\b\x7fñ\\u2028\\u003c"},"kind":"ConfigMap",'
        '"metadata":{"annotations":{},"name":"a","namespace":"shop"}}\n'
    )
