"""Who is told what and when: each notice once, across processes, and never so that it changes the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.errors import FailedError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.report.notices import Delivery, Notice
from rollback_lib.core.run.journal import Mark
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop, notifications
from tests.fakes import FakeActs, FakeProgress
from tests.pipeline.test_loop import World


class FakeNotifier:
    """Keeps what it was told. ``answers``: by channel; an exception is raised."""

    def __init__(self, *names: str, **answers: Delivery | Exception) -> None:
        self.names, self.answers = names or ("slack",), answers
        self.told: list[tuple[str, Notice]] = []

    def channels(self, event: str) -> Sequence[str]:
        return self.names

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        self.told.append((channel, notice))
        answer = self.answers.get(channel, Delivery())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self, channel: str = "slack") -> list[str]:
        return [n.event for c, n in self.told if c == channel]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def marks(world: World, mark: Mark) -> list[str]:
    return [e.key for e in world.run().events() if e.mark is mark]


def test_a_run_tells_that_it_started_and_that_it_is_done(world: World) -> None:
    notifier = FakeNotifier()
    operation.execute(world.run(reason="checkout is down"), world.ports(notifier=notifier))
    assert notifier.events() == ["started", "done"]
    done = notifier.told[-1][1]
    assert "v2 → v1" in done.lines
    assert "Why: checkout is down" in done.lines
    assert "Asked by me, approved by me (--yes)" in done.lines
    assert "cart: cart@bbbbbbbbbbbb → cart:v1@aaaaaaaaaaaa" in done.lines, "failed and restored digest"
    assert any(line.startswith("! :prod in 2 repositories is still v2") for line in done.lines)
    assert done.link == world.run().place
    assert marks(world, Mark.TOLD) == ["tell/started/slack", "tell/done/slack"]


def test_each_notice_is_told_once_over_processes_of_their_own_and_when_all_is_run_again(world: World) -> None:
    notifier = FakeNotifier("slack", "pager")
    for _ in range(2):
        for stage in operation.STAGES:
            operation.one(world.run(), world.ports(notifier=notifier), stage)
    operation.execute(world.run(), world.ports(notifier=notifier))
    assert notifier.events("slack") == notifier.events("pager") == ["started", "done"]


def test_a_plan_that_a_person_must_approve_is_announced_with_its_hash_and_the_refusal_after_it(world: World) -> None:
    notifier = FakeNotifier()
    run = world.run(yes=False)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        operation.one(run, world.ports(notifier=notifier), stage)
    assert notifier.events() == ["plan-ready"]
    assert run.get(Plan).hash[:12] in notifier.told[0][1].next
    assert operation.one(run, world.ports(notifier=notifier), "approve").ending.code == 7
    assert notifier.events() == ["plan-ready", "refused"]
    assert "Nothing was changed; traffic is open." in notifier.told[-1][1].lines


@pytest.mark.parametrize("how", ["plan", "dry-run", "nothing-to-do", "before-preflight"])
def test_nobody_is_told_of_a_run_that_only_looks_has_nothing_to_do_or_gets_to_no_plan(world: World, how: str) -> None:
    notifier = FakeNotifier()
    if how == "nothing-to-do":
        operation.execute(world.run("first"), world.ports())
        operation.execute(world.run(), world.ports(notifier=notifier))
    elif how == "before-preflight":
        assert operation.execute(world.run(to="v9"), world.ports(notifier=notifier)).ending.code in (2, 3)
    elif how == "plan":
        operation.plan(world.run(dry_run=True), world.ports(notifier=notifier))
    else:
        operation.execute(world.run(dry_run=True), world.ports(notifier=notifier))
    assert notifier.told == []


def test_a_failure_is_told_with_its_error_and_the_next_step_and_the_finish_after_it(world: World) -> None:
    notifier = FakeNotifier()
    acts = FakeActs(world.cluster, fail={2: FailedError("the network is gone")})
    operation.execute(world.run(), world.ports(acts=acts, notifier=notifier))
    assert notifier.events() == ["started", "failed"]
    failed = notifier.told[-1][1]
    assert failed.bad
    assert "✗ the network is gone" in failed.lines
    assert "running it again goes on from here" in failed.next


@pytest.mark.parametrize("answer", [Delivery("answers 500"), ValueError("https://hooks/secret")], ids=["500", "bug"])
def test_a_channel_that_failed_is_left_alone_until_the_last_word_and_changes_nothing(
    world: World, answer: Delivery | Exception
) -> None:
    notifier, progress = FakeNotifier("slack", "pager", slack=answer), FakeProgress()
    run = world.run(yes=False)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        operation.one(run, world.ports(notifier=notifier, progress=progress), stage)
    approval = {"ROLLBACK_APPROVED_HASH": run.get(Plan).hash, "ROLLBACK_APPROVED_BY": "ana"}
    for stage in ("approve", "apply", "verify", "document"):
        more: dict[str, Any] = {"notifier": notifier, "progress": progress, "environ": approval}
        ended = operation.one(run, world.ports(**more), stage)
    assert ended.ending.code == 0
    assert notifier.events("slack") == ["plan-ready", "done"]
    assert notifier.events("pager") == ["plan-ready", "started", "done"]
    said = [line for line in progress.lines if "was not told" in line]
    assert len(said) == 2
    assert "secret" not in " ".join(said) + (world.folder / "run/journal.jsonl").read_text()


class Hanging(FakeNotifier):
    """Answers nobody until it is let go."""

    def __init__(self) -> None:
        super().__init__("slack")
        self.go = threading.Event()

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        super().send(channel, notice, seconds)
        self.go.wait(20)
        return Delivery()


def test_a_channel_that_hangs_costs_less_than_five_seconds_over_all_processes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "ALL", 0.4)
    monkeypatch.setattr(notifications, "FOR_THE_LAST", 0.15)
    notifier, waited = Hanging(), list[float]()
    wait = notifications.Notifications.wait

    def timed(self: notifications.Notifications) -> None:
        began = time.monotonic()
        wait(self)
        waited.append(time.monotonic() - began)

    monkeypatch.setattr(notifications.Notifications, "wait", timed)
    for stage in operation.STAGES:
        ended = operation.one(world.run(), world.ports(notifier=notifier), stage)
    notifier.go.set()
    assert ended.ending.code == 0
    assert notifier.events() == ["started", "done"]
    assert marks(world, Mark.TOLD) == [], "what came after its time is not heard"
    assert marks(world, Mark.NOT_TOLD) == ["tell/started/slack", "tell/done/slack"]
    assert 0 < sum(waited) < 0.4 + 1, "all waits together, on a busy machine too"


def test_a_channel_that_hangs_leaves_time_to_one_that_only_needs_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "ALL", 1.2)
    monkeypatch.setattr(notifications, "FOR_THE_LAST", 0.4)
    go = threading.Event()

    class OneHangs(FakeNotifier):
        def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
            go.wait(20 if channel == "slack" else 0.05)
            return super().send(channel, notice, seconds)

    notifier, run = OneHangs("slack", "pager"), world.run(yes=False)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        operation.one(run, world.ports(notifier=notifier), stage)
    approval = {"ROLLBACK_APPROVED_HASH": run.get(Plan).hash, "ROLLBACK_APPROVED_BY": "ana"}
    for stage in ("approve", "apply", "verify", "document"):
        operation.one(run, world.ports(notifier=notifier, environ=approval), stage)
    go.set()
    assert marks(world, Mark.TOLD) == ["tell/plan-ready/pager", "tell/started/pager", "tell/done/pager"]


def test_what_may_have_arrived_is_not_sent_again(world: World) -> None:
    notifier = FakeNotifier(slack=Delivery("no answer", unclear=True))
    for _ in range(2):
        operation.one(world.run(), world.ports(notifier=notifier), "resolve")
        operation.execute(world.run(), world.ports(notifier=notifier))
    assert notifier.events() == ["started", "done"]


def test_a_notifier_that_breaks_altogether_changes_nothing(world: World) -> None:
    class Broken(FakeNotifier):
        def channels(self, event: str) -> Sequence[str]:
            raise RuntimeError("broken")

    assert operation.execute(world.run(), world.ports(notifier=Broken())).ending.code == 0


def test_a_notice_says_no_secret(world: World) -> None:
    notifier = FakeNotifier()
    acts = FakeActs(world.cluster, fail={2: FailedError("refused: DB_PASSWORD=hunter2 https://me:hunter2@x/")})
    operation.execute(world.run(reason="token: hunter2 \x1b[31m"), world.ports(acts=acts, notifier=notifier))
    assert len(notifier.told) == 2
    assert "hunter2" not in repr(notifier.told)
    assert "\x1b" not in "".join(n.title + n.text for _, n in notifier.told)


def test_the_last_stage_that_is_told_of_is_the_last_stage() -> None:
    assert loop.STAGES[-1].ID == notifications.LAST
