"""Asking and following, through the real adapter against a Jenkins over HTTP; only time is not real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.core.errors import CheckError, InterruptedRunError, UsageError
from rollback_lib.operations import jenkins_trigger
from tests.fake_clock import FakeClock
from tests.fake_jenkins import FakeJenkins

JOB = "shop/rollback"
ASKED = {"RELEASE": "v1.1.0", "REQUEST_ID": "r-1"}


class World:
    def __init__(self, fake: FakeJenkins, server: JenkinsServer, clock: FakeClock) -> None:
        self.fake, self.server, self.clock = fake, server, clock
        self.later: list[tuple[float, Callable[[], object]]] = []  # (minutes after the start, what happens then)
        self.said: list[str] = []
        self.log: list[str] = []

    def at(self, minutes: float, happens: Callable[[], object]) -> None:
        """Something that happens while it is followed."""
        start, sleep = self.clock.now(), self.clock.sleep
        self.later.append((minutes, happens))

        def slept(seconds: float) -> None:
            sleep(seconds)
            for due in [due for due in self.later if self.clock.now() - start >= timedelta(minutes=due[0])]:
                self.later.remove(due)
                due[1]()

        if len(self.later) == 1:
            self.clock.sleep = slept  # type: ignore[method-assign]

    def ends(self, result: str = "SUCCESS") -> None:
        self.fake.builds[3] = build(result=result)

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
        clock = FakeClock()
        server = JenkinsServer(fake.url, "ada", "t", sleep=lambda seconds: clock.sleep(seconds))
        yield World(fake, server, clock)
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
        "  Ask: answered",
        "  Applying: begins",
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
    monkeypatch.setattr(jenkins_trigger, "POLL", 600.0)
    world.fake.queue[5] = [{"why": "There are no nodes with the label ‘rollback’"}]
    with pytest.raises(CheckError, match="360 minutes: There are no nodes with the label"):
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


def test_a_server_that_goes_away_for_good_does_not_read_as_nothing_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jenkins_trigger, "POLL", 120.0)
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    world.at(1, lambda: setattr(world.fake, "away", lambda: True))
    with pytest.raises(CheckError, match=r"The build may go on all the same: http://ci/job/shop/job/rollback/3/"):
        world.follow()


def test_a_request_whose_answer_and_build_are_nowhere_is_no_refusal(world: World) -> None:
    world.fake.replies.append(("buildWithParameters", lambda request: request.connection.close()))
    with pytest.raises(CheckError, match="did not answer when we wanted to start"):
        world.follow()


@pytest.mark.parametrize("where", ["in the queue", "in the build"])
def test_j8_five_minutes_of_503_are_waited_out_and_said_once(
    world: World, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jenkins_trigger, "POLL", 50.0)
    queued = where == "in the queue"
    world.fake.queue[5] = [{"why": "There are no nodes"}] if queued else [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    if queued:
        world.fake.builds.clear()
    world.fake.logs[3] = b"one\n"
    away = [False]
    world.fake.away = lambda: away[0]
    world.at(1, lambda: away.__setitem__(0, True))
    world.at(6.5, lambda: away.__setitem__(0, False))
    world.at(7, lambda: world.fake.queue.__setitem__(5, []))  # a restart forgets what has left the queue
    world.at(7, world.ends)
    try:
        assert jenkins_trigger.good(world.follow())
    except CheckError as gave_up:
        pytest.fail(str(gave_up))
    assert "".join(world.log) == "one\n"
    assert len([line for line in world.said if "does not answer" in line]) == 1
    assert world.said.count("Jenkins answers again.") == 1


def test_j8_an_approval_of_an_hour_and_the_queue_behind_it_are_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jenkins_trigger, "POLL", 300.0)
    world.fake.queue[5] = [{"why": "Build #2 is already in progress (ETA: 1 hr 2 min)"}]
    world.at(61, lambda: world.fake.queue.__setitem__(5, [{"executable": {"number": 3}}]))
    world.fake.builds[3] = build()
    world.fake.stages[3] = [{"name": "Ask", "status": "PAUSED_PENDING_INPUT"}]
    world.fake.questions[3] = [{"id": "Approve", "message": "Roll prod back?"}]
    world.at(125, world.ends)
    assert jenkins_trigger.good(world.follow())
    assert len([line for line in world.said if "Roll prod back?" in line]) == 1


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        (["Build #2 is in progress (ETA: 35 sec)", "Build #2 is in progress (ETA: 33 sec)"], 1),
        (["La ejecución #2 está en progreso (tiempo estimado: 2 Min)", "La ejecución #2 está en progreso"], 1),
        (["In the quiet period. Expires in 4.9 sec", "In the quiet period. Expires in 2.8 sec"], 1),
        (["Build #2 is in progress (ETA: 1 sec)", "Build #3 is in progress (ETA: 9 sec)"], 2),
        (["Waiting for next available executor on ‘a’", "Waiting for next available executor on ‘b’"], 2),
    ],
)
def test_j8_how_long_it_will_take_is_not_told_at_every_look(world: World, reasons: list[str], told: int) -> None:
    world.fake.queue[5] = [{"why": why} for why in [*reasons, *reasons[-1:]]] + [{"executable": {"number": 3}}]
    world.ends()
    world.follow()
    assert len([line for line in world.said if line.startswith("In the queue")]) == told


def test_j8_what_was_skipped_did_not_fail_and_what_holds_others_is_not_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Jenkins tells it: a stage that holds others is a success at once, one that was skipped has failed."""
    monkeypatch.setattr(jenkins_trigger, "POLL", 20.0)
    world.fake.builds[3] = build()
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    statuses = {"Prepare": "SUCCESS", "Set up": "SUCCESS", "What is broken": "IN_PROGRESS"}
    world.fake.stages[3] = [{"name": n, "status": s} for n, s in statuses.items()]
    world.fake.logs[3] = b"[Pipeline] { (Prepare)\n"

    def fails() -> None:
        after = {"Prepare": "SUCCESS", "Set up": "SUCCESS", "What is broken": "FAILED", "Saving": "FAILED",
                 "Ask": "FAILED", "Restore": "NOT_EXECUTED"}  # fmt: skip
        world.fake.stages[3] = [{"name": n, "status": s} for n, s in after.items()]

    world.at(1, fails)
    world.at(2, lambda: world.ends("FAILURE"))
    skips = (
        b'Stage "Saving" skipped due to earlier failure(s)\n10:02:03  Stage "Ask" skipped due to earlier failure(s)\n'
    )
    world.at(2, lambda: world.fake.logs.__setitem__(3, b"[Pipeline] { (Prepare)\n" + skips))  # a log comes late
    world.follow()
    assert [line for line in world.said if line.startswith("  ")] == [
        "  Prepare: begins", "  Set up: begins", "  What is broken: begins", "  Restore: skipped",
        "  What is broken: FAILED", "  Saving: skipped", "  Ask: skipped",
    ]  # fmt: skip


def test_j8_without_the_plugin_that_tells_stages_it_follows_with_less_and_says_so_once(world: World) -> None:
    world.fake.tells_stages = False
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build()
    world.fake.logs[3] = b"[Pipeline] { (Ask)\nRoll prod back?\nRoll back or Abort\n"
    world.at(1, world.ends)
    assert jenkins_trigger.good(world.follow())
    assert "Roll prod back?" in "".join(world.log)
    (said,) = (line for line in world.said if "pipeline-rest-api" in line)
    assert said.endswith("http://ci/job/shop/job/rollback/3/input/")
    assert len([path for path in world.fake.paths("GET") if "wfapi" in path]) == 1


NOTE = "\x1b[8mha:////4" + "Ab+/" * 90 + "=\x1b[0m"
SHOWN = "[Pipeline] { (Año)\nStarted by Ada\nred link title\n\ttab ñ€😀 end\n"
CONSOLE = (
    f"{NOTE}[Pipeline] {{ (Año)\r\nStarted by {NOTE}Ada\n"
    "\x1b[31;1mred\x1b[0m \x1b]8;;http://evil\x1b\\link\x1b]8;;\x07 \x1b]0;owned\x07title\x1b[2J\x1b(B\r\n"
    "\ttab ñ€😀\x00\x07\x08\x7f\x9b5A end"
).encode() + b"\n"


@pytest.mark.parametrize("size", [61, 5000])
def test_j7_notes_and_what_steers_a_terminal_are_left_out_however_the_log_comes_in_parts(
    world: World, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fake.queue[5] = [{"executable": {"number": 3}}]
    world.fake.builds[3] = build(result="SUCCESS")
    parts = [CONSOLE[i : i + size] for i in range(0, len(CONSOLE), size)]
    asked: list[int] = []

    def log(job: str, number: int, start: int) -> Any:
        asked.append(start)
        part = parts.pop(0)
        world.fake.logs[3] = b"x" * start + part
        found = JenkinsServer.log(world.server, job, number, start)
        return msgspec.structs.replace(found, more=bool(parts))

    monkeypatch.setattr(world.server, "log", log)
    monkeypatch.setattr(jenkins_trigger, "POLL", 0.0)
    world.follow()
    assert "".join(world.log) == SHOWN
    assert all(text.endswith("\n") for text in world.log)
    assert asked[-1] < len(CONSOLE)


def test_j7_what_jenkins_says_beside_the_log_is_shown_without_it_too(world: World) -> None:
    world.fake.queue[5] = [{"why": "no node \x1b[2J‘x’\x07"}, {"executable": {"number": 3}}]
    world.ends()
    world.fake.stages[3] = [{"name": "A\x1b]0;x\x07", "status": "SUCCESS"}]
    world.fake.questions[3] = [{"id": "Approve", "message": f"{NOTE}Yes\x1b[31m?"}]
    world.follow()
    assert not set("\x1b\x07") & set("".join(world.said))
    assert {"In the queue: no node ‘x’", "  A: begins"} <= set(world.said)
    assert any(line.startswith("  Yes? Answer at ") for line in world.said)
