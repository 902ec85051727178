"""Asking and following, through the real adapter against a Jenkins over HTTP; only time is not real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.core.errors import CheckError, InterruptedRunError, UsageError
from rollback_lib.operations import jenkins_trigger
from tests.fake_jenkins import FakeJenkins
from tests.fakes import FakeClock

JOB = "shop/rollback"
ASKED = {"RELEASE": "v1.1.0", "REQUEST_ID": "r-1"}


class World:
    def __init__(self, fake: FakeJenkins, server: JenkinsServer) -> None:
        self.fake, self.server, self.clock = fake, server, FakeClock()
        self.said: list[str] = []
        self.log: list[str] = []

    def follow(self) -> Any:
        asked = jenkins_trigger.ask(self.server, JOB, ASKED)
        return jenkins_trigger.follow(self.server, asked, self.clock, self.said.append, self.log.append)


def build(number: int = 3, result: str | None = None) -> dict[str, Any]:
    given = [{"name": "REQUEST_ID", "value": "r-1"}]
    return {
        "number": number, "url": f"http://ci/job/shop/job/rollback/{number}/", "building": result is None,
        "result": result, "queueId": 5, "actions": [{"parameters": given}],
    }  # fmt: skip


@pytest.fixture
def world() -> Iterator[World]:
    with FakeJenkins() as fake:
        fake.jobs[JOB] = "<x/>"
        fake.declared = ["RELEASE", "REQUEST_ID"]
        fake.queue[5] = [{"why": "Build #2 is running"}, {"executable": {"number": 3}}]
        server = JenkinsServer(fake.url, "ada", "t", sleep=lambda s: None)
        yield World(fake, server)
        server.close()


def test_it_is_followed_from_the_queue_to_its_result(world: World) -> None:
    world.fake.builds[3] = build()
    world.fake.stages[3] = [{"name": "Ask", "status": "PAUSED_PENDING_INPUT"}]
    world.fake.questions[3] = [{"id": "Approve", "message": "Roll prod back?"}]
    world.fake.logs[3] = b"one\n"
    polls: list[int] = []

    def sleep(seconds: float) -> None:
        polls.append(1)
        if len(polls) == 3:
            world.fake.builds[3] = build(result="SUCCESS")
            world.fake.logs[3] = b"one\ntwo\n"
            world.fake.stages[3] = [{"name": "Ask", "status": "SUCCESS"}, {"name": "Applying", "status": "SUCCESS"}]

    world.clock.sleep = sleep  # type: ignore[method-assign]
    found = world.follow()
    assert jenkins_trigger.good(found)
    assert "".join(world.log) == "one\ntwo\n"
    assert world.said == [
        "In the queue: Build #2 is running",
        "Build 3: http://ci/job/shop/job/rollback/3/",
        "  Ask: waits for an answer",
        "  Roll prod back? Answer at http://ci/job/shop/job/rollback/3/input/",
        "  Ask: done",
        "  Applying: done",
    ]


@pytest.mark.parametrize("result", ["FAILURE", "ABORTED", "UNSTABLE", "NOT_BUILT"])
def test_it_ends_with_the_build_s_own_result(world: World, result: str) -> None:
    world.fake.builds[3] = build(result=result)
    assert not jenkins_trigger.good(world.follow())


def test_an_equal_request_is_joined_by_its_id(world: World) -> None:
    world.fake.start = lambda given: (303, {"Location": "/job/shop/job/rollback/"}, b"")
    world.fake.builds[2] = {**build(2, "SUCCESS"), "actions": [], "queueId": 4}
    world.fake.builds[3] = build(result="SUCCESS")
    assert world.follow().number == 3


def test_a_queue_item_that_vanished_is_found_among_the_builds(world: World) -> None:
    world.fake.queue[5] = []
    world.fake.builds[3] = build(result="SUCCESS")
    assert world.follow().number == 3


def test_a_request_that_was_taken_out_of_the_queue_is_said(world: World) -> None:
    world.fake.queue[5] = [{"cancelled": True}]
    with pytest.raises(CheckError, match="taken out of the queue"):
        world.follow()


def test_a_queue_is_not_waited_in_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jenkins_trigger, "POLL", 120.0)
    world.fake.queue[5] = [{"why": "There are no nodes with the label ‘rollback’"}]
    with pytest.raises(CheckError, match="30 minutes: There are no nodes with the label"):
        world.follow()


def test_a_build_that_outlasts_our_patience_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jenkins_trigger, "POLL", 3600.0)
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    with pytest.raises(CheckError, match="still runs after 360 minutes"):
        world.follow()


def test_a_build_that_is_deleted_while_it_is_followed_is_said(world: World) -> None:
    world.fake.builds[3] = build()

    def sleep(seconds: float) -> None:
        world.fake.queue[5] = [{"executable": {"number": 3}}]
        if world.said and world.said[-1].startswith("Build 3"):
            world.fake.builds.clear()

    world.clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(CheckError, match="build 3 of shop/rollback was deleted"):
        world.follow()


def test_an_interruption_leaves_the_build_running_and_says_so(world: World) -> None:
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    world.clock.stopped = True
    with pytest.raises(InterruptedRunError, match=r"the build goes on: http://ci/job/shop/job/rollback/3/"):
        world.follow()
    assert not [path for path in world.fake.paths() if path.endswith("/stop")]


def test_a_parameter_that_the_job_would_drop_silently_is_refused(world: World) -> None:
    world.fake.declared = ["RELEASE"]
    with pytest.raises(UsageError, match="no parameter REQUEST_ID: run `rollback jenkins provision`"):
        world.follow()
    assert not [path for path in world.fake.paths() if "buildWithParameters" in path]


def test_a_request_whose_answer_was_lost_is_not_sent_again_but_found(world: World) -> None:
    world.fake.replies.append(("buildWithParameters", lambda request: request.connection.close()))
    world.fake.builds[3] = build(result="SUCCESS")
    assert world.follow().number == 3
    assert len([path for path in world.fake.paths() if "buildWithParameters" in path]) == 1


def test_a_server_that_goes_away_while_we_follow_does_not_read_as_nothing_changed(world: World) -> None:
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    world.fake.replies += [("progressiveText", (503, {}, b""))] * 5
    with pytest.raises(CheckError, match=r"The build may go on all the same: http://ci/job/shop/job/rollback/3/"):
        world.follow()


def test_a_request_whose_answer_and_build_are_nowhere_is_no_refusal(world: World) -> None:
    world.fake.replies.append(("buildWithParameters", lambda request: request.connection.close()))
    with pytest.raises(CheckError, match="did not answer when we wanted to start"):
        world.follow()
