"""The whole command with channels that misbehave: the run's result is the same, and what they cost is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from rollback_lib.operations import run as operation
from rollback_lib.pipeline.notifications import Notifications
from tests.cli.desk import Desk
from tests.command_line import ROOT
from tests.fake_hook import MOODS, TOKEN, FakeHook, NoRoute

NOTIFY = """
notify:
  slack: {url_env: SLACK_URL}
  webhooks: {log: {url_env: LOG_URL}}
"""


@pytest.fixture
def configured(desk: Desk) -> Iterator[str]:
    """The shop's settings and channels, in a file beside them."""
    file = desk.playground.repository / "with-channels.yaml"
    file.write_text((desk.playground.repository / "rollback.yaml").read_text() + NOTIFY)
    yield str(file)
    file.unlink()


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that runs spend on telling people, call by call."""
    took: list[float] = []

    def timed(call: Callable[..., None]) -> Callable[..., None]:
        def inner(*given: Any) -> None:
            began = time.monotonic()
            call(*given)
            took.append(time.monotonic() - began)

        return inner

    for name in ("after", "wait"):
        monkeypatch.setattr(Notifications, name, timed(getattr(Notifications, name)))
    return took


@pytest.mark.long
@pytest.mark.parametrize("mood", MOODS)
def test_stage_by_stage_beside_an_endpoint_that_misbehaves(
    desk: Desk, configured: str, spent: list[float], mood: str
) -> None:
    with FakeHook(mood) as slack, FakeHook() as log:
        urls = {"SLACK_URL": slack.url, "LOG_URL": log.url}
        plan: dict[str, str] = {}
        for stage in operation.STAGES:
            ended = desk.rollback("stage", stage, "--config", configured, "--to", "v1.1.0", **urls, **plan)
            assert ended.code == 0, ended
            if stage == "preflight":
                found = json.loads((desk.runs()[-1] / "plan.json").read_text())
                plan = {"ROLLBACK_APPROVED_HASH": found["hash"], "ROLLBACK_APPROVED_BY": "ana"}
        assert log.events == ["plan-ready", "started", "done"], "the other channel gets all"
        assert len(slack.got) == 2, "tried at first, and with the last word"
    assert sum(spent) < 5, spent
    assert all(s.is_release("v1.1.0") for s in desk.playground.services())
    everything = "".join(p.read_text(errors="replace") for p in desk.runs()[-1].rglob("*") if p.is_file())
    assert TOKEN not in everything + ended.out + ended.err


class Job(NamedTuple):
    """How twelve processes ended, and what they took together, in seconds."""

    codes: list[int]
    seconds: float
    said: str


def job(desk: Desk, config: str, **urls: str) -> Job:
    """A rollback as a Jenkins job has it: a process a stage, all in one run directory, its words in the environment."""
    desk.put_back()
    folder = desk.playground.repository
    directory = folder / ".rollback/job"
    environ = desk.playground.environment() | {"PYTHONPATH": str(ROOT), "ROLLBACK_TO": "v1.1.0"} | urls
    codes, said, seconds = [], "", 0.0
    for stage in operation.STAGES:
        command = (sys.executable, "-m", "rollback_lib", "stage", stage)
        began = time.monotonic()
        done = subprocess.run(
            (*command, "--config", config, "--run-dir", str(directory)), cwd=folder, env=environ, capture_output=True,
            stdin=subprocess.DEVNULL, text=True, timeout=60, check=False, encoding="utf-8",
        )  # fmt: skip
        seconds += time.monotonic() - began
        codes.append(done.returncode)
        said += done.stdout + done.stderr
        if stage == "preflight":
            plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
            environ |= {"ROLLBACK_APPROVED_HASH": plan["hash"], "ROLLBACK_APPROVED_BY": "ana"}
    return Job(codes, seconds, said)


@pytest.mark.long
@pytest.mark.alone
def test_twelve_processes_end_alike_and_within_five_seconds_more_beside_an_endpoint_that_hangs_resets_or_has_no_route(
    desk: Desk, configured: str
) -> None:
    quiet = [job(desk, "rollback.yaml")]
    assert quiet[0].codes == [0] * 12, quiet[0].said
    disturbed = {}
    for mood, endpoint in (("hangs", FakeHook("hangs")), ("resets", FakeHook("resets")), ("no route", NoRoute())):
        with endpoint as slack, FakeHook() as log:
            found = disturbed[mood] = job(desk, configured, SLACK_URL=slack.url, LOG_URL=log.url)
            assert found.codes == quiet[0].codes, found.said
            assert all(s.is_release("v1.1.0") for s in desk.playground.services())
            assert log.events == ["plan-ready", "started", "done"]
            assert [line for line in found.said.splitlines() if "log was not told" in line] == []
            assert found.said.count("slack was not told") == 2, "tried at first, and with the last word"
            assert TOKEN not in found.said
    quiet.append(job(desk, "rollback.yaml"))  # again, since other programs come and go on this machine meanwhile
    alone = sum(each.seconds for each in quiet) / len(quiet)
    more = {mood: found.seconds - alone for mood, found in disturbed.items()}
    assert max(more.values()) < 5, more


def test_a_plan_and_a_dry_run_tell_nobody(desk: Desk, configured: str) -> None:
    with FakeHook() as hook:
        urls = {"SLACK_URL": hook.url, "LOG_URL": hook.url}
        assert desk.rollback("plan", "--config", configured, "--to", "v1.1.0", **urls).code == 0
        assert desk.rollback("run", "--dry-run", "--config", configured, "--to", "v1.1.0", **urls).code == 0
        assert hook.got == []


def test_a_channel_without_its_variable_is_said_once_and_the_run_goes_on(desk: Desk, configured: str) -> None:
    ended = desk.rollback("run", "--yes", "--config", configured, "--to", "v1.1.0")
    assert ended.code == 0
    assert "slack was not told (started): SLACK_URL is not set" in ended.err
    record = (desk.runs()[-1] / "report/report.json").read_text()
    assert "SLACK_URL is not set" in record
