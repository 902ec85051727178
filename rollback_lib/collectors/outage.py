"""A cluster that does not answer for a while, in the middle of a run: wait, say so, and go on when it is back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from rollback_lib.core.errors import FailedError, InterruptedRunError, UnreachableError
from rollback_lib.ports import Ports

T = TypeVar("T")
PATIENCE: Final = 300.0  # seconds: a control plane that is upgraded or fails over is back by then
_EVERY: Final = 2.0


def through(ports: Ports, ask: Callable[[], T]) -> T:
    """What ``ask`` returns, asked again for as long as the cluster does not answer.

    ``ask`` may be asked any number of times. Raises FailedError after `PATIENCE`, or as soon as somebody asks
    us to stop.
    """
    began, said = ports.clock.now(), False
    while True:
        try:
            found = ask()
        except UnreachableError as error:
            gone = ports.clock.now() - began
            if gone >= timedelta(seconds=PATIENCE):
                raise FailedError(f"{error} We waited for {gone.total_seconds():.0f} s.") from error
            if not said:
                ports.progress.say(f"  The cluster does not answer; waiting for it, up to {PATIENCE:.0f} s")
            said = True
            ports.progress.waiting(f"The cluster has not answered for {gone.total_seconds():.0f} s")
            try:
                ports.clock.sleep(_EVERY)
            except InterruptedRunError as stopped:  # what was asked last may have been taken, and nobody can tell now
                raise FailedError(f"{error} {stopped}") from error
            continue
        return found
