"""What is remembered from round to round: since when a symptom stands, and how containers ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from rollback_lib.core.health.pods import pods, troubles
from rollback_lib.core.health.pods.reading import Json, condition, number, part, parts, text, when
from rollback_lib.core.health.pods.report import Crash, EarlierRounds, Patience, View

KEPT: Final = 3
_CLOCK: Final = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]?"  # a date,
    r"|\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"  # a time: neither makes two crashes different
)


def look(view: View, patience: Patience) -> EarlierRounds:
    """What ``patience.seen`` becomes after this snapshot. Looking twice at the same one changes nothing."""
    before = patience.seen
    since = {key: before.since.get(key, patience.now) for key in _symptoms(view, patience)}
    crashes: dict[str, tuple[Crash, ...]] = {}
    restarts: dict[str, int] = {}
    for pod in pods.owned(view):
        older = _is_older(pod, patience)
        for status in statuses(pod):
            key = pods.key_of(pod, status)
            crashes[key] = _with_ended_runs(before.crashes.get(key, ()), pod, status, view)
            if older:
                restarts[key] = before.restarts_before.get(key, number(status, "restartCount"))
    return EarlierRounds(since, {key: runs for key, runs in crashes.items() if runs}, restarts)


def statuses(pod: object) -> tuple[Json, ...]:
    return (*parts(pod, "status", "initContainerStatuses"), *parts(pod, "status", "containerStatuses"))


def restarts_since(pod: object, status: object, seen: EarlierRounds) -> int:
    """Restarts that our patch can have to do with: those of a pod from before it are not counted."""
    return max(0, number(status, "restartCount") - seen.restarts_before.get(pods.key_of(pod, status), 0))


def repeats(runs: tuple[Crash, ...]) -> bool:
    """Whether the last two runs ended alike, by exit code and last line. Without a last line nobody can tell."""
    if len(runs) < 2:
        return False
    one, two = runs[-2:]
    line = _CLOCK.sub("", one.line)
    return bool(one.line and two.line) and one.exit_code == two.exit_code and line == _CLOCK.sub("", two.line)


def last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _symptoms(view: View, patience: Patience) -> Iterator[str]:
    if troubles.lacks_pods_and_none_terminates(view) and troubles.replica_failure(view, patience) is not None:
        yield troubles.REPLICA_FAILURE
    for pod in pods.owned(view):
        if text(condition(pod, "PodScheduled"), "reason") == "Unschedulable":
            yield f"unschedulable/{text(pod, 'metadata', 'uid')}"
        for status in parts(pod, "status", "containerStatuses"):
            if part(status, "state", "running"):
                yield pods.running_key(pod, status)


def _is_older(pod: object, patience: Patience) -> bool:
    created: datetime | None = when(pod, "metadata", "creationTimestamp")
    return patience.patched_at is not None and created is not None and not patience.fresh(created)


def _with_ended_runs(runs: tuple[Crash, ...], pod: object, status: Json, view: View) -> tuple[Crash, ...]:
    ended = [
        (run, terminated)
        for terminated in (part(status, "lastState", "terminated"), part(status, "state", "terminated"))
        if (run := text(terminated, "containerID") or text(terminated, "finishedAt"))
    ]
    known: Mapping[str, Crash] = {crash.run: crash for crash in runs}
    for place, (run, terminated) in enumerate(ended, start=1):
        newest = place == len(ended)
        line = last_line(text(terminated, "message"))
        if not line and newest:  # the log that we have is that of the last run that ended
            line = last_line(view.lines.get(f"{pods.name_of(pod)}/{text(status, 'name')}", ""))
        if run not in known:
            runs = (*runs, Crash(run, number(terminated, "exitCode"), line))
        elif line and not known[run].line:
            runs = tuple(Crash(c.run, c.exit_code, line) if c.run == run else c for c in runs)
    return runs[-KEPT:]
