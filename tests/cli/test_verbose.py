"""``-v``: each call to kubectl, git and over HTTP is a line on stderr, and no secret stands there."""

from __future__ import annotations

import io
import json
import logging
import re
import sys

import pytest

import rollback_lib
from rollback_lib.adapters import calls
from rollback_lib.cli.calls import shown
from rollback_lib.sandbox.shop import GOOD
from tests.cli.desk import Desk, command
from tests.fake_hook import TOKEN, FakeHook
from tests.faults import DENIED

LINE = re.compile(r"    (?P<what>\S.*): (?P<ended>[^:]+), \d+\.\d\d s")
SECRET = "p@ss-S3cr3t-planted"
CALLS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "kubectl", "git")


def told(err: str) -> list[str]:
    """What is told of calls, in the order in which they ended."""
    return [line for line in err.splitlines() if LINE.fullmatch(line) and line.split()[0] in CALLS]


def test_each_call_is_shown_with_how_it_ended_and_its_time(desk: Desk) -> None:
    ended = desk.rollback("plan", "--to", GOOD, "-v")
    assert ended.code == 0, ended
    lines = told(ended.err)
    url = re.escape(desk.playground.cluster.url)
    for wanted in (
        rf"    GET {url}/api/v1/namespaces/\S+: 200, \d+\.\d\d s",
        rf"    GET {url}/apis/apps/v1/namespaces/\S+/deployments: 200, \d+\.\d\d s",
        rf"    PATCH {url}/apis/apps/v1/\S+\?dryRun=All&fieldManager=\S+: 200, \d+\.\d\d s",
        r"    (GET|HEAD) http://127\.0\.0\.1:\d+/v2/\S+/manifests/\S+: 200, \d+\.\d\d s",
        r"    git -C \S+ for-each-ref \S+ refs/tags/: exit code 0, \d+\.\d\d s",
    ):
        assert any(re.fullmatch(wanted, line) for line in lines), (wanted, ended.err)


def test_without_it_nothing_of_them_is_shown(desk: Desk) -> None:
    before = list(logging.getLogger("rollback_lib").handlers)
    desk.rollback("status", "-v")
    ended = desk.rollback("plan", "--to", GOOD)
    assert ended.code == 0, ended
    assert [line for line in ended.err.splitlines() if line.split()[:1] and line.split()[0] in CALLS] == []
    assert logging.getLogger("rollback_lib").handlers == before
    assert not logging.getLogger("rollback_lib").isEnabledFor(logging.DEBUG)


def test_what_is_for_machines_stays_alone_on_stdout(desk: Desk) -> None:
    ended = desk.rollback("status", "--output", "json", ROLLBACK_VERBOSE="true")
    assert ended.json["current"]["release"]
    assert told(ended.err)


def test_a_wrong_request_leaves_no_listener_behind(desk: Desk) -> None:
    before = list(logging.getLogger("rollback_lib").handlers)
    ended = command(desk.playground.repository, desk.playground.environment(), ["plan", "-v", "--to", "../x"])
    assert ended.code == 2
    assert logging.getLogger("rollback_lib").handlers == before


@pytest.mark.long
def test_a_write_of_kubectl_that_fails_is_heard_out_and_shows_no_secret(desk: Desk) -> None:
    quoted = json.dumps({"kind": "Deployment", "env": [{"name": "GREETING", "value": SECRET}]})
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), DENIED, times=None,
        said=f"not at night: {quoted}; password={SECRET}; ask the platform team",
    )  # fmt: skip
    with FakeHook() as hook:
        desk.settings(
            "notify: {slack: {url_env: HOOK}}\n"
            f"verify: {{smoke: [{{service: user-service, path: '/?token={SECRET}'}}]}}\n"
        )
        ended = desk.rollback("run", "--to", GOOD, "--yes", "-v", HOOK=f"{hook.url}?token={SECRET}")
        assert hook.got
    assert ended.code == 4, ended
    assert re.search(r"    kubectl .*patch deployments\.v1\.apps .* user-service: exit code 1, \d+\.\d\d s", ended.err)
    assert "    kubectl said: " in ended.err
    assert "not at night: [hidden]" in ended.err
    assert re.search(rf"    POST http://127\.0\.0\.1:{hook.port}/… of HOOK: 200, ", ended.err), ended.err
    assert SECRET not in ended.out + ended.err
    assert TOKEN not in ended.out + ended.err


def test_the_library_prints_nothing_and_a_program_hears_all_of_it(
    desk: Desk, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("rollback_lib")
    assert [type(h) for h in log.handlers] == [logging.NullHandler]
    capfd.readouterr()
    with rollback_lib.shop(desk.playground.repository / "rollback.yaml", environ=desk.playground.environment()) as shop:
        shop.status()
        assert caplog.records == []
        with caplog.at_level(logging.DEBUG, "rollback_lib"):
            shop.status()
    assert {r.name for r in caplog.records} >= {"rollback_lib.http"}
    assert capfd.readouterr() == ("", "")
    assert log.level == logging.NOTSET


def test_on_a_terminal_a_line_covers_the_wait_that_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("COLUMNS", "60")
    with shown(True):
        logging.getLogger("rollback_lib.http").debug("GET http://127.0.0.1/: 200, 0.01 s")
    assert err.getvalue() == "\r" + "    GET http://127.0.0.1/: 200, 0.01 s".ljust(59) + "\n"


def test_a_console_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with shown(True), calls.call("http", "GET http://127.0.0.1/") as call:
        call.ended = "200"
    assert call.ended == "200"
