"""Signs of failure in log lines: those that Java, Python, Node and Go programs have in common, and a team's own.

A sign in a pod that works is a suspicion and no proof: programs log errors while they serve. What counts is what the
new pods say and the old ones did not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.evidence.findings import Severity, plain
from rollback_lib.core.settings.checks import Logs

LONGEST_LINE: Final = 2000  # characters of a line that are looked at
_STAMP: Final = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ")


class Sign(msgspec.Struct, frozen=True):
    """What a pattern means: ``after`` so many lines it is told."""

    cause: str
    pattern: re.Pattern[str]
    severity: Severity = "suspect"
    after: int = 1
    service: str = "*"


class Occurrences(msgspec.Struct, frozen=True):
    """A sign in a log: how often, when first, and a line as it stands there (made harmless)."""

    cause: str
    severity: Severity
    times: int
    line: str
    since: str = ""


def _sign(cause: str, pattern: str, after: int = 1) -> Sign:
    return Sign(cause, re.compile(pattern), after=after)


# The first that fits a line is what it counts as; the more telling ones come first.
SIGNS: Final = (
    _sign("Configuration", r"Could not resolve placeholder|(?:[Mm]issing|[Uu]nknown|[Ii]nvalid) (?:required )?"
          r"(?:config(?:uration)?|setting|environment variable|property)\b|Failed to bind properties under"
          r"|^\s*KeyError: '[A-Z][A-Z0-9_]+'"),
    _sign("OutOfMemory", r"java\.lang\.OutOfMemoryError|JavaScript heap out of memory|^\s*MemoryError\b"
          r"|fatal error: runtime: out of memory"),
    _sign("FailedToStart", r"APPLICATION FAILED TO START|Application run failed|Exception in thread \"main\""
          r"|Error: Cannot find module|^\s*ModuleNotFoundError: |^panic: |^fatal error: |Unable to access jarfile"
          r"|Worker failed to boot"),
    _sign("DependencyDown", r"Connection refused|ECONNREFUSED|UnknownHostException|ENOTFOUND|no such host"
          r"|Name or service not known|Temporary failure in name resolution|NoRouteToHost|EHOSTUNREACH"
          r"|dial tcp [^ ]+: (?:i/o timeout|connect:)|(?i:could not connect to|unable to connect to|connection pool"
          r" exhausted)|CannotGetJdbcConnection|HikariPool-\d+ - Connection is not available", after=3),
    _sign("ServerErrors", r"\" 5\d\d (?:\d|-)|\bstatus(?:_?code)?[\"']?[=:]\s?[\"']?5\d\d\b|HTTP/\d(?:\.\d)? 5\d\d\b",
          after=3),
    _sign("SlowAnswers", r"(?i)\bslow (?:request|query|response)\b|\bSocketTimeoutException\b|read timed out", after=3),
    _sign("Fatal", r"\b(?:FATAL|CRITICAL|PANIC)\b"),
    _sign("Errors", r"^\s*Traceback \(most recent call last\)|UnhandledPromiseRejection|Unhandled(?:Rejection)?\b"
          r"|\b(?:ERROR|SEVERE)\b|\"level\":\s?\"(?:error|fatal)\"|\blevel=(?:error|fatal)\b"
          r"|^\s*(?:Caused by: )?[a-z][\w.]*\.[A-Z]\w*(?:Exception|Error)\b", after=5),
)  # fmt: skip


def signs(settings: Logs) -> tuple[Sign, ...]:
    """The team's own signs, then the usual ones."""
    own = tuple(Sign(p.cause, re.compile(p.pattern), p.severity, p.after, p.service) for p in settings.patterns)
    return (*own, *SIGNS)


def scan(text: str, service: str, known: Sequence[Sign], ignore: Iterable[str] = ()) -> tuple[Occurrences, ...]:
    """What a log says. Lines may begin with the time that the kubelet gives them."""
    never = [re.compile(p) for p in ignore]
    mine = [s for s in known if s.service in ("*", service)]
    times: dict[int, int] = {}
    first: dict[int, tuple[str, str]] = {}
    for raw in text.split("\n"):
        stamped = _STAMP.match(raw[:60])
        since, line = (stamped[1], raw[stamped.end() :]) if stamped else ("", raw)
        line = line[:LONGEST_LINE]
        if any(p.search(line) for p in never):
            continue
        place = next((i for i, s in enumerate(mine) if s.pattern.search(line)), None)
        if place is not None:
            times[place] = times.get(place, 0) + 1
            first.setdefault(place, (since, plain(line, 200)))
    return tuple(
        Occurrences(mine[i].cause, mine[i].severity, count, first[i][1], first[i][0])
        for i, count in sorted(times.items())
        if count >= mine[i].after
    )


def new_signs(now: Iterable[Occurrences], before: Iterable[Occurrences]) -> tuple[Occurrences, ...]:
    """What the new pods say and the old ones did not, or not half as often."""
    old: Mapping[str, int] = {s.cause: s.times for s in before}
    return tuple(s for s in now if s.times > 2 * old.get(s.cause, 0))
