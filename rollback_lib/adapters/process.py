"""Running a program: a tuple of arguments, never a shell, a deadline, and a short environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# What kubectl and its login plugins need; never JENKINS_* or BUILD_* (credentials of the job do not belong to them).
_PASSED: Final = frozenset(
    (
        "PATH", "HOME", "KUBECONFIG", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "USER", "LOGNAME",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "COMSPEC", "PROGRAMFILES", "PROGRAMDATA",
        "KUBECACHEDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
    )
)  # fmt: skip
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
    cwd: str | None = None,
) -> Finished:  # fmt: skip
    """Run a program to its end, in a session of its own: a Ctrl-C on the terminal must not kill a half-done write.

    ``more``: variables that are passed whatever their names are.

    Raises FileNotFoundError where there is no such program, subprocess.TimeoutExpired past ``timeout`` seconds (the
    program is killed then).
    """
    done = subprocess.run(
        list(arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=short_environment(environ) | dict(more or {}),
        cwd=cwd,
        timeout=timeout,
        check=False,
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
