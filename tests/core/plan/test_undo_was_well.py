"""What was well before a run, by the status that was kept: an undo has to bring that back well, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.plan.undo import was_well


def kept(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "web", "generation": 3}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "well"),
    [
        ("Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 2}, True),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 1}, False),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": 2}, False),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2}, False),
        ("Deployment", {"replicas": 2}, {}, False),
        ("Deployment", {"replicas": 0}, {"observedGeneration": 3}, True),
        (
            "StatefulSet", {"replicas": 1},
            {"observedGeneration": 3, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}, True,
        ),
        (
            "StatefulSet", {"replicas": 1},
            {"observedGeneration": 3, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}, False,
        ),
        (
            "DaemonSet", {},
            {"observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1},
            False,
        ),
    ],
)  # fmt: skip
def test_well_is_a_rollout_that_was_over(kind: str, spec: dict[str, Any], status: dict[str, Any], well: bool) -> None:
    assert was_well(kept(kind, spec, status)) is well
