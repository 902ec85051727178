"""A kubeconfig's login plugin (``exec``), run as kubectl would run ours: no questions, a deadline, a short environment.

The official client's own provider passes the whole environment (also what Jenkins put there), waits for ever, lets the
plugin read our stdin, and turns a failure into a request without credentials.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rollback_lib.adapters import process
from rollback_lib.adapters.bounded import LargerError, Stopped, never

LIMIT: Final = 15.0  # seconds: a plugin that asks the cloud for a token takes one or two
_OF_CLUSTER: Final = (
    "server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url",
    "disable-compression",
)  # fmt: skip
_EXTENSION: Final = "client.authentication.k8s.io/exec"


class LoginError(Exception):
    """The plugin gave no credentials. The text names it and holds nothing that it wrote: that may be a token."""


def run(
    plugin: Mapping[str, Any],
    cluster: Mapping[str, Any],
    environ: Mapping[str, str],
    limit: float,
    stopped: Stopped = never,
) -> dict[str, Any]:
    """The credentials (``status``) that the plugin answers with. ``plugin`` and ``cluster`` as a kubeconfig has them.

    Raises LoginError where it gives none within ``limit`` seconds.
    """
    args = [str(plugin["command"]), *map(str, plugin.get("args") or ())]
    name, api_version = os.path.basename(args[0]), plugin["apiVersion"]
    own = {str(e["name"]): str(e["value"]) for e in plugin.get("env") or ()}
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {key: cluster[key] for key in _OF_CLUSTER if key in cluster}
        if "certificate-authority" in cluster:  # the plugin gets its content, as from kubectl
            with contextlib.suppress(OSError):
                data = Path(cluster["certificate-authority"]).read_bytes()
                spec["cluster"]["certificate-authority-data"] = base64.b64encode(data).decode()
        for extension in cluster.get("extensions") or ():
            if extension.get("name") == _EXTENSION:
                spec["cluster"]["config"] = extension.get("extension")
    asked = {"apiVersion": api_version, "kind": "ExecCredential", "spec": spec}
    own["KUBERNETES_EXEC_INFO"] = json.dumps(asked)
    try:
        done = process.run(args, environ, timeout=limit, more=own, stopped=stopped, through="login", shown=(name,))
    except subprocess.TimeoutExpired:
        raise LoginError(f"its login plugin {name} gave no answer in {limit:g} s; does it ask a question?") from None
    except LargerError:
        raise LoginError(f"its login plugin {name} gave no credentials") from None
    except OSError as error:
        raise LoginError(f"its login plugin {name} cannot be run here: {error.strerror}") from None
    if done.code:
        raise LoginError(f"its login plugin {name} failed (exit code {done.code}): log in again with it")
    try:
        found = json.loads(done.out)
        status = found["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        status = None
    if (
        not isinstance(status, dict)
        or found.get("apiVersion") != api_version
        or not (status.get("token") or (status.get("clientCertificateData") and status.get("clientKeyData")))
    ):
        raise LoginError(f"its login plugin {name} gave no credentials")
    return status
