"""Stages that only look, in a thread of their own beside the others, until somebody needs what they found."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from rollback_lib.collectors.threads import begin


class Background:
    """One after another, in the order in which they are begun. Each has its own deadline and never fails a run."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, Future[None]]] = []

    def begin(self, needed_by: str, enter: Callable[[], None]) -> None:
        """``needed_by``: the stage that waits for it."""
        before = [future for _, future in self._begun]

        def in_turn() -> None:
            for earlier in before:
                earlier.exception()
            enter()

        self._begun.append((needed_by, begin(in_turn)))

    def wait(self, stage: str) -> None:
        """Until what this stage needs is there. Raises what went wrong: that the run's files cannot be written."""
        for needed_by, future in self._begun:
            if needed_by == stage:
                future.result()

    def end(self) -> None:
        """Until all is over, however."""
        for _, future in self._begun:
            future.exception()


class NoProgress:
    """`Progress` that nobody sees: what goes on beside is told once it is needed."""

    def stage(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...

    def waiting(self, text: str) -> None: ...
