"""What a manifest's object may be called."""

from __future__ import annotations

import pytest

from rollback_lib.core.manifests.shapes import misshapen


def said(version: str = "v1", kind: str = "ConfigMap", **metadata: str) -> list[str]:
    return list(misshapen({"apiVersion": version, "kind": kind, "metadata": {"name": "a", **metadata}}))


@pytest.mark.parametrize(
    "version",
    ["../api/v1/namespaces/kube-system/configmaps?", "apps/v1/../..", "%2e%2e/v1", "v1;x", "v1#", "v1?x", "V1", "v1\n",
     "a/b/c", "..", "/v1", "apps/", "Apps/v1", "-a/v1", "v" * 64, f"{'a.' * 130}b/v1"],
)  # fmt: skip
def test_an_api_version_that_leads_elsewhere_is_none(version: str) -> None:
    found = said(version=version)
    assert len(found) == 1
    one = found[0]
    assert one.startswith("apiVersion ")
    assert len(one) < 200


@pytest.mark.parametrize(
    "version", ["v1", "apps/v1", "networking.k8s.io/v1beta1", "batch/v2alpha1", "serving.knative.dev/v1", "x/stable"]
)
def test_an_api_version_of_kubernetes_and_of_others_is_one(version: str) -> None:
    assert said(version=version) == []


@pytest.mark.parametrize("kind", ["Config/Map", "ConfigMap?", "ConfigMap\n", "..", "1x", "K" * 64, "Config Map"])
def test_what_cannot_be_a_kind_is_refused(kind: str) -> None:
    assert said(kind=kind)


@pytest.mark.parametrize("field", ["name", "namespace"])
@pytest.mark.parametrize("value", ["..", ".", "a/b", "a\\b", "a\nb", "n" * 254])
def test_what_is_no_segment_of_an_address_is_no_name(field: str, value: str) -> None:
    assert said(**{field: value})


@pytest.mark.parametrize("name", ["web", "system:reader", "web.v1", "${NAME}-web", "{{name}}", "n" * 253])
def test_other_names_are_for_the_server_to_judge(name: str) -> None:
    assert said(name=name) == []
