"""What a person who follows a build is told: only what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollback_lib.core.jenkins.answers import Question, Step

RUNNING: Final = ("IN_PROGRESS", "PAUSED_PENDING_INPUT")
_WORDS: Final = {
    "IN_PROGRESS": "begins", "SUCCESS": "done", "FAILED": "FAILED", "ABORTED": "stopped", "UNSTABLE": "unstable",
    "PAUSED_PENDING_INPUT": "waits for an answer", "NOT_EXECUTED": "skipped",
}  # fmt: skip


def news(before: Sequence[Step], now: Sequence[Step]) -> tuple[str, ...]:
    """A line for each stage that stands otherwise than before."""
    known = {step.name: step.status for step in before}
    return tuple(
        f"  {step.name}: {_WORDS.get(step.status, step.status.lower())}"
        for step in now
        if known.get(step.name) != step.status
    )


def asked(before: Sequence[Question], now: Sequence[Question], url: str) -> tuple[str, ...]:
    """A line for each question that is new, with the page that answers it."""
    known = {question.id for question in before}
    return tuple(f"  {q.message} Answer at {url}input/" for q in now if q.id not in known)
