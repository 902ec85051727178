"""What a stage is, and what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rollback_lib.core.record import Record
from rollback_lib.core.run.changes import Change
from rollback_lib.ports.cluster import Acts, Cluster, ClusterRecords
from rollback_lib.ports.evidence import Evidence
from rollback_lib.ports.once import Once
from rollback_lib.ports.people import Approver, Notifier, Progress
from rollback_lib.ports.registry import Registry, RegistryWriter
from rollback_lib.ports.repository import GitHistory
from rollback_lib.ports.store import RunStore


class Clock(Protocol):
    """Time, injected, so that tests do not sleep."""

    def now(self) -> datetime:
        """Now, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises InterruptedRunError as soon as somebody asks us to stop."""
        ...

    def check(self) -> None:
        """Raise InterruptedRunError if somebody has asked us to stop."""
        ...


class StoppableClock(Clock, Protocol):
    """A clock that somebody can stop, from a signal handler or another thread."""

    def stop(self, why: str) -> None:
        """Ask whoever waits on it to end before the next write."""
        ...

    def stopped(self) -> str:
        """Why it was stopped, in a sentence; empty while it was not."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait, and no longer than until it is stopped; raises nothing."""
        ...


class Writer(Protocol):
    """What a stage gets for writing: announce, act, confirm."""

    def do(self, change: Change) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Ports:
    """The world, made when first asked for. ``environ`` are the variables of this process, for approval.

    ``once`` keeps what was read of ``git``, whose commits never change: another repository begins with a new one.
    """

    git: GitHistory
    registry: Registry
    tags: RegistryWriter
    cluster: Cluster
    records: ClusterRecords
    evidence: Evidence
    acts: Acts
    clock: Clock
    progress: Progress
    approver: Approver
    environ: Mapping[str, str]
    user: str = ""
    notifier: Notifier | None = None
    once: Once = field(default_factory=Once)


class Stage(Protocol):
    """A module with these three names."""

    @property
    def ID(self) -> str: ...

    @property
    def WRITES(self) -> bool: ...

    def run(self, run: RunStore, ports: Ports, write: Writer) -> Record | None: ...
