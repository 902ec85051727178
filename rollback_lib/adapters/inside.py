"""`Inside` by ``kubectl exec``."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.adapters import bounded, process

LARGEST: Final = 100_000  # characters of what a command printed
_READ: Final = 4 << 20  # bytes that it may print at all


def exec_arguments(pod: str, container: str, command: Sequence[str]) -> tuple[str, ...]:
    """``kubectl exec`` of one command, without a terminal and without input."""
    return ("exec", pod, f"--container={container}", "--quiet", "--", *command)


class KubectlExec:
    """Commands in the containers of one namespace. ``program`` empty: there is no kubectl."""

    def __init__(
        self, program: str, context: str, namespace: str, environ: Mapping[str, str],
        stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self._program = program
        self._start = (*((f"--context={context}",) if context else ()), f"--namespace={namespace}")
        self._environ, self._stopped = environ, stopped

    def run(self, pod: str, container: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
        if not self._program:
            return -1, "kubectl is not on the PATH"
        arguments = (self._program, *self._start, *exec_arguments(pod, container, command))
        try:
            done = process.run(arguments, self._environ, timeout=timeout, largest=_READ, stopped=self._stopped)
        except subprocess.TimeoutExpired:
            return -1, f"it did not end within {timeout:.0f} s"
        except bounded.LargerError:
            return -1, f"it printed more than {_READ >> 20} MiB"
        except OSError as error:
            return -1, f"kubectl could not be started ({error.strerror})"
        return done.code, (done.out + done.err)[:LARGEST]
