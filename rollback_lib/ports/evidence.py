"""What is asked for evidence, beside the run's own questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.ports.cluster import Cluster
from rollback_lib.ports.jenkins import Jenkins


class Web(Protocol):
    """Requests over http, for evidence and for smoke tests."""

    def ask(
        self, method: str, url: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str],
        body: bytes = b"", timeout: float,
    ) -> Answered:  # fmt: skip
        """The answer, at most 1 MB of it, after at most ``timeout`` seconds. No redirect is followed. Never raises."""
        ...


class Inside(Protocol):
    """Commands in a running container."""

    def run(self, pod: str, container: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
        """Exit code and what it printed; code -1 and the reason where it could not be run. Never raises."""
        ...


class Files(Protocol):
    """Files of this machine that somebody left as evidence, read only."""

    def matching(self, glob: str) -> Mapping[str, bytes]:
        """The newest files below the repository's folder that match, at most 50; large ones are left out."""
        ...

    def given(self, path: str) -> bytes:
        """One file that a person named, at most 1 MB of it. Raises OSError."""
        ...


@dataclass(frozen=True)
class Evidence:
    """What `detect`, `incident` and `verify` ask beside the run's own questions.

    ``cluster`` is the run's, with connections of its own and without patience: evidence is not asked for twice.
    """

    cluster: Cluster
    web: Web
    inside: Inside
    files: Files
    jenkins: Callable[[], Jenkins] | None = None  # made when it is asked: few runs know of a failed build
