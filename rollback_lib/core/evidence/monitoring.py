"""What Alertmanager and Prometheus answer, as findings. Whatever does not read is said and never raised."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.evidence.findings import finding
from rollback_lib.core.run.records import Finding, Measure
from rollback_lib.core.settings.checks import Alertmanager, Prometheus, Query

ALERTMANAGER = "alertmanager"
PROMETHEUS = "prometheus"
NOT_ASKED = "NotAsked"  # the cause of a note: its source gave no answer that reads

_MOST: Final = sys.float_info.max

Question = tuple[str, tuple[tuple[str, str], ...]]  # an address and its query, not yet encoded


def alerts_question(server: Alertmanager) -> Question:
    """Where firing alerts are: neither silenced nor inhibited."""
    narrow = tuple(("filter", m) for m in server.matchers)
    asked = (("active", "true"), ("silenced", "false"), ("inhibited", "false"), *narrow)
    return f"{server.url.rstrip('/')}/api/v2/alerts", asked


def query_question(server: Prometheus, query: Query) -> Question:
    """An instant query."""
    return f"{server.url.rstrip('/')}/api/v1/query", (("query", query.query),)


def unread(source: str, why: str) -> Finding:
    """A source that could not be asked, or whose answer does not read: never evidence of anything."""
    return finding("note", source, f"{source} could not be asked: {why}", cause=NOT_ASKED)


def alerts(server: Alertmanager, body: bytes) -> Iterator[Finding]:
    """Each firing alert."""
    try:
        found: list[_Alert] = encoding.from_json(body, list[_Alert])
    except encoding.NotJsonError:
        yield unread(ALERTMANAGER, "its answer does not read as a list of alerts")
        return
    for alert in found[:200]:
        if alert.status is not None and alert.status.state not in ("active", None):
            continue
        labels, notes = alert.labels or {}, alert.annotations or {}
        name = labels.get("alertname") or "an alert without a name"
        said = notes.get("summary") or notes.get("description") or notes.get("message") or ""
        severity = labels.get("severity") or ""
        yield finding(
            "broken" if severity in server.broken else "suspect", ALERTMANAGER,
            f"alert {name} fires" + (f" ({severity})" if severity else "") + (f": {said}" if said else ""),
            service=labels.get(server.service_label) or "", since=alert.startsAt or "", cause=name,
            link=alert.generatorURL or "",
        )  # fmt: skip


def measured(query: Query, body: bytes) -> tuple[Measure, ...] | str:
    """The value of each series; or why there is none."""
    try:
        found: _Answer = encoding.from_json(body, _Answer)
    except encoding.NotJsonError:
        return "its answer does not read"
    if found.status != "success":
        return (found.error or "its answer does not read")[:300]
    data = found.data.result if found.data is not None else None
    if data is None:
        return "its answer has no result"
    if found.data is not None and found.data.resultType == "scalar":
        data = [_Series(value=(0.0, str(data[-1]) if data else ""))]
    values = []
    for series in data[:500]:
        try:
            if not isinstance(series, _Series) or series.value is None:
                raise ValueError
            value = min(max(float(series.value[1]), -_MOST), _MOST)  # JSON, in which it is kept, has no infinity
        except ValueError:
            return f"a value of {query.name} does not read; a query must give an instant vector"
        if not math.isnan(value):  # 0 requests divided by 0: nothing was measured
            service = query.service or series.metric.get(query.service_label) or ""
            values.append(Measure(name=query.name, service=service, value=value))
    return tuple(values)


def beyond(query: Query, value: float) -> str:
    """Why a value is beyond its threshold; empty where it is not."""
    if query.above is not None and value > float(query.above):
        return f"{query.name} is {value:.4g}, above {query.above}"
    if query.below is not None and value < float(query.below):
        return f"{query.name} is {value:.4g}, below {query.below}"
    return ""


def metrics(server: Prometheus, query: Query, values: Sequence[Measure] | str) -> Iterator[Finding]:
    """Each series that is beyond the threshold; or that nobody knows, and why."""
    if isinstance(values, str):
        yield unread(PROMETHEUS, values)
        return
    for one in values:
        if said := beyond(query, one.value):
            yield finding(query.severity, PROMETHEUS, said, service=one.service, cause="Threshold", link=server.url)


def compared(query: Query, values: Sequence[Measure], before: Sequence[Measure]) -> Iterator[tuple[str, str, bool]]:
    """(service, in words, within the threshold) after a rollback, beside what was measured ``before`` it.

    Told are the series that are beyond the threshold, or were; else in one sentence that all are within it.
    """
    was = {one.service: one.value for one in before if one.name == query.name}
    told = False
    for one in values:
        earlier, said = was.get(one.service), beyond(query, one.value)
        if said or (earlier is not None and beyond(query, earlier)):
            told = True
            then = "" if earlier is None else f" ({earlier:.4g} before the rollback)"
            yield one.service, f"{said or f'{query.name} is {one.value:.4g}, within its threshold'}{then}", not said
    for service in sorted(was.keys() - {one.service for one in values}):
        if beyond(query, was[service]):
            told = True
            yield service, f"{query.name} was {was[service]:.4g} before the rollback; nothing is measured now", True
    if not told:
        yield (
            query.service,
            f"{query.name} is within its threshold" if values else f"{query.name}: nothing measured",
            True,
        )


# What they answer, by its names there.
class _State(msgspec.Struct):
    state: str | None = None


class _Alert(msgspec.Struct):
    status: _State | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    startsAt: str | None = None
    generatorURL: str | None = None


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    resultType: str | None = None
    result: list[_Series | float | str] | None = None


class _Answer(msgspec.Struct):
    status: str
    error: str | None = None
    data: _Data | None = None
