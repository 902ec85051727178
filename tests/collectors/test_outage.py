"""An API server that is gone for a while, in the middle of a run."""

from __future__ import annotations

import pytest

from rollback_lib.collectors.outage import PATIENCE, through
from rollback_lib.core.errors import FailedError, RefusedError, UnreachableError
from tests.fakes import FakeClock, FakeCluster, FakeGit, FakeProgress, FakeRegistry, ports


class Server:
    """Does not answer for the first ``gone`` seconds."""

    def __init__(self, clock: FakeClock, gone: float) -> None:
        self.clock, self.until, self.asked = clock, clock.now().timestamp() + gone, 0

    def ask(self) -> str:
        self.asked += 1
        if self.clock.now().timestamp() < self.until:
            raise UnreachableError("the cluster does not answer.")
        return "answer"


def test_a_minute_is_waited_for_and_said() -> None:
    clock, progress = FakeClock(), FakeProgress()
    world = ports(FakeCluster(), FakeGit({}), FakeRegistry(), clock=clock, progress=progress)
    assert through(world, Server(clock, 60).ask) == "answer"
    assert "  The cluster does not answer; waiting for it, up to 300 s" in progress.lines
    assert "The cluster has not answered for 58 s" in progress.lines


def test_gone_for_good_is_a_failure_that_says_for_how_long() -> None:
    clock = FakeClock()
    world = ports(FakeCluster(), FakeGit({}), FakeRegistry(), clock=clock)
    with pytest.raises(FailedError, match=f"We waited for {PATIENCE:.0f} s"):
        through(world, Server(clock, 1e6).ask)


def test_somebody_who_stops_the_run_is_not_kept_waiting() -> None:
    clock = FakeClock()
    clock.stopped = True
    server = Server(clock, 1e6)
    with pytest.raises(FailedError, match=r"does not answer\. Interrupted"):
        through(ports(FakeCluster(), FakeGit({}), FakeRegistry(), clock=clock), server.ask)
    assert server.asked == 1


def test_a_refusal_is_not_waited_for() -> None:
    def refused() -> str:
        raise RefusedError("we may not")

    clock = FakeClock()
    before = clock.now()
    with pytest.raises(RefusedError):
        through(ports(FakeCluster(), FakeGit({}), FakeRegistry(), clock=clock), refused)
    assert clock.now() == before
