"""The adapter over real HTTP, and over `responses` where only what is sent matters."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import responses

from rollback_lib.adapters import jenkins, jenkins_http
from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.core.errors import CheckError, RefusedError, UsageError
from tests.fake_jenkins import FakeJenkins

XML = "<flow-definition/>"
RUNNING = {"number": 3, "url": "http://x/3/", "building": True, "result": None, "actions": [{}]}


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        server.jobs["shop/rollback"] = XML
        server.builds[3] = RUNNING
        yield server


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def server(fake: FakeJenkins, waits: list[float]) -> Iterator[JenkinsServer]:
    made = JenkinsServer(fake.url, "ada", "token", sleep=waits.append)
    yield made
    made.close()


def test_parameters_travel_in_the_body_and_never_in_the_address(fake: FakeJenkins, server: JenkinsServer) -> None:
    given: dict[str, str] = {}
    fake.start = lambda body: (given.update(body) or 201, {"Location": fake.url + "queue/item/5/"}, b"")
    assert server.start("shop/rollback", {"REASON": "a&b=c\n100% año", "RELEASE": ""}) == 5
    assert given == {"REASON": "a&b=c\n100% año", "RELEASE": ""}
    assert fake.paths() == ["/job/shop/job/rollback/buildWithParameters"]


def test_an_equal_request_in_the_queue_is_no_failure(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.start = lambda given: (303, {"Location": fake.url + "job/shop/job/rollback/"}, b"")
    assert server.start("shop/rollback", {}) == 0
    assert len(fake.paths()) == 1


def test_a_queue_address_on_another_host_is_read_and_never_called(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.start = lambda given: (201, {"Location": "https://other.test/jenkins/queue/item/9/"}, b"")
    assert server.start("shop/rollback", {}) == 9


@pytest.mark.parametrize("location", ["", "/", "https://x/queue/item/x/", "https://x/queue/item/5/evil"])
def test_an_answer_without_a_queue_item_is_said(fake: FakeJenkins, server: JenkinsServer, location: str) -> None:
    fake.start = lambda given: (201, {"Location": location}, b"")
    with pytest.raises(RefusedError, match="did not say where it is queued"):
        server.start("shop/rollback", {})


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((400, {}, b"rollback is not parameterized"), "provision"),
        ((401, {}, b"<html>x</html>"), "API token is wrong"),
        ((403, {"X-Required-Permission": "hudson.model.Item.Build"}, b""), "ada lacks hudson.model.Item.Build"),
        ((404, {}, b""), "404"),
        ((409, {}, b"rollback is not buildable"), "disabled"),
        ((429, {}, b"slow down"), "429 slow down"),
        ((500, {}, b"<html><body>Oops password=hunter2</body></html>"), "500"),
        ((503, {}, b"<html>restarting</html>"), "503"),
        ((302, {"Location": "/login?from=%2F"}, b""), "wants a login"),
        ((302, {"Location": "/securityRealm/commenceLogin"}, b""), "wants a login"),
    ],
)
def test_what_is_refused_is_told_once_and_not_sent_again(
    fake: FakeJenkins, server: JenkinsServer, reply: tuple[int, dict[str, str], bytes], said: str
) -> None:
    fake.start = lambda given: reply
    with pytest.raises(RefusedError, match=said) as caught:
        server.start("shop/rollback", {})
    assert "hunter2" not in str(caught.value)
    assert len(fake.paths()) == 1


def test_a_stale_crumb_is_asked_for_again_once(fake: FakeJenkins, server: JenkinsServer) -> None:
    server.start("shop/rollback", {})
    fake.crumb = "crumb-2"
    assert server.start("shop/rollback", {}) == 5
    fake.replies.append(("buildWithParameters", (403, {}, b"No valid crumb was included")))
    fake.replies.append(("buildWithParameters", (403, {}, b"No valid crumb was included")))
    with pytest.raises(RefusedError, match="403"):
        server.start("shop/rollback", {})


def test_a_server_without_crumbs_is_fine(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.replies.append(("crumbIssuer", (404, {}, b"")))
    fake.replies.append(("buildWithParameters", (201, {"Location": "/queue/item/6/"}, b"")))
    assert server.start("shop/rollback", {}) == 6


def test_a_server_that_restarts_is_waited_for(fake: FakeJenkins, server: JenkinsServer, waits: list[float]) -> None:
    fake.replies += [("/3/api/json", (503, {"Retry-After": "2"}, b"<html>Please wait</html>"))] * 2
    found = server.build("shop/rollback", 3)
    assert found is not None
    assert found.running
    assert waits == [2.0, 2.0]


def test_it_is_not_waited_for_without_end(fake: FakeJenkins, server: JenkinsServer, waits: list[float]) -> None:
    fake.replies += [("/3/api/json", (503, {"Retry-After": "86400"}, b""))] * 9
    with pytest.raises(RefusedError, match="does not answer"):
        server.build("shop/rollback", 3)
    assert waits == [10.0] * 4


def _truncated(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"number": 3, "bui')


def _half_json(request: BaseHTTPRequestHandler) -> None:
    body = b'{"number": 3, "bui'
    request.send_response(200)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _hangs_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.close()


@pytest.mark.parametrize("broken", [_truncated, _half_json, _hangs_up])
def test_a_cut_off_answer_is_asked_for_again(fake: FakeJenkins, server: JenkinsServer, broken: Any) -> None:
    fake.replies.append(("/3/api/json", broken))
    found = server.build("shop/rollback", 3)
    assert found is not None
    assert found.number == 3


@pytest.mark.parametrize("broken", [_truncated, _hangs_up])
def test_a_request_whose_answer_was_cut_off_is_not_sent_again(
    fake: FakeJenkins, server: JenkinsServer, broken: Any
) -> None:
    fake.replies.append(("buildWithParameters", broken))
    with pytest.raises(CheckError, match="did not answer when we wanted to start shop/rollback"):
        server.start("shop/rollback", {})
    assert len(fake.paths()) == 1


def test_an_answer_that_never_comes_has_its_time(
    fake: FakeJenkins, server: JenkinsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jenkins_http, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(jenkins, "PAUSES", (0.5,))
    import threading

    held = threading.Event()
    fake.replies += [("/3/api/json", lambda request: held.wait(5) and None)] * 2
    with pytest.raises(RefusedError, match="does not answer"):
        server.build("shop/rollback", 3)
    held.set()


def test_a_redirect_to_another_host_is_not_followed(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.replies.append(("/3/api/json", (301, {"Location": "https://ci.test/job/x"}, b"")))
    with pytest.raises(RefusedError, match="set JENKINS_URL"):
        server.build("shop/rollback", 3)


def test_nobody_there_is_said() -> None:
    server = JenkinsServer("http://127.0.0.1:1/", "", "", sleep=lambda s: None)
    with pytest.raises(RefusedError, match="does not answer"):
        server.build("x", 1)
    with pytest.raises(CheckError, match="did not answer"):
        server.start("x", {})
    server.close()


def test_an_empty_log_is_a_log_and_a_deleted_build_none(fake: FakeJenkins, server: JenkinsServer) -> None:
    part = server.log("shop/rollback", 3, 0)
    assert part is not None
    assert (part.text, part.next, part.more) == ("", 0, True)
    fake.logs[3] = "año\n".encode()
    part = server.log("shop/rollback", 3, 0)
    assert part is not None
    assert (part.text, part.next) == ("año\n", 5)  # bytes
    del fake.builds[3]
    assert server.log("shop/rollback", 3, 5) is None
    assert server.build("shop/rollback", 3) is None


def test_j7_the_log_of_a_failed_deploy_is_kept_without_jenkins_s_notes(
    fake: FakeJenkins, server: JenkinsServer
) -> None:
    fake.logs[3] = b"\x1b[8mha:////4Ab+/=\x1b[0m[Pipeline] sh\r\n\x1b[31mboom\x1b[0m\n"
    part = server.log("shop/rollback", 3, 0)
    assert part is not None
    assert (part.text, part.next) == ("[Pipeline] sh\nboom\n", len(fake.logs[3]))


def test_a_queue_item_waits_leaves_and_vanishes(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.queue[5] = [
        {"why": "Waiting for next available executor", "blocked": False},
        {"cancelled": False, "executable": None},
        {"cancelled": False, "executable": {"number": 3}},
        {"cancelled": True},
    ]
    found = [server.queued(5) for _ in range(4)]
    assert [(item.why[:7], item.build, item.cancelled) for item in found] == [
        ("Waiting", 0, False), ("", 0, False), ("", 3, False), ("", 0, True),
    ]  # fmt: skip
    assert server.queued(6).gone


def test_folders_and_branches_with_slashes_are_addressed(fake: FakeJenkins, server: JenkinsServer) -> None:
    server.job_config("a b/feature%2Fx")
    assert fake.paths("GET")[-1] == "/job/a%20b/job/feature%252Fx/config.xml"
    for name in ("", "a//b", "../x", "a/.."):
        with pytest.raises(UsageError):
            server.job_config(name)


def test_a_job_is_made_in_its_folder_and_then_written_again(fake: FakeJenkins, server: JenkinsServer) -> None:
    server.put_job("shop/new job", "<año/>", create=True)
    assert fake.paths()[-1] == "/job/shop/createItem?name=new+job"
    server.put_job("shop/rollback", "<b/>", create=False)
    assert fake.jobs["shop/rollback"] == "<b/>"


def test_the_validator_s_words_are_given_as_lines(fake: FakeJenkins, server: JenkinsServer) -> None:
    assert server.check("pipeline {}") == ()
    fake.validator = {"data": {"result": "failure", "errors": [{"error": ["line 1:\n bad", "worse"]}]}}
    assert server.check("pipeline {") == ("line 1: bad; worse",)


def test_a_server_without_the_stage_plugin_still_follows(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.replies += [("wfapi", (404, {}, b"<html/>"))] * 2
    assert server.stages("shop/rollback", 3) is None
    assert server.questions("shop/rollback", 3) is None


@pytest.mark.parametrize("path", ["../../secrets", "a//b", ""])
def test_an_artifact_s_path_leads_nowhere_else(server: JenkinsServer, path: str) -> None:
    with pytest.raises(UsageError):
        server.artifact("shop/rollback", 3, path)


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(UsageError):
        JenkinsServer("https://ada:secret@ci.test/", "", "", sleep=lambda s: None)


@responses.activate
def test_the_token_goes_by_authorization_and_only_there() -> None:
    url = "https://ci.test/job/x/config.xml"
    responses.get(url, body=XML)
    server = JenkinsServer("https://ci.test/", "ada", "s3cret", sleep=lambda s: None)
    assert server.job_config("x") == XML
    (call,) = responses.calls
    assert call.request.headers["Authorization"] == "Basic YWRhOnMzY3JldA=="
    assert "s3cret" not in str(call.request.url)
    server.close()


@pytest.mark.parametrize("who", [("", ""), ("ada", ""), ("ada", "token")])
def test_nothing_of_netrc_is_sent(who: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine ci.test login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with responses.RequestsMock() as mocked:
        mocked.add(responses.GET, "http://ci.test/job/shop/config.xml", body=XML)
        made = JenkinsServer("http://ci.test/", *who, sleep=lambda _: None)
        assert made.job_config("shop") == XML
        made.close()
        sent = mocked.calls[0].request.headers.get("Authorization", "")
    mine = base64.b64encode(b"ada:token").decode()
    assert sent == (f"Basic {mine}" if all(who) else "")
