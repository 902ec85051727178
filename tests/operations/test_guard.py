"""The guard of a deploy job, and the lock taken away by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core import lock
from rollback_lib.core.errors import LockedError, NotApprovedError, RefusedError
from rollback_lib.core.lock import Claim
from rollback_lib.holding import Holding
from rollback_lib.operations import guard
from rollback_lib.operations.unlock import unlock
from rollback_lib.ports import Ports
from tests.fakes import FakeClock, FakeCluster, FakeGit, FakeProgress, FakeRecords, FakeRegistry, ports


class World:
    def __init__(self) -> None:
        self.records, self.clock = FakeRecords(), FakeClock()

    def ports(self, **more: Any) -> Ports:
        mine = {"records": self.records, "clock": self.clock, **more}
        return ports(FakeCluster(), FakeGit({}), FakeRegistry(), **mine)

    def run(self, name: str = "run-1") -> Holding:
        return Holding(self.ports(), "shop", Claim(holder=name, by="ana", since=self.clock.now().isoformat()))

    def go(self, release: str = "v2", *, wait: float = 0, hold: float = 0, **more: Any) -> str:
        return guard.go("shop", "prod", self.ports(**more), release, "ci/9", {"wait": wait, "hold": hold})


@pytest.fixture
def world() -> World:
    return World()


def test_a_free_lock_lets_a_deploy_through_and_leaves_nothing(world: World) -> None:
    assert world.go().startswith("Go")
    assert world.records.kept == {}


def test_a_run_holds_a_deploy_back(world: World) -> None:
    world.run().take()
    with pytest.raises(LockedError, match="run run-1 by ana"):
        world.go()


def test_a_hold_keeps_runs_and_other_deploys_out_until_it_is_done(world: World) -> None:
    assert "until 13:00 UTC" in world.go(hold=3600)
    with pytest.raises(LockedError, match="deploy v2"):
        world.run().take()
    with pytest.raises(LockedError, match="deploy v2"):
        world.go("v3")
    assert world.go("v2", hold=3600).startswith("Go"), "the same deploy, asked again"
    assert "given the lock back" in guard.done("shop", world.ports(), "v2")
    world.run().take()


def test_a_hold_that_nobody_frees_ends_by_itself(world: World) -> None:
    world.go(hold=3600)
    world.clock.sleep(3601)
    assert world.go("v3", hold=60).startswith("Go")


def test_a_deploy_waits_for_a_run_that_ends_in_time(world: World) -> None:
    holding = world.run()
    holding.take()

    class Ending(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if (self.time - FakeClock().time).total_seconds() >= 60:
                holding.release()

    assert world.go(wait=600, clock=Ending()).startswith("Go")


def test_a_deploy_that_waits_in_vain_is_told_who_it_was(world: World) -> None:
    world.run().take()
    before = world.clock.now()
    with pytest.raises(LockedError, match="run run-1"):
        world.go(wait=600)
    assert (world.clock.now() - before).total_seconds() == 600


def test_done_frees_only_the_own_hold(world: World) -> None:
    world.go("v2", hold=60)
    with pytest.raises(LockedError, match="not this deploy's"):
        guard.done("shop", world.ports(), "v3")
    assert guard.done("shop", world.ports(), "v2")
    assert guard.done("shop", world.ports(), "v2") == "shop is not locked."


def test_a_cluster_that_does_not_answer_is_a_refusal(world: World) -> None:
    class Gone(FakeRecords):
        def get(self, kind: str, name: str) -> Any:
            raise RefusedError("the cluster does not answer")

    with pytest.raises(RefusedError):
        world.go(records=Gone())


def test_unlock_without_force_says_whose_it_is(world: World) -> None:
    world.run().take()
    with pytest.raises(LockedError, match="run run-1 by ana"):
        unlock("shop", world.ports(), force=False, yes=True)


@pytest.mark.parametrize(("answer", "gone"), [(True, True), (False, False), (None, False)])
def test_unlock_asks_and_says_whose_it_was(world: World, answer: bool | None, gone: bool) -> None:
    world.run().take()
    progress = FakeProgress(answer)
    if gone:
        said = unlock("shop", world.ports(approver=progress), force=True, yes=False)
        assert "It was held by run run-1 by ana" in said
        assert "rollback resume run-1" in said
    else:
        with pytest.raises(NotApprovedError):
            unlock("shop", world.ports(approver=progress), force=True, yes=False)
    assert "run run-1 by ana" in progress.asked[0]
    assert (world.records.get("Lease", lock.name("shop")) is None) == gone


def test_unlock_of_what_is_not_locked_says_so(world: World) -> None:
    assert unlock("shop", world.ports(), force=True, yes=True) == "shop is not locked."
