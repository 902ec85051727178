"""The copy of a run in the cluster: what goes in comes out, and what was damaged is refused."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.run import cluster_copy
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model

SETTINGS = """
application: shop
manifests: {path: "k8s/{service}"}
environments: {prod: {namespace: shop}}
"""


def request() -> Request:
    started = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
    return Request(
        run="20260301-000000-prod-abcd", application="shop", environment="prod", to="v1", started=started,
        settings=model.load(SETTINGS),
    )  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    files = {"plan.json": b"{}", "manifests/k8s/a/d.yaml": "ñ\0".encode(), "journal.jsonl": b""}
    made = cluster_copy.config_map(request(), cluster_copy.pack(files))
    assert cluster_copy.unpack(made) == files
    assert cluster_copy.run_of(made) == "20260301-000000-prod-abcd"
    assert made["metadata"]["labels"] == cluster_copy.labels("shop", "prod")


def test_it_replaces_exactly_the_version_that_is_there() -> None:
    there = {"metadata": {"name": "rollback-run-x", "resourceVersion": "7", "uid": "u"}}
    assert cluster_copy.config_map(request(), b"", there)["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize(
    "damaged",
    [
        {}, {"binaryData": None}, {"binaryData": {"files": "%"}},
        {"binaryData": {"files": base64.b64encode(b"cut").decode()}},
        {"binaryData": {"files": base64.b64encode(zlib.compress(b"\xc1")).decode()}},
        {"binaryData": {"files": base64.b64encode(zlib.compress(msgspec.msgpack.encode([1]))).decode()}},
    ],
    ids=["nothing", "null", "not base64", "not compressed", "not a message", "not files"],
)  # fmt: skip
def test_a_copy_that_was_damaged_is_named(damaged: Any) -> None:
    with pytest.raises(RefusedError, match="the copy of run x in the cluster"):
        cluster_copy.unpack({"metadata": {"name": "rollback-run-x"}, **damaged})
