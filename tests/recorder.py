"""The requests that came in, for counting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from rollback_lib.sandbox.requests import Request

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass
class Entry:
    """One request. `status`: 0 while it is being answered, -1 where the connection was reset."""

    method: str
    path: str
    query: dict[str, str]
    agent: str
    status: int = 0

    @property
    def is_write(self) -> bool:
        """Whether it changed something: no dry run, no review, not refused."""
        return (
            self.method in _WRITES
            and "dryRun" not in self.query
            and "authorization.k8s.io" not in self.path
            and 200 <= self.status < 300
        )


class Recorder:
    """All requests since the last `clear`, oldest first."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def begin(self, request: Request) -> Entry:
        entry = Entry(request.method, request.path, dict(request.query), request.agent)
        with self._lock:
            self._entries.append(entry)
        return entry

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def writes(self, agent: str = "") -> list[Entry]:
        """What really wrote, by one client or by all."""
        return [e for e in self if e.is_write and (not agent or e.agent == agent)]
