"""Holding the lock: one process at a time, and a process that lost it notices before its next write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollback_lib.core.errors import LockedError, UnreachableError
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.pipeline import holding
from rollback_lib.pipeline.holding import Holding
from rollback_lib.ports import Ports
from tests.fakes import FakeClock, FakeCluster, FakeGit, FakeRecords, FakeRegistry, ports


class World:
    """One cluster's records, and machines with clocks of their own."""

    def __init__(self) -> None:
        self.records = FakeRecords()
        self.clock = FakeClock()

    def ports(self, **more: Any) -> Ports:
        return ports(
            FakeCluster(), FakeGit({}), FakeRegistry(), **{"records": self.records, "clock": self.clock, **more}
        )

    def process(self, run: str = "run-1", *, kind: str = "run", take_over: bool = False, **more: Any) -> Holding:
        claim = Claim(holder=run, kind=kind, by="ana", since=self.clock.now().isoformat(), until=more.pop("until", ""))
        return Holding(self.ports(**more), "shop", claim, take_over=take_over)

    @property
    def lease(self) -> dict[str, Any] | None:
        return self.records.get("Lease", "rollback-shop")


@pytest.fixture
def world() -> World:
    return World()


def test_the_lock_is_there_while_it_is_held_and_gone_after(world: World) -> None:
    mine = world.process()
    assert mine.take() == ""
    mine.check()
    assert world.lease is not None
    mine.release()
    assert world.lease is None


def test_another_run_is_told_who_holds_it(world: World) -> None:
    world.process().take()
    with pytest.raises(LockedError, match=r"run run-1 by ana.*last sign of life 0 s ago"):
        world.process("run-2").take()


@pytest.mark.parametrize("seconds", [61, 9999999])
def test_another_run_does_not_get_the_lock_of_a_dead_one_unasked(world: World, seconds: float) -> None:
    world.process().take()
    world.clock.sleep(seconds)
    with pytest.raises(LockedError):
        world.process("run-2").take()
    assert "run run-1 by ana" in world.process("run-2", take_over=True).take()


def test_a_run_that_shows_life_is_not_taken_over_even_when_asked(world: World) -> None:
    alive = world.process()
    alive.take()

    class Renewing(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            alive._put(alive._claim)

    with pytest.raises(LockedError, match="It shows life"):
        world.process("run-2", take_over=True, clock=Renewing()).take()
    alive.check()


def test_a_live_process_is_not_taken_for_dead_by_a_clock_that_goes_before(world: World) -> None:
    alive = world.process()
    alive.take()

    class AnHourAhead(FakeClock):
        def __init__(self) -> None:
            super().__init__()
            super().sleep(3600)

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            alive._put(alive._claim)

    with pytest.raises(LockedError, match="It shows life"):
        world.process(clock=AnHourAhead()).take()


def test_the_same_run_takes_over_from_its_dead_process_which_then_notices(world: World) -> None:
    paused = world.process()
    paused.take()
    world.clock.sleep(61)
    resumed = world.process()
    assert resumed.take() == ""
    resumed.check()
    with pytest.raises(LockedError, match="another process goes on with run run-1"):
        paused.check()
    paused.release()
    paused.rest()
    resumed.check()
    assert world.lease is not None, "what the paused process did last took nothing from the other"


def test_the_claim_keeps_its_age_over_processes(world: World) -> None:
    first = world.process()
    first.take()
    first.rest()
    world.clock.sleep(600)
    world.process().take()
    assert world.lease is not None
    claim = lock.read(world.lease).claim
    assert claim is not None
    assert claim.since == "2026-03-01T12:00:00+00:00"


def test_a_process_that_ended_in_order_is_not_waited_for(world: World) -> None:
    first = world.process()
    first.take()
    first.rest()
    before = world.clock.now()
    world.process().take()
    assert world.clock.now() == before


def test_what_was_unlocked_by_hand_is_noticed_before_the_next_write(world: World) -> None:
    mine = world.process()
    mine.take()
    assert holding.remove(world.records, "shop", lambda held: True)
    world.clock.sleep(lock.FRESH)
    with pytest.raises(LockedError, match="unlock"):
        mine.check()


def test_the_cluster_is_not_asked_again_within_two_seconds(world: World) -> None:
    mine = world.process()
    mine.take()
    world.records.kept.clear()
    world.clock.sleep(lock.FRESH / 2)
    mine.check()


def test_a_renewal_that_fails_does_not_cost_the_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_EVERY", 0.01)
    put: Callable[..., Any] = world.records.put
    tried: list[str] = []

    def gone(record: Any) -> Any:
        tried.append("renewal")
        if len(tried) < 3:
            raise UnreachableError("the cluster does not answer")
        return put(record)

    mine = world.process()
    mine.take()
    monkeypatch.setattr(world.records, "put", gone)
    thread = mine._renewals
    assert thread is not None
    while len(tried) < 4:
        thread.join(timeout=0.01)
    mine.check()
    mine.release()
    assert world.lease is None


@pytest.mark.parametrize("passed", [False, True])
def test_a_deploy_s_hold_stops_a_run_until_its_time_is_over(world: World, passed: bool) -> None:
    until = world.clock.now().replace(minute=30).isoformat()
    deploy = world.process("v2", kind="deploy", until=until)
    deploy.take()
    deploy.rest()
    if passed:
        world.clock.sleep(1801)
        assert world.process().take() == ""
    else:
        with pytest.raises(LockedError, match=r"deploy v2 by ana.*--take-over"):
            world.process().take()
        assert "deploy v2" in world.process(take_over=True).take()


def test_of_two_at_the_same_moment_one_gets_it(world: World) -> None:
    one, other = world.process("run-1"), world.process("run-2")
    one.take()
    with pytest.raises(LockedError):
        other.take()
    other.rest()
    other.release()
    one.check()
