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

    def check(self) -> None:
        if self._stop.is_set():
            raise InterruptedRunError(f"Interrupted ({self._why}).")

    def sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self.check()
