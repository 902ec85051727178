"""Running a program: a tuple of arguments, never a shell, a deadline, a size, and a short environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, NamedTuple

from rollback_lib.adapters import calls
from rollback_lib.adapters.bounded import AFTER_STOP, BEGUN_AFTER_STOP, PIECE, LargerError, Stopped, never
from rollback_lib.core.errors import InterruptedRunError

# What kubectl and its login plugins need; never JENKINS_* or BUILD_* (credentials of the job do not belong to them).
_PASSED: Final = frozenset(
    (
        "PATH", "HOME", "KUBECONFIG", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "USER", "LOGNAME",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "COMSPEC", "PROGRAMFILES", "PROGRAMDATA",
        "KUBECACHEDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
    )
)  # fmt: skip
LARGEST: Final = 64 << 20  # bytes: more than any object that kubectl could answer with
_LOOK_EVERY: Final = 0.2
_PREFIXES: Final = ("AWS_", "AZURE_", "ARM_", "CLOUDSDK_", "GOOGLE_", "USE_GKE_", "OCI_", "DIGITALOCEAN_", "HCLOUD_")


class Finished(NamedTuple):
    """How a program ended. ``code`` is negative when a signal ended it."""

    code: int
    out: str
    err: str


def short_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that kubectl, and the login plugins that it starts, get."""
    return {
        name: value for name, value in environ.items() if name.upper() in _PASSED or name.upper().startswith(_PREFIXES)
    }


def run(
    arguments: Sequence[str], environ: Mapping[str, str], *, timeout: float, more: Mapping[str, str] | None = None,
    cwd: str | None = None, largest: int = LARGEST, stopped: Stopped = never, through: str = "program",
    shown: Sequence[str] = (),
) -> Finished:  # fmt: skip
    """Run a program to its end, in a session of its own: a Ctrl-C on the terminal must not kill a half-done write.

    ``more``: variables that are passed whatever their names are. ``stopped`` is for what only looks. ``through`` and
    ``shown``: the logger that is told of it (`calls`), and the words that it is told; nothing: all of them.

    Raises FileNotFoundError where there is no such program, subprocess.TimeoutExpired past ``timeout`` seconds,
    LargerError where it prints more than ``largest`` bytes, InterruptedRunError soon after a wish to stop; the program
    and what it has started are killed then.
    """
    with calls.call(through, calls.program(shown or arguments)) as call:
        done = _run(arguments, short_environment(environ) | dict(more or {}), timeout, cwd, largest, stopped)
        call.ended = f"exit code {done.code}" if done.code >= 0 else f"signal {-done.code}"
        return done


def _run(
    arguments: Sequence[str], environ: Mapping[str, str], timeout: float, cwd: str | None, largest: int,
    stopped: Stopped,
) -> Finished:  # fmt: skip
    with subprocess.Popen(
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd=cwd,
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        printed = [_Printed(pipe, largest) for pipe in (started.stdout, started.stderr)]
        try:
            until(lambda seconds: _ended(started, printed, seconds), timeout, started.args, stopped)
            if any(p.is_larger for p in printed):
                raise LargerError
        except BaseException:
            kill(started)
            for p in printed:
                p.thread.join(1.0)
            raise
        return Finished(started.returncode, *(bytes(p.kept).decode(errors="replace") for p in printed))


class _Printed:
    """What a program prints, read as it comes; of more than ``largest`` bytes no more is kept, and no more read."""

    def __init__(self, pipe: IO[bytes], largest: int) -> None:
        self._pipe, self._largest = pipe, largest
        self.kept = bytearray()
        self.is_larger = False
        self.thread = threading.Thread(target=self._read, daemon=True, name="rollback-reads")
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed: the program was killed
            while part := self._pipe.read1(PIECE):  # type: ignore[attr-defined]
                self.kept += part
                if len(self.kept) > self._largest:
                    self.is_larger = True
                    return


def _ended(started: subprocess.Popen[bytes], printed: Sequence[_Printed], seconds: float) -> bool:
    """Whether it has, waiting so long for it; also once it printed too much, since nobody reads on then."""
    ends = time.monotonic() + seconds
    for p in printed:
        p.thread.join(max(ends - time.monotonic(), 0.0))
        if p.is_larger:
            return True
        if p.thread.is_alive():
            return any(one.is_larger for one in printed)
    try:
        started.wait(max(ends - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def until(ended: Callable[[float], bool], timeout: float, what: object, stopped: Stopped = never) -> None:
    """Until a program has ended, by ``ended(seconds)``, which waits so long for it.

    Raises subprocess.TimeoutExpired after ``timeout`` seconds, InterruptedRunError soon after a wish to stop.
    """
    began = time.monotonic()
    ends = began + timeout
    seen = bool(stopped())  # begun in spite of that: no longer than any ending waits
    cut = min(ends, began + BEGUN_AFTER_STOP) if seen else ends
    while not ended(max(min(_LOOK_EVERY, cut - time.monotonic()), 0.0)):
        now = time.monotonic()
        if not seen and stopped():
            seen, cut = True, min(ends, now + AFTER_STOP)
        if now >= cut:
            if cut < ends:
                raise InterruptedRunError(stopped())
            raise subprocess.TimeoutExpired(what, timeout)  # type: ignore[arg-type]


def kill(started: subprocess.Popen[bytes]) -> None:
    """The program, and with it what it has started, so that nobody holds its output open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(started.pid, signal.SIGKILL)
        else:  # Windows
            started.kill()
