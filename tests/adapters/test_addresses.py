"""No name leads an address elsewhere."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollback_lib.adapters import addresses
from rollback_lib.core.errors import RefusedError


def test_the_path_of_a_kind_in_a_namespace_or_in_none() -> None:
    assert addresses.of_kind("apps/v1", "deployments", "shop") == "/apis/apps/v1/namespaces/shop/deployments"
    assert addresses.of_kind("v1", "configmaps", "shop", "a") == "/api/v1/namespaces/shop/configmaps/a"
    assert addresses.of_kind("v1", "namespaces", "", "shop") == "/api/v1/namespaces/shop"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("../secrets/x")
def test_any_name_is_one_segment(name: str) -> None:
    try:
        made = addresses.of_kind("v1", "configmaps", "shop", name)
    except RefusedError:
        assert name in (".", "..")
        return
    start, _, last = made.rpartition("/")
    assert start == "/api/v1/namespaces/shop/configmaps"
    assert not set("?#%;\n ") & set(last) - {"%"}
    assert last.isascii()


@pytest.mark.parametrize("version", ["../api/v1/namespaces/kube-system/configmaps?", "apps/..", "..", "a/../b", ""])
def test_no_api_version_walks_up(version: str) -> None:
    try:
        made = addresses.of_kind(version, "configmaps", "shop")
    except RefusedError:
        return
    assert made.startswith("/apis/")
    assert made.endswith("/namespaces/shop/configmaps")
    assert made.count("/") == 6
