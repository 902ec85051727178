"""What a person sees: stages as they begin, waits as they go, JSON on stdout for machines."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import click

from rollback_lib.core.redact import redact
from rollback_lib.ports import Approved

if TYPE_CHECKING:
    from rollback_lib.core.plan.model import Plan

_EVERY = 30.0  # seconds between plain lines of one wait
TITLES = {
    "detect": "What is broken",
    "incident": "Saving the evidence",
    "resolve": "What to go back to",
    "images": "Whether its images exist",
    "rewrite": "Its manifests, with the proven images",
    "preflight": "What would change",
    "approve": "Approval",
    "isolate": "Taking the lock",
    "apply": "Applying",
    "verify": "Verifying",
    "reopen": "Giving the lock back",
    "retag": "Moving tags",
    "document": "Writing it down",
}


class Console:
    """`Progress` on stderr, and `Approver` where there is a terminal. Never fails a run."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        # A line that changes is for people who watch; it needs no more of the terminal than going back to its start.
        self._live = self._terminal and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        self._shown = 0
        self._said_at = time.monotonic()
        self._start = time.monotonic()

    def stage(self, stage: str) -> None:
        self.say(f"[{time.monotonic() - self._start:5.1f} s] {TITLES.get(stage, stage)} ({stage})")

    def say(self, text: str) -> None:
        if not self._quiet:
            self._clear()
            self._write(redact(text) + "\n")

    def waiting(self, text: str) -> None:
        if self._quiet:
            return
        text = redact(text)
        if self._live:
            line = f"  {text}"[: columns() - 1]
            self._write("\r" + line.ljust(self._shown))
            self._shown = len(line)
        elif time.monotonic() - self._said_at >= _EVERY:
            self._said_at = time.monotonic()
            self._write(f"  {text}\n")

    def ask(self, question: str) -> bool | None:
        if not (sys.stdin is not None and sys.stdin.isatty() and self._terminal):
            return None
        self._clear()
        return click.confirm(question, default=False, err=True)

    def approve(self, plan: Plan, question: str, place: str) -> Approved | None:
        answer = self.ask(question)
        return None if answer is None else Approved(answer)

    def _clear(self) -> None:
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a console that is gone does not end a run
            sys.stderr.write(text)
            sys.stderr.flush()


def columns() -> int:
    """How wide the terminal is; 80 where nobody knows."""
    return shutil.get_terminal_size((80, 24)).columns


def closing(text: str) -> None:
    """The last line, on stdout: one line for whoever reads it in a log, whole words for whoever sees it."""
    out(textwrap.fill(text, columns() - 1, break_long_words=False) if sys.stdout.isatty() else text)


def out(text: str) -> None:
    """Text for stdout."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except OSError as error:  # nobody reads on, or the disk is full: what was done is done, and the code says it
        mute(error)


def mute(error: OSError) -> None:
    """Write no more to stdout, where the rest would fail again when Python ends, and change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError, ValueError):
            print(f"rollback: the output could not be written: {error.strerror}", file=sys.stderr, flush=True)


def json_out(value: Any) -> None:
    """One JSON document on stdout, ASCII only, so that no console can break it."""
    import json

    import msgspec

    out(json.dumps(msgspec.to_builtins(value), indent=2))
