"""A run and its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from rollback_lib.core.record import Record
from rollback_lib.core.run.journal import Event, Mark

R = TypeVar("R", bound=Record)


class RunStore(Protocol):
    """One run: its records, its files, its journal."""

    def get(self, kind: type[R]) -> R:
        """The record, or UsageError naming the stage that makes it."""
        ...

    def find(self, kind: type[R]) -> R | None:
        """The record, or None."""
        ...

    def put(self, record: Record) -> None: ...

    def write(self, name: str, data: bytes) -> None:
        """A file below the run directory, mode 0600. ``name`` has forward slashes."""
        ...

    def read(self, name: str) -> bytes: ...

    def remove(self, name: str) -> None:
        """Take a file away; no matter if it is not there."""
        ...

    def files(self) -> Sequence[str]:
        """The names of the files from which the run could be finished elsewhere, the journal last."""
        ...

    def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
        """Add an event, fsynced before this returns."""
        ...

    def events(self) -> Sequence[Event]: ...

    @property
    def place(self) -> str:
        """Where the run directory lies, for people and for kubectl."""
        ...
