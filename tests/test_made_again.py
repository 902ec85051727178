"""What cannot become what the release asks for is deleted and made again: two changes, and a death between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_lib.core.kube.objects import Object
from rollback_lib.core.run.changes import Change, CreateObject
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs
from tests.immutable_config import immutable_config
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
    return immutable_config(tmp_path, monkeypatch)


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
