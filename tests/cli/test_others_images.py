"""An image of somebody else that has left its hub, and a repository that belongs to somebody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import Desk

pytestmark = pytest.mark.long

USER = "user-service"
DEPLOYMENT = f"k8s/{USER}/deployment.yaml"
RUN = ("run", "--to", GOOD, "--yes")
REDIS = "bitnami/redis"


def first(image: str, sidecar: bool = False) -> tuple[str, str]:
    """What is put before the service's own container: an init container, or a sidecar."""
    own = f"      containers:\n      - name: {USER}\n"
    if sidecar:
        return own, f"      containers:\n      - {{name: first, image: '{image}'}}\n      - name: {USER}\n"
    return own, f"      initContainers:\n      - {{name: first, image: '{image}', command: ['true']}}\n{own}"


def with_vendor(desk: Desk, good: str, bad: str, *, sidecar: bool) -> None:
    """Both releases have the vendor's image; the nodes have pulled the failed release's, and the hub has lost it."""
    for release, tag in ((GOOD, good), (BAD, bad)):
        text = desk.file(release, DEPLOYMENT).replace(*first(f"{REDIS}:{tag}", sidecar))
        desk.rewrite(release, {DEPLOYMENT: text})
    registry = desk.playground.registry
    digest = registry.push(REDIS, bad, "good", "7.0")
    desk.playground.cluster.pull(f"{REDIS}:{bad}")
    desk.playground.apply(BAD)
    desk.playground.must(*desk.playground.rollout_status)
    registry.delete(REDIS, digest)


@pytest.mark.parametrize("sidecar", [False, True], ids=["init container", "sidecar"])
def test_an_image_that_only_the_nodes_have_is_refused_and_used_if_accepted(desk: Desk, sidecar: bool) -> None:
    with_vendor(desk, "7.0.11-x", "7.0.11-x", sidecar=sidecar)
    before = desk.objects()
    ended = desk.rollback(*RUN)
    said = " ".join(ended.err.split())
    assert ended.code == 3, ended
    assert "[--accept image-on-nodes-only]" in said
    assert f"{REDIS}:7.0.11-x" in said
    assert f"{REDIS}:{GOOD}" not in said, "a release tag of ours is never tried for an image of others"
    assert desk.objects() == before
    ended = desk.rollback(*RUN, "--accept=image-on-nodes-only")
    assert ended.code == 0, ended


def test_an_image_that_the_nodes_lack_too_is_refused_for_good(desk: Desk) -> None:
    with_vendor(desk, "6.2.1-gone", "7.0.11-x", sidecar=False)
    ended = desk.rollback(*RUN, "--accept=image-on-nodes-only", "--accept=reference-image")
    said = " ".join(ended.err.split())
    assert ended.code == 3, ended
    for part in (USER, "first", f"{REDIS}:6.2.1-gone", "404"):
        assert part in said
    assert "[--accept" not in said


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_a_repository_of_somebody_else_is_refused_with_the_line_that_trusts_it(
    desk: Desk, home: str, tmp_path: Path
) -> None:
    root, mine = desk.playground.repository, os.geteuid()
    paths = [Path(folder) / name for folder, _, names in os.walk(root) for name in (".", *names)]
    environ = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": home or str(tmp_path)}
    try:
        for path in paths:
            os.lchown(path, 12345, 12345)
        ended, looked = desk.rollback(*RUN, **environ), desk.rollback("doctor", **environ)
    finally:
        for path in paths:
            os.lchown(path, mine, mine)
    assert (ended.code, looked.code) == (3, 1), (ended, looked)
    for said in (ended.out + ended.err, looked.out + looked.err):
        assert f"git config --global --add safe.directory {root}" in " ".join(said.split())
    assert list(tmp_path.iterdir()) == [], "nobody's configuration is written"
