"""A kubeconfig's login plugin (``exec``), run as kubectl would run ours: no questions, a deadline, a short environment.

The official client has no seam for this. Its own provider passes the whole environment (also what Jenkins put there),
waits for ever, lets the plugin read our stdin, and turns a failure into a request without credentials.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Final

from rollback_lib.adapters import process
from rollback_lib.adapters.bounded import LargerError

_ONE_AT_A_TIME: Final = threading.Lock()  # what is replaced belongs to a module, and requests run in parallel
LIMIT: Final = 15.0  # seconds: a plugin that asks the cloud for a token takes one or two


class LoginError(Exception):
    """The plugin gave no credentials. The text names it and holds nothing that it wrote: that may be a token."""


class Logins:
    """Runs the plugins of one client; ``problem`` is what was wrong with the last one, empty where nothing was."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = limit
        self.problem = ""

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While a kubeconfig is loaded: its plugin runs here. Raises LoginError where it gave nothing."""
        from kubernetes.config import kube_config
        from kubernetes.config.exec_provider import ExecProvider

        logins = self

        class Provider(ExecProvider):  # type: ignore[misc]
            def run(self, previous_response: Any = None) -> Any:
                try:
                    found = logins.run(self.args, dict(self.env), self.cwd, self.api_version, self.cluster)
                except LoginError as error:
                    logins.problem = str(error)
                    raise
                logins.problem = ""
                return found

        root = logging.getLogger()
        if not root.handlers:  # the client logs what the plugin said, to a stderr that is ours
            root.addHandler(logging.NullHandler())
        with _ONE_AT_A_TIME:
            theirs, kube_config.ExecProvider = kube_config.ExecProvider, Provider
            try:
                yield
            finally:
                kube_config.ExecProvider = theirs
            if self.problem:
                raise LoginError(self.problem)

    def run(self, args: list[str], environ: dict[str, str], cwd: str | None, api_version: str, cluster: Any) -> Any:
        """The credentials (``status``) that the plugin answers with."""
        name = os.path.basename(args[0])
        own = {key: value for key, value in environ.items() if os.environ.get(key) != value}  # the kubeconfig's `env`
        spec: dict[str, Any] = {"interactive": False}
        if cluster is not None:
            spec["cluster"] = cluster.value
        asked = {"apiVersion": api_version, "kind": "ExecCredential", "spec": spec}
        own["KUBERNETES_EXEC_INFO"] = json.dumps(asked)
        try:
            done = process.run(args, os.environ, timeout=self.limit, more=own, cwd=cwd)
        except subprocess.TimeoutExpired:
            raise LoginError(
                f"its login plugin {name} gave no answer in {self.limit:g} s; does it ask a question?"
            ) from None
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
