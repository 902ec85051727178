"""A cluster without room for one more pod: the old pod holds what the new one needs, and nothing says that it fails."""

from __future__ import annotations

import pytest

from rollback_lib.core.health.pods import causes
from rollback_lib.sandbox.shop import GOOD
from tests.cli.desk import Desk

pytestmark = pytest.mark.long

USER = "user-service"
DEPLOYMENT = f"k8s/{USER}/deployment.yaml"
PORTS, GRACE = "        ports:\n", "      terminationGracePeriodSeconds: 1\n"
NEEDS = {
    "memory": (PORTS, "        resources: {requests: {memory: 900Gi}}\n" + PORTS),
    "cpu": (PORTS, "        resources: {requests: {cpu: 900}}\n" + PORTS),
    "a node of another kind": (GRACE, "      nodeSelector: {disk: fast}\n" + GRACE),
}


@pytest.mark.parametrize("what", NEEDS)
def test_a_pod_that_no_node_takes_ends_the_run_early_with_what_to_change(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(causes, "UNSCHEDULABLE_FOR", 1.0)
    desk.rewrite(GOOD, {DEPLOYMENT: desk.file(GOOD, DEPLOYMENT).replace(*NEEDS[what])})
    ended = desk.rollback("run", "--to", GOOD, "--yes")
    said = " ".join((ended.out + ended.err).split())
    assert ended.code == 4, ended
    assert "traffic is open" in said
    assert "no node takes pod" in said
    pods = desk.playground.must("get", "pods", "--output=jsonpath={.items[*].status.phase}").split()
    assert pods.count("Pending") == 1
    beside = what in ("memory", "cpu")
    assert ("old pod" in said) is ("maxSurge 0 and maxUnavailable 1" in said) is beside
