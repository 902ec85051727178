"""The whole command in this process, at a small shop on the sandbox that is put back for every test."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

from rollback_lib.adapters import kubectl, kubernetes_http
from rollback_lib.cli import main
from rollback_lib.cli.signals import ENDING
from rollback_lib.collectors import outage, rollout
from rollback_lib.core.run import lock
from rollback_lib.operations import resume
from rollback_lib.pipeline import holding
from rollback_lib.pipeline.loop import IN_BACKGROUND
from rollback_lib.sandbox.playground import Kept, Playground
from rollback_lib.sandbox.shop import BAD, GOOD
from tests.command_line import Ended

SERVICES: Final = ("service-discovery", "cloud-config", "user-service")  # three waves
SPEED: Final = 20.0
_SETTINGS: Final = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{limit: '{limit}'}}\n"
_WORKER: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-worker}
spec:
  selector: {matchLabels: {app: user-worker}}
  template:
    metadata: {labels: {app: user-worker}}
    spec:
      containers: [{name: user-worker, image: "sanjodb/user-service:prod"}]
"""
# Beside what is put back: a ConfigMap to change, one to create again, and a Deployment and a ConfigMap to delete.
MORE: Final = {
    GOOD: {
        "k8s/user-service/settings.yaml": _SETTINGS.format(name="user-settings", limit="10"),
        "k8s/user-service/removed.yaml": _SETTINGS.format(name="user-removed", limit="10"),
    },
    BAD: {
        "k8s/user-service/settings.yaml": _SETTINGS.format(name="user-settings", limit="20"),
        "k8s/user-service/added.yaml": _SETTINGS.format(name="user-added", limit="20"),
        "k8s/user-service/worker.yaml": _WORKER,
    },
}
WORKER: Final = "orphan:Deployment/user-worker"  # what lets a rollback delete that Deployment, since it is Ready


class Desk:
    """An operator's place: v1.2.0 runs over `:prod` and is bad, v1.1.0 was good."""

    def __init__(self, playground: Playground) -> None:
        self.playground = playground
        playground.deploy(GOOD)
        playground.deploy(BAD)
        playground.must("delete", "configmap", "user-removed")
        self._kept: Kept = playground.keep_state()
        self._tags = {tag: self._git("rev-parse", f"refs/tags/{tag}") for tag in (GOOD, BAD)}
        self._settings = playground.shop.settings()
        playground.cluster.faults.stage = self.stage

    def put_back(self) -> None:
        """As it was when the failed release had just been deployed."""
        self.forget_runs()
        self.playground.put_back(self._kept)
        for tag, meant in self._tags.items():
            self._git("update-ref", f"refs/tags/{tag}", meant)
        self.settings()

    def _git(self, *arguments: str) -> str:
        return self.playground.shop.git(*arguments).strip()

    def settings(self, more: str = "") -> None:
        """rollback.yaml, with more at its end."""
        (self.playground.repository / "rollback.yaml").write_text(self._settings + more, encoding="utf-8")

    def file(self, release: str, path: str) -> str:
        """A file as the release has it."""
        return self._git("show", f"refs/tags/{release}:{path}") + "\n"

    def rewrite(self, release: str, files: Mapping[str, str | None]) -> None:
        """Have the release's tag name a tree with these files too (None: without them), until the desk is put back."""
        self._git("checkout", "--quiet", "--detach", f"refs/tags/{release}")
        for name, text in files.items():
            path = self.playground.repository / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message=again")
        self._git("update-ref", f"refs/tags/{release}", "HEAD")
        self._git("checkout", "--quiet", "master")

    def live(self, kind: str, name: str) -> Any:
        """An object as it is now."""
        return json.loads(self.playground.must("get", kind, name, "--output=json"))

    def forget_runs(self) -> None:
        """As on a machine where no run began."""
        shutil.rmtree(self._runs, ignore_errors=True)

    @property
    def _runs(self) -> Path:
        return self.playground.repository / ".rollback"

    def runs(self) -> list[Path]:
        """The run directories, oldest first."""
        return [p.parent for p in sorted(self._runs.glob("*/run.json"), key=lambda p: p.stat().st_ctime_ns)]

    def stage(self) -> str:
        """The stage that the newest run is in, by its journal; what goes on beside others counts for none."""
        events = [e for e in self.events() if e["stage"] not in IN_BACKGROUND]
        return events[-1]["stage"] if events else ""

    def events(self) -> list[dict[str, Any]]:
        """The newest run's journal."""
        with contextlib.suppress(IndexError, OSError):
            lines = (self.runs()[-1] / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        return []

    def rollback(self, *arguments: str, **environ: str) -> Ended:
        """The command, as a shell in the shop's repository would start it; no terminal."""
        return command(self.playground.repository, self.playground.environment() | environ, arguments)

    def objects(self) -> dict[str, Mapping[str, Any]]:
        """What each of the shop's objects says, by kind/name: no status, no annotation of ours or kubectl's."""
        found = json.loads(self.playground.must("get", "deployments,services,configmaps", "--output=json"))["items"]
        return {
            f"{o['kind']}/{o['metadata']['name']}": {
                "uid": o["metadata"]["uid"], "labels": o["metadata"].get("labels"),
                "spec": o.get("spec"), "data": o.get("data"),
            }
            for o in found
            if not o["metadata"]["name"].startswith(("rollback-", "kube-root-ca"))
        }  # fmt: skip

    def rollouts(self) -> dict[str, int]:
        """How many ReplicaSets each Deployment has had."""
        found = json.loads(self.playground.must("get", "replicasets", "--output=json"))["items"]
        owners = [o["metadata"]["ownerReferences"][0]["name"] for o in found]
        return {name: owners.count(name) for name in owners}


def command(folder: Path, environ: Mapping[str, str], arguments: Sequence[str]) -> Ended:
    """The command in this process, as a shell in a folder would start it, and in no hurry; no terminal."""
    out, err = io.StringIO(), io.StringIO()
    here = os.getcwd()
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _in_no_hurry(),
        _signals_kept(),
    ):
        os.chdir(folder)
        try:
            code = main(arguments)
        finally:
            os.chdir(here)
    return Ended(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _in_no_hurry() -> Iterator[None]:
    """Pauses before another try are as much shorter as the sandbox's pods are faster."""
    pauses = {module: tuple(p / SPEED for p in module._PAUSES) for module in (kubernetes_http, kubectl)}
    with contextlib.ExitStack() as stack:
        for module, shorter in pauses.items():
            stack.enter_context(mock.patch.object(module, "_PAUSES", shorter))
        stack.enter_context(mock.patch.object(kubectl, "REQUEST_TIMEOUT", 2))
        for place, names in (
            (outage, ("PATIENCE", "_EVERY")), (lock, ("DEAD_AFTER", "WATCHED")), (holding, ("_LOOK_EVERY",)),
            (resume, ("WRITE_LIMIT", "_LOOK_EVERY")), (rollout, ("INTERVAL",)),
        ):  # fmt: skip
            for name in names:
                stack.enter_context(mock.patch.object(place, name, getattr(place, name) / SPEED))
        yield


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
