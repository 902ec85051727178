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
_QUIET: Final = 1.0  # seconds after the end of a program in which nothing more of what it printed has come
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
    shown: Sequence[str] = (), stdin: bytes = b"",
) -> Finished:  # fmt: skip
    """Run a program to its end, in a session of its own: a Ctrl-C on the terminal must not kill a half-done write.

    ``more``: variables that are passed whatever their names are. ``stopped`` is for what only looks. ``through`` and
    ``shown``: the logger that is told of it (`calls`), and the words that it is told; nothing: all of them.

    Raises FileNotFoundError where there is no such program, else as `finished`.
    """
    with calls.call(through, calls.program(shown or arguments)) as call:
        started = subprocess.Popen(
            list(arguments), stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=short_environment(environ) | dict(more or {}), cwd=cwd,
            start_new_session=os.name != "nt", creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        code, out, err = finished(started, timeout, stdin=stdin, largest=largest, stopped=stopped)
        call.ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
        return Finished(code, out.decode(errors="replace"), err.decode(errors="replace"))


def finished(
    started: subprocess.Popen[bytes], timeout: float, *, stdin: bytes = b"", largest: int = LARGEST,
    stopped: Stopped = never,
) -> tuple[int, bytes, bytes]:  # fmt: skip
    """How a program ended, and what it printed; its pipes are closed then.

    Raises subprocess.TimeoutExpired past ``timeout`` seconds, LargerError where it prints more than ``largest`` bytes,
    InterruptedRunError soon after a wish to stop; the program and what it has started are killed then.
    """
    assert started.stdout is not None
    assert started.stderr is not None
    printed = [_Printed(pipe, largest) for pipe in (started.stdout, started.stderr)]
    given = started.stdin
    try:
        if given is not None:
            threading.Thread(target=_give, args=(given, stdin), daemon=True, name="rollback-writes").start()
        until(_End(started, printed), timeout, started.args, stopped)
        if any(p.is_larger for p in printed):
            raise LargerError
        return started.returncode, bytes(printed[0].kept), bytes(printed[1].kept)
    except BaseException:
        kill(started)
        for p in printed:
            p.thread.join(1.0)
        raise
    finally:
        for pipe in (started.stdout, started.stderr):
            pipe.close()


def _give(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # a program that does not want it has ended, or was killed
        pipe.write(data)
    with contextlib.suppress(OSError, ValueError):
        pipe.close()


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
            # not by the pipe's own reading, which nobody can close it under: whoever holds it open would hold us
            while part := os.read(self._pipe.fileno(), PIECE):
                self.kept += part
                if len(self.kept) > self._largest:
                    self.is_larger = True
                    return


class _End:
    """Whether a program has ended, waiting some seconds for it; also once it printed too much: nobody reads on then.

    What it has started may live on and hold its pipes open, as an agent does that keeps credentials. Once nothing comes
    any more, that is not waited for.
    """

    def __init__(self, started: subprocess.Popen[bytes], printed: Sequence[_Printed]) -> None:
        self._started, self._printed = started, printed
        self._quiet_since, self._size = 0.0, -1

    def __call__(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        for p in self._printed:
            p.thread.join(max(ends - time.monotonic(), 0.0))
        if any(p.is_larger for p in self._printed):
            return True
        if any(p.thread.is_alive() for p in self._printed):
            return self._is_quiet() and self._started.poll() is not None
        try:
            self._started.wait(max(ends - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _is_quiet(self) -> bool:
        size, now = sum(len(p.kept) for p in self._printed), time.monotonic()
        if size != self._size or self._started.poll() is None:
            self._size, self._quiet_since = size, now
        return now - self._quiet_since > _QUIET


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
    """The program, and with it what it has started. One that the system does not let end is not waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(started.pid, signal.SIGKILL)
        else:  # Windows
            started.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(1.0)
