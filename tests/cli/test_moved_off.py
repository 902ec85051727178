"""A ConfigMap of the failed release that its last user is moved off: taken away after everything else."""

from __future__ import annotations

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import Desk

DEPLOYMENT = "k8s/user-service/deployment.yaml"
READS = "        env:\n        - {name: LIMIT, valueFrom: {configMapKeyRef: {name: user-added, key: limit}}}\n"


@pytest.mark.long
def test_it_is_deleted_once_the_pods_that_read_it_are_replaced(desk: Desk) -> None:
    desk.rewrite(BAD, {DEPLOYMENT: desk.file(BAD, DEPLOYMENT).replace("        env:\n", READS, 1)})
    desk.playground.apply(BAD)
    desk.playground.must(*desk.playground.rollout_status)
    ended = desk.rollback("run", "--to", GOOD, "--yes")
    assert ended.code == 0, ended
    assert "ConfigMap/user-added" not in desk.objects()
    done = [e["key"] for e in desk.events() if e["mark"] == "done" and e["stage"] == "apply"]
    last = [key for key in done if key.startswith(("apply/", "delete/"))][-1]
    assert last.startswith("delete/configmap/user-added")
