"""Channels against a real server on loopback: what is sent, and what is said where it fails; never an address."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback_lib.adapters.notify import Channels, apprise, slack, teams, webhook
from rollback_lib.adapters.notify.post import post
from rollback_lib.core.report.notices import DONE, STARTED, Notice
from rollback_lib.core.settings import model
from rollback_lib.core.settings.notify import Channel, Webhook
from tests.fake_hook import TOKEN, FakeHook, NoRoute

HOSTILE = '<!channel> *x* [a](javascript:b) & "quoted" {title} \\x1b[31m'


def notice(**more: Any) -> Notice:
    values: dict[str, Any] = {
        "event": DONE, "key": DONE, "title": "ROLLBACK done: shop prod", "lines": ("v2 → v1", HOSTILE),
        "next": "Next: fill in the incident record.", "link": "https://ci.example/job/7/", "application": "shop",
        "environment": "prod", "run": "r1", **more,
    }  # fmt: skip
    return Notice(**values)


@pytest.mark.parametrize(
    ("mood", "said", "unclear"),
    [
        ("ok", "", False), ("500", "answers 500", False), ("404", "answers 404", False),
        ("redirects", "redirect (307)", False), ("resets", "cannot be reached", False),
        ("garbage", "cannot be reached", False), ("hangs", "no answer in", True),
    ],
)  # fmt: skip
def test_every_way_of_failing_is_one_line_without_the_address(mood: str, said: str, unclear: bool) -> None:
    with FakeHook(mood) as hook:
        found = post("HOOK", {"x": 1}, {"HOOK": hook.url}, 0.5)
        assert said in found.error
        assert bool(said) == bool(found.error)
        assert found.unclear == unclear
        assert TOKEN not in found.error
        assert len(hook.got) == 1, "neither repeated nor followed"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "HOOK is not set"), ("ftp://x/secret", "holds no http address"), ("not an address", "no http address"),
        ("http://[::1/secret", "no http address"), ("http://127.0.0.1:1/secret", "cannot be reached"),
        ("https://no-such-host.invalid/secret", "cannot be reached"), ("http://a\nb/secret", "no http address"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_said_by_its_variable(value: str, said: str) -> None:
    found = post("HOOK", {}, {"HOOK": value}, 2)
    assert said in found.error
    assert "secret" not in found.error


@pytest.mark.skipif(sys.platform != "linux", reason="where a full queue does not answer")
def test_where_there_is_no_route_it_is_given_up_in_time_and_nothing_can_have_arrived() -> None:
    with NoRoute() as nowhere:
        began = time.monotonic()
        found = post("HOOK", {}, {"HOOK": nowhere.url}, 0.5)
        assert time.monotonic() - began < 2
    assert (found.error, found.unclear) == ("no connection in 0 s", False)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the proxies of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_a_notice_goes_through_the_proxy_and_around_it_where_no_proxy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHook() as proxy, FakeHook() as hook:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert not post("HOOK", {"x": 1}, {"HOOK": f"http://hooks.example/{TOKEN}"}, 2).error
        assert [path for path, _, _ in proxy.got] == [f"http://hooks.example/{TOKEN}"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert not post("HOOK", {"x": 1}, {"HOOK": hook.url}, 2).error
        assert (len(proxy.got), len(hook.got)) == (1, 1)


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("mood", ["hangs", "resets", "gone"])
def test_a_proxy_that_is_out_of_order_is_one_line_in_time(mood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHook(mood) as proxy:
        port = 1 if mood == "gone" else proxy.port
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        found = post("HOOK", {}, {"HOOK": f"https://hooks.example/{TOKEN}"}, 0.5)
        assert time.monotonic() - began < 2
    assert found.error
    assert TOKEN not in found.error


def test_a_proxy_is_used_and_a_certificate_that_nobody_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHook() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        found = post("HOOK", {}, {"HOOK": f"https://hooks.example/{TOKEN}"}, 2)
        assert "the proxy does not lead there" in found.error
        assert proxy.got[0][0] == "hooks.example:443"


def test_a_certificate_authority_of_ones_own_is_trusted_where_the_environment_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        check=True, capture_output=True,
    )  # fmt: skip
    with FakeHook(tls=(certificate, key)) as hook:
        found = post("HOOK", {"x": 1}, {"HOOK": hook.url}, 2)
        assert "no trusted TLS connection" in found.error
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert post("HOOK", {"x": 1}, {"HOOK": hook.url}, 2).error == ""
        assert len(hook.got) == 1


def test_credentials_of_netrc_go_to_no_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeHook() as hook:
        assert not post("HOOK", {}, {"HOOK": hook.url}, 2).error
        assert "Authorization" not in hook.got[0][1]


def test_slack_gets_text_that_can_ping_nobody() -> None:
    sent = json.dumps(slack.body(notice()))
    assert "<!channel>" not in sent
    assert "&lt;!channel&gt;" in sent
    assert "<https://ci.example/job/7/>" in sent
    assert "ROLLBACK done: shop prod" in sent


def test_teams_gets_text_runs_in_which_nothing_is_markup() -> None:
    card = teams.body(notice())["attachments"][0]["content"]
    runs = [inline for block in card["body"] for inline in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert HOSTILE in [run["text"] for run in runs]
    assert card["actions"][0]["url"] == "https://ci.example/job/7/"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "/runs/one", 'https://x/"><b>'])
def test_what_is_no_plain_address_is_no_link(link: str) -> None:
    assert "actions" not in teams.body(notice(link=link))["attachments"][0]["content"]
    assert f"<{link}>" not in json.dumps(slack.body(notice(link=link)), ensure_ascii=False).replace('\\"', '"')


def test_a_body_of_ones_own_is_filled_in_as_data() -> None:
    template = {"summary": "{title}!", "details": {"all": "{text}", "n": 3, "list": ["{from}", "{to}"]}}
    made = webhook.body(notice(release_from="v2", release_to="v1"), template)
    assert made["summary"] == "ROLLBACK done: shop prod!"
    assert made["details"]["list"] == ["v2", "v1"]
    assert HOSTILE in made["details"]["all"], "no placeholder of a value is filled in again"
    assert json.loads(json.dumps(made)) == made


def test_headers_come_from_the_environment_or_nothing_is_sent() -> None:
    with FakeHook() as hook:
        made = Webhook(url_env="HOOK", headers={"Authorization": "PAGER"})
        assert "PAGER is not set" in webhook.send(made, notice(), {"HOOK": hook.url}, 2).error
        bad = webhook.send(made, notice(), {"HOOK": hook.url, "PAGER": "a\r\nX: b"}, 2).error
        assert bad == "PAGER cannot be a header's value"
        assert hook.got == []
        assert not webhook.send(made, notice(), {"HOOK": hook.url, "PAGER": "Token abc"}, 2).error
        assert hook.got[0][1]["Authorization"] == "Token abc"


def test_users_are_told_the_teams_words_and_nothing_of_how_it_is_done() -> None:
    text = SMALLEST + "announce: {url_env: STATUS, text: Back in minutes., over: All is well.}\n"
    with FakeHook() as hook:
        channels = Channels(model.load(text), {"STATUS": hook.url})
        assert channels.channels(STARTED) == ("announce",)
        assert channels.channels("failed") == ()
        for event in (STARTED, DONE):
            assert not channels.send("announce", notice(event=event), 2).error
        assert [body for _, _, body in hook.got] == [{"text": "Back in minutes."}, {"text": "All is well."}]


def test_placeholders_in_what_users_are_told_stay_as_they_are_written() -> None:
    text = (
        SMALLEST + 'announce: {url_env: STATUS, text: "{title}", body: {say: "{announcement}", of: "{application}"}}\n'
    )
    with FakeHook() as hook:
        assert not Channels(model.load(text), {"STATUS": hook.url}).send("announce", notice(event=STARTED), 2).error
        assert hook.got[0][2] == {"say": "{title}", "of": "shop"}


def test_a_text_for_our_page_alone_is_sent_to_nobody() -> None:
    page = "namespace: shop, isolation: {mode: service, targets: [a], maintenance: {}}"
    text = SMALLEST.replace("namespace: shop", page) + "announce: {text: Back in minutes.}\n"
    channels = Channels(model.load(text), {})
    assert channels.channels(STARTED) == ()
    assert channels.lacking() == {}


def test_a_channel_gets_the_events_that_it_wants() -> None:
    text = SMALLEST + "notify: {slack: {url_env: A}, webhooks: {pager: {url_env: B, events: [failed]}}}\n"
    channels = Channels(model.load(text), {})
    assert channels.channels("failed") == ("slack", "pager")
    assert channels.channels("done") == ("slack",)


def test_without_the_library_apprise_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    found = apprise.send(Channel(url_env="MAILS"), notice(), {"MAILS": "mailto://me:secret@example.org"})
    assert "pip install apprise" in found.error


def test_apprise_is_given_each_address_and_says_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Apprise:
        def add(self, address: str) -> bool:
            return not address.startswith("bad")

        def notify(self, **what: Any) -> bool:
            told.append(what)
            return True

    library = SimpleNamespace(
        Apprise=Apprise, NotifyType=SimpleNamespace(FAILURE="failure", INFO="info"),
        NotifyFormat=SimpleNamespace(TEXT="text"),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "apprise", library)
    channel = Channel(url_env="MAILS")
    assert not apprise.send(channel, notice(), {"MAILS": "mailto://a mailto://b"}).error
    assert told[0]["title"] == "ROLLBACK done: shop prod"
    found = apprise.send(channel, notice(), {"MAILS": "mailto://a bad://me:secret@x"})
    assert found.error == "address 2 in MAILS is none that apprise knows"


SMALLEST = "application: shop\nmanifests: {path: k8s}\nenvironments: {prod: {namespace: shop}}\n"
