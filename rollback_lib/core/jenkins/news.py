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
_WAITS: Final = "waits for an answer"
_BEGUN: Final = ("IN_PROGRESS", "SUCCESS")
_ENDS: Final = {"FAILED": "FAILED", "ABORTED": "stopped", "UNSTABLE": "unstable"}
# Of a reason in the queue, what changes while nothing happens: how long it will take. The number of a build stays.
_HOW_LONG: Final = re.compile(r"\([^)]*\)|(?<![#\d])[\d.,]+")


def of_stages(
    told: Mapping[str, str], now: Sequence[BuildStage], skipped: Collection[str], *, ended: bool
) -> Mapping[str, str]:
    """What is to be told of each stage that is new, or stands otherwise than was ``told``.

    Jenkins calls a stage that holds others done as soon as the first of these begins, and one that it skipped failed.
    So nobody is told that a stage is done, and what failed is told once the build has ``ended``: then its whole log
    says what was skipped.
    """
    found = {stage.name: _word(told.get(stage.name, ""), stage, skipped, ended) for stage in now}
    return {name: word for name, word in found.items() if word and told.get(name) != word}


def _word(before: str, stage: BuildStage, skipped: Collection[str], ended: bool) -> str:
    if stage.name in skipped or stage.status == "NOT_EXECUTED":
        return "skipped"
    if stage.status in _BEGUN:
        return "answered" if before == _WAITS else before or "begins"
    if stage.status == "PAUSED_PENDING_INPUT":
        return _WAITS
    if stage.status in _ENDS:
        return _ENDS[stage.status] if ended else before
    return stage.status.lower()


def of_questions(before: Sequence[Question], now: Sequence[Question], url: str) -> tuple[str, ...]:
    """A line for each question that is new, with the page that answers it."""
    known = {question.id for question in before}
    return tuple(f"  {plain(q.message)} Answer at {url}input/" for q in now if q.id not in known)


def same_reason(one: str, other: str) -> bool:
    """Whether two reasons to wait in the queue differ only in how long it will take."""
    return _HOW_LONG.sub("", one).split() == _HOW_LONG.sub("", other).split()
