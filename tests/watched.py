"""A sandbox that is watched: its requests are kept (``requests``), and chosen ones are disturbed (``faults``)."""

from __future__ import annotations

from typing import Any

from rollback_lib.sandbox.cluster import Sandbox
from rollback_lib.sandbox.requests import Request, Target
from rollback_lib.sandbox.watching import Ended, Watch
from tests.faults import Faults
from tests.recorder import Recorder


class Watched(Watch):
    def __init__(self) -> None:
        self.faults, self.requests = Faults(), Recorder()

    def began(self, request: Request) -> Ended:
        entry = self.requests.begin(request)

        def ended(status: int) -> None:
            entry.status = status

        return ended

    def asked(self, request: Request, verb: str, target: Target | None) -> None:
        self.faults.classed(request, verb, target)

    def forget(self) -> None:
        self.requests.clear()
        self.faults.clear()


class WatchedSandbox(Sandbox):
    def __init__(self, *given: Any, **more: Any) -> None:
        watched = Watched()
        self.faults, self.requests = watched.faults, watched.requests
        super().__init__(*given, watch=watched, **more)
