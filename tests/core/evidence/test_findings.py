"""Texts from outside made harmless, and the verdict that findings make together."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.evidence import findings, logs, saved
from rollback_lib.core.evidence.findings import finding, judge, of_services
from rollback_lib.core.kube.snapshot import LogEnd
from rollback_lib.core.settings.checks import LogPattern, Logs

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300).map(lambda b: b.decode(errors="replace")),
    st.sampled_from([
        "\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07after", "<script>alert(1)</script>", "]]><!--",
        "a\r\nINJECTED: x",
        "| cell | cell |", "\u202egnp.exe", "\x9b31m", "\ud800", "password=hunter2", "\0" * 50,
    ]),
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.text(max_size=9), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=4), x), max_leaves=8
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_whatever_a_text_holds_a_finding_is_one_plain_line(said: str, service: str, link: str) -> None:
    got = finding("suspect", "logs", said, service=service, cause=said, link=link, since=said)
    for text in (got.text, got.service, got.cause, got.link, got.since):
        assert "\n" not in text
        assert "\r" not in text
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text), text
    msgspec.json.encode(got)
    assert len(got.text) <= findings.LONGEST
    assert not got.link or got.link.startswith(("http://", "https://"))


@given(HOSTILE)
def test_a_log_as_evidence_steers_no_terminal_and_is_bounded(said: str) -> None:
    kept = saved.log_text(LogEnd(said)).text
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in kept)
    assert len(kept) <= saved.LONGEST_LOG


@pytest.mark.parametrize(
    "line", ["x" * 10_000_000, "\x1b[31m" * 2_000_000, "password=" * 1_000_000, "ERROR " * 1_500_000]
)
def test_a_line_of_ten_megabytes_costs_no_time(line: str) -> None:
    began = time.process_time()
    assert len(findings.plain(line)) <= findings.LONGEST
    logs.scan(line, "cart", logs.SIGNS)
    assert len(saved.log_text(LogEnd(line)).text) <= saved.LONGEST_LOG
    assert time.process_time() - began < 3


def test_escape_codes_go_and_credentials_are_hidden() -> None:
    got = findings.plain("\x1b[31mlogin\x1b[0m failed, password=hunter2 \x1b]8;;http://evil\x07click")
    assert got == "login failed, password=[hidden] click"


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://a b", "file:///etc/passwd", 'http://x/"onload=', ""]
)
def test_only_an_http_address_is_a_link(address: str) -> None:
    assert finding("note", "x", "y", link=address).link == ""


def test_a_password_in_a_link_is_hidden() -> None:
    assert "hunter2" not in finding("note", "x", "y", link="http://ana:hunter2@grafana/d/1").link


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [([], "healthy"), (["note"], "healthy"), (["note", "suspect"], "suspect"), (["suspect", "broken"], "broken")],
)  # fmt: skip
def test_the_worst_finding_is_the_verdict(severities: list[findings.Severity], verdict: str) -> None:
    got = judge([finding(s, "x", f"a {s} thing", service="cart") for s in severities], at=NOW)
    assert got.verdict == verdict
    assert got.reasons
    assert all("note" not in r for r in got.reasons)


def test_without_the_workloads_nothing_is_called_healthy() -> None:
    got = judge([], at=NOW, health_known=False)
    assert got.verdict == "suspect"
    assert "could not be asked" in got.reasons[0]
    assert of_services(got, {"cart"}).verdict == "suspect"


def test_the_first_evidence_is_the_oldest_that_is_no_note() -> None:
    times = [
        ("broken", "2026-03-01T11:58:00Z"),
        ("suspect", "2026-03-01T13:55:00+02:00"),
        ("note", "2026-01-01T00:00:00Z"),
    ]
    got = judge([finding(s, "x", t, since=t) for s, t in times], at=NOW)  # type: ignore[arg-type]
    assert got.since == "2026-03-01T11:55:00Z"


def test_another_teams_broken_workload_says_nothing_about_this_plan() -> None:
    got = judge([finding("broken", "workloads", "crashes", service="theirs")], at=NOW)
    assert of_services(got, {"cart"}).verdict == "healthy"
    assert of_services(got, {"theirs"}).verdict == "broken"


def test_an_alert_about_no_service_counts_for_all() -> None:
    got = judge([finding("broken", "alertmanager", "the shop is down")], at=NOW)
    assert of_services(got, {"cart"}).verdict == "broken"


def test_many_findings_are_counted_and_not_kept() -> None:
    got = judge([finding("suspect", "logs", f"line {i}") for i in range(500)], at=NOW)
    assert len(got.findings) == findings.MOST + 1
    assert got.findings[-1].text == f"and {500 - findings.MOST} more findings"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Could not resolve placeholder 'payment.url' in value \"${payment.url}\"", "Configuration"),
        ("KeyError: 'DATABASE_URL'", "Configuration"),
        ("java.lang.OutOfMemoryError: Java heap space", "OutOfMemory"),
        ("APPLICATION FAILED TO START", "FailedToStart"),
        ("ModuleNotFoundError: No module named 'flask'", "FailedToStart"),
        ("Error: Cannot find module 'express'", "FailedToStart"),
        ("panic: runtime error: invalid memory address", "FailedToStart"),
        ("FATAL: v1.2.0 cannot start", "Fatal"),
    ],
)
def test_signs_of_java_python_node_and_go_are_known(line: str, cause: str) -> None:
    seen = logs.scan(f"2026-03-01T11:59:59.123Z {line}\n", "cart", logs.SIGNS)
    assert [(s.cause, s.since) for s in seen] == [(cause, "2026-03-01T11:59:59.123Z")]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("java.net.ConnectException: Connection refused (zipkin:9411)", "DependencyDown"),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "DependencyDown"),
        ("getaddrinfo ENOTFOUND payments", "DependencyDown"),
        ('10.0.0.1 - - "GET /orders HTTP/1.1" 503 12', "ServerErrors"),
        ("status=502 path=/cart", "ServerErrors"),
    ],
)
def test_what_happens_once_is_not_told_and_what_repeats_is(line: str, cause: str) -> None:
    assert logs.scan(line, "cart", logs.SIGNS) == ()
    assert [s.cause for s in logs.scan(f"{line}\n" * 3, "cart", logs.SIGNS)] == [cause]


@pytest.mark.parametrize(
    "line",
    [
        "Started CartApplication in 4.2 seconds", "INFO 0 errors, 500 orders", '"GET /x HTTP/1.1" 200 500',
        "level=info", "error_count=0", "GET /errors 200",
    ],
)  # fmt: skip
def test_an_ordinary_line_is_no_sign(line: str) -> None:
    assert logs.scan(f"{line}\n" * 50, "cart", logs.SIGNS) == ()


def test_what_the_old_pods_said_as_well_is_not_the_new_releases_fault() -> None:
    old = logs.scan("ERROR x\n" * 10, "cart", logs.SIGNS)
    new = logs.scan("ERROR x\n" * 12, "cart", logs.SIGNS)
    assert logs.new_signs(new, old) == ()
    assert logs.new_signs(new, ()) == new


def test_a_teams_own_pattern_comes_first_and_what_it_ignores_never_counts() -> None:
    mine = Logs(
        patterns=(LogPattern(pattern="declined", cause="PaymentDeclined", severity="broken"),), ignore=("probe",)
    )
    known = logs.signs(mine)
    seen = logs.scan("FATAL declined\nFATAL probe\n", "cart", known, mine.ignore)
    assert [(s.cause, s.severity, s.times) for s in seen] == [("PaymentDeclined", "broken", 1)]


def test_no_value_of_a_variable_or_a_config_map_becomes_evidence() -> None:
    container = {"name": "a", "env": [{"name": "PLAIN", "value": "s3cret-a"}], "args": ["--token=s3cret-b"]}
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"url": "s3cret-c"},
        "binaryData": {"x": "s3cret-d"},
    }
    text = saved.object_text(pod) + saved.object_text(config)
    assert "s3cret" not in text
    assert "[8 characters]" in text


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.text(max_size=9),
            lambda x: st.lists(x) | st.dictionaries(st.text(max_size=4), x),
            max_leaves=8,
        ),
    )
)
def test_any_object_can_be_kept(obj: dict[str, object]) -> None:
    assert saved.object_text({**obj, "metadata": {}}).endswith("\n")


def test_a_name_of_evidence_never_leaves_its_folder() -> None:
    assert saved.file_name("../../etc", "pass/wd", "") == "______etc.pass_wd"


def test_a_detection_survives_its_file() -> None:
    got = judge([finding("broken", "x", "y", service="cart")], at=NOW)
    assert msgspec.json.decode(msgspec.json.encode(got), type=type(got)) == got
