"""Starts the command, and kills its process at the N-th moment: after an event of its journal, or after a write."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from rollback_lib.adapters.kubectl import Kubectl
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.cli import main
from rollback_lib.core.run import lock
from rollback_lib.operations import resume
from rollback_lib.pipeline import holding

_HURRY = 30  # times as fast as life: a test does not wait a minute for a process that it has killed itself


def kill_at(number: int) -> None:
    passed = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            nonlocal passed
            result = call(*given, **named)
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counting

    RunDirectory.append = counted(RunDirectory.append)  # type: ignore[method-assign]
    Kubectl.act = counted(Kubectl.act)  # type: ignore[method-assign]


def hurry() -> None:
    for place, name in (
        (lock, "DEAD_AFTER"), (lock, "WATCHED"), (holding, "_LOOK_EVERY"), (resume, "WRITE_LIMIT"),
    ):  # fmt: skip
        setattr(place, name, getattr(place, name) / _HURRY)


if __name__ == "__main__":
    hurry()
    if sys.argv[1] != "0":
        kill_at(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
