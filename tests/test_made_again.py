"""What cannot become what the release asks for is deleted and made again: two changes, and a death between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import DryRun
from rollback_lib.core.run.changes import Change, CreateObject
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs
from tests.pipeline.test_loop import World

DELETE, CREATE = "apply/configmap/cart/delete", "apply/configmap/cart/create"


class Died(BaseException):
    """The process is gone."""


class Dying(FakeActs):
    """Dies at the creation, before the server took it or after."""

    taken = False

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        if not isinstance(change, CreateObject):
            return super().act(change, scratch)
        if self.taken:
            super().act(change, scratch)
        raise Died


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart}\nimmutable: true\ndata: {A: %s}\n"
    for release in ("v1", "v2"):
        files = {**made.git.releases[release], "k8s/cart/config.yaml": (text % release).encode()}
        made.git.releases[release] = files
    meta: dict[str, Any] = {"name": "cart", "uid": "one", "labels": {"team": "kept"}}
    live: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True, "data": {"A": "v2"}}
    made.cluster.put(live)
    patched = made.cluster.dry_run_patch

    def dry_run_patch(kind: str, api: str, name: str, operations: Sequence[Operation]) -> DryRun:
        if kind == "ConfigMap":
            said = 'ConfigMap "cart" is invalid: data: Forbidden: field is immutable when `immutable` is set'
            return DryRun(None, (), said, 422)
        return patched(kind, api, name, operations)

    monkeypatch.setattr(made.cluster, "dry_run_patch", dry_run_patch)
    return made


def test_it_is_refused_unless_it_is_accepted(world: World) -> None:
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert "[--accept recreate:ConfigMap/cart]" in outcome.ending.error
    assert world.cluster.writes == []


@pytest.mark.parametrize("taken", [False, True], ids=["before the server took it", "after it"])
def test_a_run_that_dies_between_the_two_changes_is_finished_by_the_same_run(world: World, taken: bool) -> None:
    run = world.run(accept=("recreate:ConfigMap/cart",))
    acts = Dying(world.cluster)
    acts.taken = taken
    with pytest.raises(Died):
        operation.execute(run, world.ports(acts=acts))
    assert (("ConfigMap", "cart") in world.cluster.objects) is taken

    ending = loop.advance(run, world.ports())
    assert ending.code == 0, ending.error
    assert world.cluster.objects["ConfigMap", "cart"]["data"] == {"A": "v1"}
    assert world.cluster.objects["ConfigMap", "cart"]["metadata"]["labels"] == {"team": "kept"}
    assert world.cluster.writes.count(DELETE) == 1
    assert {"apply/deployment/cart", "apply/deployment/user"} <= set(world.cluster.writes)
