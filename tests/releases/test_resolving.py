"""What `resolve` leaves in the run directory, also where it ends badly."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_lib.core.releases.live import Live
from rollback_lib.core.run.records import Resolution
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import World


@pytest.mark.parametrize(
    "files",
    [{}, {"k8s/cart/d.yaml": b"a: {"}, {"k8s/cart/d.yaml": b"a: 1"}],
    ids=["no manifests", "not YAML", "no object"],
)
def test_what_runs_is_kept_although_the_release_cannot_be_gone_back_to(tmp_path: Path, files: dict[str, bytes]) -> None:
    world = World(tmp_path)
    world.git.releases["v1"] = files
    run = world.run()
    assert operation.one(run, world.ports(), "resolve").ending.code == 3
    live = run.find(Live)
    assert live is not None
    assert {w.name for w in live.workloads} == {"cart", "user"}
    assert run.find(Resolution) is None


def test_a_name_that_is_wrong_is_wrong_before_the_cluster_is_asked(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.run(to="v9")
    assert operation.one(run, world.ports(), "resolve").ending.code == 3
    assert run.find(Live) is None
