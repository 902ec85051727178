"""`Inside` by ``kubectl exec``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rollback_lib.adapters import bounded, process
from rollback_lib.adapters.kubectl import NO_PREFERENCES
from rollback_lib.core.errors import RefusedError

LARGEST: Final = 100_000  # characters of what a command printed
_READ: Final = 4 << 20  # bytes that it may print at all


def exec_arguments(pod: str, container: str, command: Sequence[str]) -> tuple[str, ...]:
    """``kubectl exec`` of one command, without a terminal and without input."""
    return ("exec", pod, f"--container={container}", "--quiet", "--", *command)


class KubectlExec:
    """Commands in the containers of one namespace. ``program`` empty: there is no kubectl.

    ``access``: the arguments that lead kubectl to the cluster that is read. ``stopped`` ends what is waited for.
    """

    def __init__(
        self, program: str, access: Callable[[], Sequence[str]], namespace: str, environ: Mapping[str, str],
        stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self._program, self._access, self._namespace = program, access, namespace
        self._environ, self._stopped = environ, stopped

    def run(self, pod: str, container: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
        if not self._program:
            return -1, "kubectl is not on the PATH"
        try:
            start = (self._program, *self._access(), f"--namespace={self._namespace}")
            done = process.run(
                (*start, *exec_arguments(pod, container, command)), self._environ, timeout=timeout,
                more=NO_PREFERENCES, largest=_READ, stopped=self._stopped, through="kubectl",
                shown=(*start, *exec_arguments(pod, container, command[:1]), "…"),  # its words may hold a password
            )  # fmt: skip
        except RefusedError as error:
            return -1, str(error)
        except subprocess.TimeoutExpired:
            return -1, f"it did not end within {timeout:.0f} s"
        except bounded.LargerError:
            return -1, f"it printed more than {_READ >> 20} MiB"
        except OSError as error:
            return -1, f"kubectl could not be started ({error.strerror})"
        return done.code, (done.out + done.err)[:LARGEST]
