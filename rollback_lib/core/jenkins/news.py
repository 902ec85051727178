"""What a person who follows a build is told: only what is new."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rollback_lib.core.jenkins.answers import BuildStage, Question
from rollback_lib.core.jenkins.console import plain

NO_STAGES: Final = (
    "This Jenkins has not the plugin Pipeline: REST API (pipeline-rest-api), so no stages and no questions are told "
    "beside the log. A question is answered at {url}input/"
)
# What is told of a stage, by Jenkins' word for it or by our own.
_WORDS: Final = {
    "BEGUN": "begins", "PAUSED_PENDING_INPUT": "waits for an answer", "ANSWERED": "answered", "NOT_EXECUTED": "skipped",
    "FAILED": "FAILED", "ABORTED": "stopped", "UNSTABLE": "unstable",
}  # fmt: skip
_BEGUN: Final = ("IN_PROGRESS", "SUCCESS")
_ENDS: Final = ("FAILED", "ABORTED", "UNSTABLE")
# Of a reason in the queue, what changes while nothing happens: how long it will take. The number of a build stays.
_HOW_LONG: Final = re.compile(r"\([^)]*\)|(?<![#\d])[\d.,]+")


def of_stages(
    told: Mapping[str, str], now: Sequence[BuildStage], skipped: Collection[str], *, ended: bool
) -> Mapping[str, str]:
    """How each stage stands that is new, or stands otherwise than was ``told``.

    Jenkins calls a stage that holds others done as soon as the first of these begins, and one that it skipped failed.
    So nobody is told that a stage is done, and what failed is told once the build has ``ended``: then its whole log
    says what was skipped.
    """
    found = {stage.name: _standing(told.get(stage.name, ""), stage, skipped, ended) for stage in now}
    return {name: standing for name, standing in found.items() if standing and told.get(name) != standing}


def _standing(before: str, stage: BuildStage, skipped: Collection[str], ended: bool) -> str:
    if stage.name in skipped:
        return "NOT_EXECUTED"
    if stage.status in _BEGUN:
        return "ANSWERED" if before == "PAUSED_PENDING_INPUT" else before or "BEGUN"
    return before if stage.status in _ENDS and not ended else stage.status


def line(name: str, standing: str) -> str:
    """What is said of a stage."""
    return f"  {name}: {_WORDS.get(standing, standing.lower())}"


def of_questions(before: Sequence[Question], now: Sequence[Question], url: str) -> tuple[str, ...]:
    """A line for each question that is new, with the page that answers it."""
    known = {question.id for question in before}
    return tuple(f"  {plain(q.message)} Answer at {url}input/" for q in now if q.id not in known)


def same_reason(one: str, other: str) -> bool:
    """Whether two reasons to wait in the queue differ only in how long it will take."""
    return _HOW_LONG.sub("", one).split() == _HOW_LONG.sub("", other).split()
