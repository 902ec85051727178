"""What an operation works with: a team's settings, the ports, and the run directories of the folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import Environment, Settings
from rollback_lib.ports.stage import Ports
from rollback_lib.ports.store import RunStore


class Runs(Protocol):
    """The run directories of one folder. Raises UsageError where one does not read, RefusedError where none can be."""

    def new(self, request: Request, place: str = "") -> RunStore:
        """A run in ``place``, without one in a directory of its own. One that is there already is entered again."""
        ...

    def aside(self, request: Request) -> RunStore:
        """The record of what moved tags and is no run: it lies beside the runs."""
        ...

    def trial(self, request: Request) -> RunStore:
        """A run that only looks; it is thrown away when the session ends."""
        ...

    def at(self, place: str) -> RunStore | None:
        """The run that lies in ``place``; None where there is none."""
        ...

    def all(self) -> Iterable[RunStore]:
        """The runs of this machine, in no order: only what they recorded says when they were."""
        ...

    def is_own(self, run: RunStore) -> bool:
        """Whether a run has made this directory, here: nobody has committed it, or brought it from elsewhere."""
        ...

    def restored(self, run: str, files: Mapping[str, bytes], place: str = "") -> RunStore:
        """A run that began elsewhere, made of its files."""
        ...


@dataclass(frozen=True)
class Session:
    """One environment of one application, until the session ends.

    ``config`` is the name of the settings file, empty where the settings were guessed. ``by`` asks, from ``origin``
    (a Jenkins build or a machine).
    """

    settings: Settings
    environment: str
    ports: Ports
    runs: Runs
    folder: str
    config: str = ""
    by: str = ""
    origin: str = ""

    @property
    def where(self) -> Environment:
        """The settings of the environment."""
        return self.settings.environments[self.environment]
