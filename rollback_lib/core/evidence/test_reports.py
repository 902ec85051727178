"""What tests left behind, as findings: JUnit XML, and Locust's statistics (CSV or JSON)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.evidence.findings import finding
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Reports
from rollback_lib.core.settings.types import seconds

JUNIT: Final = "junit"
LOCUST: Final = "locust"
_TOLD: Final = 5  # failed tests that are told by name


def junit(file: str, data: bytes, services: Iterable[str] = ()) -> Iterator[Finding]:
    """The failed tests of one JUnit file. A service is the one whose name stands in a suite's or test's name."""
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data):  # entities can grow without end, and JUnit needs none
        yield _unread(JUNIT, file, "it declares a document type, and no test report needs one")
        return
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        yield _unread(JUNIT, file, f"it does not read as XML ({error})")
        return
    known = sorted(services, key=len, reverse=True)
    failed, count = [], 0
    when = root.get("timestamp") or next((s.get("timestamp") for s in root.iter("testsuite") if s.get("timestamp")), "")
    for case in root.iter("testcase"):
        count += 1
        bad = next((x for x in case if x.tag in ("failure", "error")), None)
        if bad is not None:
            name = f"{case.get('classname') or ''}.{case.get('name') or ''}".strip(".")
            failed.append((name, (bad.get("message") or bad.text or bad.tag)[:1000]))
    for name, said in failed[:_TOLD]:
        service = next((s for s in known if s in name or s.replace("-", "") in name.lower()), "")
        yield finding("suspect", JUNIT, f"test {name} failed: {said}", service=service, since=when, cause="TestFailed")
    if len(failed) > _TOLD:
        said = f"{len(failed)} of {count} tests in {file} failed"
        yield finding("suspect", JUNIT, said, since=when, cause="TestFailed")


def locust(file: str, data: bytes, bounds: Reports) -> Iterator[Finding]:
    """Requests of a Locust run that failed too often or were too slow."""
    text = data.decode(errors="replace")
    rows = _from_json(text) if text.lstrip()[:1] in ("[", "{") else _from_csv(text)
    if rows is None:
        yield _unread(LOCUST, file, "it has not the columns of Locust's statistics")
        return
    for name, requests, failures, slow in rows:
        if not requests or name == "Aggregated":
            continue
        percent = 100 * failures / requests
        if percent > float(bounds.failures):
            said = f"{percent:.1f} % of {requests:.0f} requests to {name} failed, more than {bounds.failures} %"
            yield finding("suspect", LOCUST, said, cause="RequestsFailed")
        if bounds.slower_than and slow > 1000 * seconds(bounds.slower_than):
            said = f"95 % of requests to {name} took up to {slow:.0f} ms, more than {bounds.slower_than}"
            yield finding("suspect", LOCUST, said, cause="SlowAnswers")


_Row = tuple[str, float, float, float]  # name, requests, failures, 95 % in ms


def _from_csv(text: str) -> list[_Row] | None:
    try:
        rows = list(csv.DictReader(io.StringIO(text.replace("\0", ""))))
    except csv.Error:
        return None
    if not rows or not {"Name", "Request Count", "Failure Count"} <= rows[0].keys():
        return None
    return [
        (str(r.get("Name") or ""), _number(r.get("Request Count")), _number(r.get("Failure Count")),
         _number(r.get("95%")))
        for r in rows
    ]  # fmt: skip


class _Entry(msgspec.Struct):
    num_requests: float
    num_failures: float | None = None
    name: str | None = None
    response_times: dict[str, float] | None = None  # Locust's own histogram, milliseconds → how many


class _Report(msgspec.Struct):
    stats: list[_Entry]


def _from_json(text: str) -> list[_Row] | None:
    try:
        entries: list[_Entry] | _Report = encoding.from_json(text, list[_Entry] | _Report)
    except encoding.NotJsonError:
        return None
    return [
        (e.name or "", _number(e.num_requests), _number(e.num_failures), _p95(e.response_times or {}))
        for e in (entries.stats if isinstance(entries, _Report) else entries)
    ]


def _p95(times: Mapping[str, float]) -> float:
    counts = sorted((_number(k), _number(v)) for k, v in times.items())
    left = 0.95 * sum(n for _, n in counts)
    for took, many in counts:
        left -= many
        if left <= 0:
            return took
    return 0.0


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 <= number < 1e15 else 0.0


def _unread(source: str, file: str, why: str) -> Finding:
    return finding("note", source, f"{file} could not be read: {why}")
