"""How long a stage and a run may take: a clock that ends them as it ends what somebody stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rollback_lib.core import errors
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.ports import Clock, Ports, RunStore, Stage


class _LimitedClock:
    """A clock that ends what takes too long, as it ends what somebody stops: before the next write."""

    def __init__(self, clock: Clock, ends: Sequence[tuple[datetime, str]]) -> None:
        self._clock, self._ends = clock, ends
        self.now = clock.now

    def check(self) -> None:
        self._clock.check()
        for end, why in self._ends:
            if self.now() >= end:
                raise errors.FailedError(why)

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self.check()


def limited(run: RunStore, ports: Ports, stage: Stage, began: datetime) -> Ports:
    """The ports of a stage, whose waits end at `limits.stage`, and at `limits.run` counted from ``began``."""
    limits = run.get(Request).settings.limits
    ends = (
        (ports.clock.now() + timedelta(seconds=seconds(limits.stage)),
         f"{stage.ID} has taken longer than {limits.stage} (limits.stage)."),
        (began + timedelta(seconds=seconds(limits.run)), f"the run has taken longer than {limits.run} (limits.run)."),
    )  # fmt: skip
    return replace(ports, clock=_LimitedClock(ports.clock, ends))
