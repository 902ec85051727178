"""A restart is planned only where what pods read really changes (whole commands, on the sandbox)."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import WORKER, Desk

pytestmark = pytest.mark.long

DEPLOYMENT = "k8s/user-service/deployment.yaml"
READS = "        env:\n        - {name: LIMIT, valueFrom: {configMapKeyRef: {name: user-settings, key: limit}}}\n"


@pytest.fixture
def reading(desk: Desk) -> Desk:
    """user-service reads user-settings, in both releases, and v1.2.0 runs."""
    for release in (GOOD, BAD):
        desk.rewrite(release, {DEPLOYMENT: desk.file(release, DEPLOYMENT).replace("        env:\n", READS, 1)})
    desk.playground.apply(BAD)
    desk.playground.must(*desk.playground.rollout_status)
    return desk


def noted(desk: Desk, limit: str) -> None:
    """The ConfigMap as another tool applies it: with an annotation of its own in what it asked for."""
    meta = {"name": "user-settings", "annotations": {"team/note": "of another tool"}}
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"limit": limit}}
    desk.playground.must("apply", "--filename=-", given=json.dumps(obj))


def test_what_runs_has_nothing_to_do_though_its_config_carries_an_annotation_of_others(reading: Desk) -> None:
    first = reading.rollback("run", "--to", GOOD, "--yes", "--accept", WORKER)
    assert first.code == 0, first
    noted(reading, "10")
    planned = reading.rollback("plan", "--to", GOOD, "--output", "json").json["plan"]
    changes = {(o["kind"], o["change"]) for s in planned["services"] for o in s["objects"]}
    assert {change for kind, change in changes if kind in ("Deployment", "ConfigMap")} == {"none"}
    rollouts = reading.rollouts()
    again = reading.rollback("run", "--to", GOOD, "--yes")
    assert (again.code, "Nothing to do" in again.out) == (0, True), again
    assert reading.rollouts() == rollouts


def test_a_second_run_over_a_config_that_changed_has_nothing_to_do(reading: Desk) -> None:
    noted(reading, "30")
    assert reading.rollback("run", "--to", GOOD, "--yes").code == 0
    again = reading.rollback("run", "--to", GOOD, "--yes")
    assert (again.code, "Nothing to do" in again.out) == (0, True), again
