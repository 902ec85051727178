"""report/junit.xml, which Jenkins's `junit` step shows: a test case a stage, a verified workload, and a check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from rollback_lib.core.report.model import Report

FILE: Final = "junit.xml"
# What XML 1.0 cannot hold, escaped or not.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml(report: Report) -> str:
    """JUnit XML. Never empty, since a publisher takes no results for a broken build."""
    cases = list(_cases(report))
    failures, skipped = sum("<failure" in c for c in cases), sum("<skipped" in c for c in cases)
    name = quoteattr(_clean(f"rollback {report.application} {report.environment}".strip()))
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuite name={name} tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}">',
            *cases,
            "</testsuite>\n",
        )
    )


def _cases(report: Report) -> Iterator[str]:
    for stage in report.stages:
        yield _case("rollback.stage", stage.stage, stage.seconds, failure=stage.failed)
    found = report.verification
    if found is None:
        yield _case("rollback", "verify", skipped="nothing was verified")
        return
    for w in found.workloads:
        bad = w.desired > 0 and w.health != "healthy"
        text = "\n".join((w.message or w.health, *w.logs))
        yield _case(
            w.service or w.name, str(w.ref), failure=text if bad else "",
            skipped="" if w.desired else "at 0 replicas: not proven",
        )  # fmt: skip
    for check in found.checks:
        tries = [f"{t.at} {t.text}" for t in check.tries]
        failure = "" if check.good else "\n".join((check.text, *tries))
        yield _case(check.service or "rollback", f"{check.kind} {check.name}", check.seconds, failure=failure)


def _case(service: str, name: str, seconds: float = 0.0, *, failure: str = "", skipped: str = "") -> str:
    start = f'<testcase classname={_attribute(service)} name={_attribute(name)} time="{seconds:.3f}"'
    if failure:
        first = failure.splitlines()[0] if failure.strip() else failure
        return f"{start}><failure message={_attribute(first)}>{escape(_clean(failure))}</failure></testcase>"
    if skipped:
        return f"{start}><skipped message={_attribute(skipped)}/></testcase>"
    return f"{start}/>"


def _attribute(text: str) -> str:
    return quoteattr(" ".join(_clean(text).split()))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
