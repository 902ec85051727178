"""The run as a test report, which Jenkins shows without any plugin for ours: stages, then workloads. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from rollback_lib.core.journal import Event, Mark
from rollback_lib.core.redact import redact
from rollback_lib.core.run import Verification

FILE = "report/junit.xml"


def text(events: Sequence[Event], verification: Verification | None) -> str:
    """One case for each stage that was entered, as it ended last, and one for each workload that was verified."""
    cases = [*_stages(events), *_workloads(verification)]
    failures = sum(1 for _, _, said in cases if said)
    lines = [f'<testsuite name="rollback" tests="{len(cases)}" failures="{failures}" errors="0" skipped="0">']
    for group, name, said in cases:
        case = f"  <testcase classname={quoteattr(group)} name={quoteattr(_plain(name))}"
        if said:
            lines.append(f"{case}><failure>{escape(_plain(said))}</failure></testcase>")
        else:
            lines.append(f"{case}/>")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([*lines, "</testsuite>"]) + "\n"


def _stages(events: Sequence[Event]) -> Iterator[tuple[str, str, str]]:
    ended: dict[str, str] = {}
    for event in events:
        if event.mark is Mark.STAGE_BEGIN:
            ended[event.stage] = "did not end"
        elif event.mark is Mark.STAGE_DONE:
            ended[event.stage] = ""
        elif event.mark is Mark.STAGE_FAILED:
            ended[event.stage] = event.error or f"ended with {event.code}"
    yield from (("rollback.stage", stage, said) for stage, said in ended.items())


def _workloads(verification: Verification | None) -> Iterator[tuple[str, str, str]]:
    for w in verification.workloads if verification else ():
        well = w.health == "healthy"
        yield "rollback.workload", f"{w.kind}/{w.name}", "" if well else w.message or w.health


def _plain(value: str) -> str:
    """XML 1.0 has no way to write most control characters, and a report must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in redact(value))
