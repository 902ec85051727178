"""What a person sees: stages as they begin, waits as they go, JSON on stdout for machines."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import Any

import click

from rollback_lib.core.redact import redact

_EVERY = 30.0  # seconds between plain lines of one wait
TITLES = {
    "resolve": "What to go back to",
    "images": "Whether its images exist",
    "rewrite": "Its manifests, with the proven images",
    "preflight": "What would change",
    "approve": "Approval",
    "apply": "Applying",
    "verify": "Verifying",
    "retag": "Tags to move",
    "document": "Writing it down",
}


class Console:
    """`Progress` on stderr, and `Approver` where there is a terminal. Never fails a run."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._shown = False
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
            width = shutil.get_terminal_size((80, 24)).columns - 1
            self._clear()
            self._write(f"  {text}"[:width])
            self._shown = True
        elif time.monotonic() - self._said_at >= _EVERY:
            self._said_at = time.monotonic()
            self._write(f"  {text}\n")

    def ask(self, question: str) -> bool | None:
        if not (sys.stdin is not None and sys.stdin.isatty() and self._live):
            return None
        self._clear()
        return click.confirm(question, default=False, err=True)

    def _clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a console that is gone does not end a run
            sys.stderr.write(text)
            sys.stderr.flush()


def out(text: str) -> None:
    """Text for stdout."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()


def json_out(value: Any) -> None:
    """One JSON document on stdout, ASCII only, so that no console can break it."""
    import json

    import msgspec

    out(json.dumps(msgspec.to_builtins(value), indent=2))
