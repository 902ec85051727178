"""What monitoring and test reports say: read as they write it, and harmless where they write something else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.evidence import monitoring, test_reports
from rollback_lib.core.run.records import Finding, Measure
from rollback_lib.core.settings.checks import Alertmanager, Prometheus, Query, Reports

ALERTS = Alertmanager(url="http://am:9093")
SERVER = Prometheus(url="http://prom:9090")
RATE = Query(name="error rate", query="x", above="0.05")
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda x: st.lists(x) | st.dictionaries(st.text(max_size=9), x), max_leaves=12,
)  # fmt: skip


def alert(**labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": "HighErrors", **labels}, "annotations": {"summary": "many errors"},
        "startsAt": "2026-03-01T11:58:00Z", "status": {"state": "active"}, "generatorURL": "http://prom/graph?x=1",
    }  # fmt: skip


def vector(*values: tuple[dict[str, str], str]) -> bytes:
    data = [{"metric": m, "value": [0, v]} for m, v in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": data}}).encode()


def metrics(query: Query, body: bytes) -> list[Finding]:
    return list(monitoring.metrics(SERVER, query, monitoring.measured(query, body)))


def test_a_critical_alert_proves_it_and_a_warning_is_a_suspicion() -> None:
    body = json.dumps([alert(severity="critical", service="cart"), alert(severity="warning")]).encode()
    got = list(monitoring.alerts(ALERTS, body))
    assert [(f.severity, f.service, f.cause) for f in got] == [
        ("broken", "cart", "HighErrors"), ("suspect", "", "HighErrors"),
    ]  # fmt: skip
    assert got[0].since == "2026-03-01T11:58:00Z"
    assert got[0].link == "http://prom/graph?x=1"


def test_a_silenced_alert_is_not_told() -> None:
    body = json.dumps([{**alert(), "status": {"state": "suppressed"}}]).encode()
    assert list(monitoring.alerts(ALERTS, body)) == []


def test_a_value_beyond_its_threshold_names_the_service() -> None:
    got = metrics(RATE, vector(({"service": "cart"}, "0.2"), ({"service": "users"}, "0.01")))
    assert [(f.service, f.text) for f in got] == [("cart", "error rate is 0.2, above 0.05")]


def test_nothing_divided_by_nothing_is_no_value() -> None:
    assert metrics(RATE, vector(({}, "NaN"))) == []


def test_a_value_may_fall_too_low() -> None:
    orders = Query(name="orders", query="x", below="1")
    assert [f.text for f in metrics(orders, vector(({}, "0")))] == ["orders is 0, below 1"]


def rate(value: float, service: str = "cart") -> Measure:
    return Measure(name="error rate", service=service, value=value)


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (
            [rate(0.001)],
            [rate(0.42)],
            [("cart", "error rate is 0.001, within its threshold (0.42 before the rollback)", True)],
        ),
        ([rate(0.2)], [rate(0.42)], [("cart", "error rate is 0.2, above 0.05 (0.42 before the rollback)", False)]),
        ([rate(0.2)], [rate(0.01)], [("cart", "error rate is 0.2, above 0.05 (0.01 before the rollback)", False)]),
        ([rate(0.2)], [], [("cart", "error rate is 0.2, above 0.05", False)]),
        ([], [rate(0.42)], [("cart", "error rate was 0.42 before the rollback; nothing is measured now", True)]),
        ([rate(0.01)], [rate(0.02)], [("", "error rate is within its threshold", True)]),
        (
            [rate(0.01)],
            [rate(0.42, "users")],
            [("users", "error rate was 0.42 before the rollback; nothing is measured now", True)],
        ),
        ([], [], [("", "error rate: nothing measured", True)]),
    ],
)
def test_what_is_measured_is_told_beside_what_was(
    now: list[Measure], before: list[Measure], told: list[object]
) -> None:
    assert list(monitoring.compared(RATE, now, before)) == told


def test_only_the_same_query_is_compared() -> None:
    latency = Measure(name="latency", service="cart", value=9.0)
    assert list(monitoring.compared(RATE, [rate(0.01)], [latency])) == [
        ("", "error rate is within its threshold", True)
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"status":"error","error":"parse error"}',
        b'{"status":"success"}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_an_answer_that_does_not_read_is_said_and_proves_nothing(body: bytes) -> None:
    assert all(f.severity == "note" for f in metrics(RATE, body))
    assert all(f.severity == "note" for f in monitoring.alerts(ALERTS, body))


NAMES = (
    "status", "state", "labels", "annotations", "startsAt", "generatorURL", "data", "result", "resultType", "metric",
    "value", "error", "stats", "num_requests", "num_failures", "name", "response_times", "95",
)  # fmt: skip


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | st.text(max_size=9)
        | st.sampled_from(("success", "scalar", "vector", "+Inf", "-1e999")),
        lambda x: st.lists(x, max_size=4) | st.dictionaries(st.sampled_from(NAMES), x, max_size=4),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_json_is_read_without_an_error(value: object) -> None:
    body = json.dumps(value).encode()
    metrics(RATE, body)
    list(monitoring.alerts(ALERTS, body))
    list(test_reports.locust("x.json", body, Reports()))


@pytest.mark.parametrize(("value", "kept"), [("+Inf", 1.7976931348623157e308), ("-Inf", -1.7976931348623157e308)])
def test_a_value_without_a_bound_is_kept_as_the_largest_there_is(value: str, kept: float) -> None:
    """What is kept is JSON, which has no infinity: it came back as no value, which does not read."""
    (found,) = monitoring.measured(RATE, vector(({}, value)))
    assert isinstance(found, Measure)
    assert found.value == kept
    assert msgspec.json.decode(msgspec.json.encode(found), type=Measure) == found


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "0.2"]}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1.5, "0.2"]}]}}',
    ],
)
def test_a_scalar_and_a_vector_are_values(body: bytes) -> None:
    assert monitoring.measured(RATE, body) == (rate(0.2, ""),)


JUNIT = b"""<testsuites><testsuite name="e2e" timestamp="2026-03-01T11:50:00">
<testcase classname="CartServiceTest" name="adds">
<failure message="expected 200 but was &lt;500&gt; \x1b[31m"/></testcase>
<testcase classname="UserTest" name="logs in"/></testsuite></testsuites>"""


def test_a_failed_test_names_its_service() -> None:
    got = list(test_reports.junit("a.xml", JUNIT.replace(b"\x1b[31m", b""), ["cart-service", "user-service"]))
    assert [(f.service, f.cause, f.since) for f in got] == [("cart-service", "TestFailed", "2026-03-01T11:50:00Z")]
    assert "expected 200 but was <500>" in got[0].text


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<a", JUNIT, b"\xff\xfe\x00", b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>',
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
    ],
)  # fmt: skip
def test_a_report_that_does_not_read_is_a_note(data: bytes) -> None:
    assert all(f.severity == "note" for f in test_reports.junit("a.xml", data))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    list(test_reports.junit("a.xml", data))
    list(test_reports.locust("a.csv", data, Reports()))


CSV = b"""Type,Name,Request Count,Failure Count,95%
GET,/cart,1000,300,900
GET,/ok,1000,1,120
,Aggregated,2000,301,500
"""


def test_requests_of_a_load_test_that_failed_or_were_slow_are_told() -> None:
    got = [f.text for f in test_reports.locust("s.csv", CSV, Reports(slower_than="500ms"))]
    assert got == [
        "30.0 % of 1000 requests to /cart failed, more than 1 %",
        "95 % of requests to /cart took up to 900 ms, more than 500ms",
    ]


def test_locusts_json_is_read_as_well() -> None:
    entries = [{"name": "/cart", "num_requests": 10, "num_failures": 5, "response_times": {"100": 9, "2000": 1}}]
    got = [f.cause for f in test_reports.locust("s.json", json.dumps(entries).encode(), Reports(slower_than="1s"))]
    assert got == ["RequestsFailed", "SlowAnswers"]
