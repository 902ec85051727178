"""The real time, and the wish to stop."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from rollback_lib.core.errors import InterruptedRunError


class SystemClock:
    """`Clock` on the machine's time. ``stop`` may be called from a signal handler."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._why = ""

    def stop(self, why: str) -> None:
        """Ask the run to end before its next write."""
        self._why = why
        self._stop.set()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def stopped(self) -> str:
        """Why the run has to end, in a sentence; empty while nobody wants it to."""
        return f"Interrupted ({self._why})." if self._stop.is_set() else ""

    def pause(self, seconds: float) -> None:
        """Wait, and no longer than until somebody asks us to stop; what comes next says so itself."""
        self._stop.wait(seconds)

    def check(self) -> None:
        if why := self.stopped():
            raise InterruptedRunError(why)

    def sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self.check()
