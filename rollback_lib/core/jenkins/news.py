"""What a person who follows a build is told: only what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollback_lib.core.jenkins.answers import BuildStage, Question

RUNNING: Final = ("IN_PROGRESS", "PAUSED_PENDING_INPUT")
_WORDS: Final = {
    "IN_PROGRESS": "begins", "SUCCESS": "done", "FAILED": "FAILED", "ABORTED": "stopped", "UNSTABLE": "unstable",
    "PAUSED_PENDING_INPUT": "waits for an answer", "NOT_EXECUTED": "skipped",
}  # fmt: skip


def of_stages(before: Sequence[BuildStage], now: Sequence[BuildStage]) -> tuple[str, ...]:
    """A line for each stage that stands otherwise than before."""
    known = {stage.name: stage.status for stage in before}
    return tuple(
        f"  {stage.name}: {_WORDS.get(stage.status, stage.status.lower())}"
        for stage in now
        if known.get(stage.name) != stage.status
    )


def of_questions(before: Sequence[Question], now: Sequence[Question], url: str) -> tuple[str, ...]:
    """A line for each question that is new, with the page that answers it."""
    known = {question.id for question in before}
    return tuple(f"  {q.message} Answer at {url}input/" for q in now if q.id not in known)
