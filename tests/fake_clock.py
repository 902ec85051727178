"""Time that only moves when it is slept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rollback_lib.core.errors import InterruptedRunError


class FakeClock:
    """Moves when it is told to sleep."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.stopped = False

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.check()

    def check(self) -> None:
        if self.stopped:
            raise InterruptedRunError("Interrupted (SIGTERM).")
