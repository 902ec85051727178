"""Who restarts because of a ConfigMap: told by the dry runs, not by what was asked of them."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.collectors.dry_runs import DryRuns
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.plan import decide
from rollback_lib.core.plan.decide import Draft
from tests.fakes import FakeCluster

NOTE = {"team/note": "as another tool applies it"}


def config(data: str, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", **meta}, "data": {"limit": data}}


def reader(image: str = "team/cart:v1") -> dict[str, Any]:
    container = {"name": "cart", "image": image, "envFrom": [{"configMapRef": {"name": "settings"}}]}
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": "cart"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": spec}


def planned(live: dict[str, Any], base: dict[str, Any], target: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """(change, why) of the ConfigMap and of the Deployment that reads it and runs as the release has it."""
    cluster = FakeCluster()
    for obj in (live, reader()):
        cluster.put(obj)
    snapshot = cluster.snapshot(["ConfigMap", "Deployment"])
    drafts = []
    for wanted, was in ((target, base), (reader(), reader())):
        there = snapshot.get(ObjectRef(wanted["kind"], wanted["metadata"]["name"]))
        draft = Draft(service="cart", wave=1, file="cart.yaml", target=wanted, live=there, change="left")
        drafts.append(decide.put_back(draft, was, namespace="shop", autoscaled=False, stamp={}))
    tried = DryRuns(cluster, snapshot, set(), (), lambda target: {}, "2026-01-01T00:00:00Z").of(drafts)
    return {d.ref.kind: (d.change, d.why) for d in tried}


def test_a_config_map_that_changes_restarts_who_reads_it() -> None:
    found = planned(config("20"), config("20"), config("10"))
    assert found == {"ConfigMap": ("update", ""), "Deployment": ("restart", "ConfigMap settings changes")}


@pytest.mark.parametrize("live", [{"annotations": NOTE}, {"annotations": NOTE, "labels": {"app": "cart"}}])
def test_one_that_the_server_would_store_as_it_is_restarts_nobody(live: dict[str, Any]) -> None:
    target = config("10", labels=live.get("labels", {}))
    found = planned(config("10", **live), config("10", **live), target)
    assert found == {"ConfigMap": ("none", ""), "Deployment": ("none", "")}


def test_labels_alone_are_nothing_that_pods_read() -> None:
    found = planned(
        config("10", labels={"tier": "new"}), config("10", labels={"tier": "new"}), config("10", labels={"tier": "old"})
    )
    assert found == {"ConfigMap": ("update", ""), "Deployment": ("none", "")}


def test_binary_data_is_read_as_well() -> None:
    live = {**config("10"), "binaryData": {"logo": "bmV3"}}
    found = planned(live, live, {**config("10"), "binaryData": {"logo": "b2xk"}})
    assert found["Deployment"] == ("restart", "ConfigMap settings changes")
