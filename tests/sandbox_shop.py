"""A shop of three services in the sandbox after its bad release, and the product at work on it in this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollback_lib import wiring
from rollback_lib.adapters.run_directories import RunDirectories
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.traffic import maintenance
from rollback_lib.operations import run as operation
from rollback_lib.ports import Ports, Runs, Session
from rollback_lib.sandbox.cluster import Kept, Sandbox
from rollback_lib.sandbox.images import Image
from rollback_lib.sandbox.registry import Registry
from rollback_lib.sandbox.shop import BAD, ENVIRONMENT, GOOD, NAMESPACE, ORGANIZATION, Shop
from tests.fakes import FakeProgress

SERVICES = ("service-discovery", "cloud-config", "user-service")
SPEED = 30.0


class QuickClock:
    """The real time, and what was slept in advance: a wait of a minute costs some milliseconds."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = timedelta(seconds=ahead)
        self.asked = ""

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def stop(self, why: str) -> None:
        self.asked = why

    def stopped(self) -> str:
        return f"Interrupted ({self.asked})." if self.asked else ""

    def check(self) -> None:
        from rollback_lib.core.errors import InterruptedRunError

        if self.asked:
            raise InterruptedRunError(self.stopped())

    def pause(self, seconds: float) -> None:
        really = min(seconds, 0.04)
        time.sleep(really)
        self.ahead += timedelta(seconds=seconds - really)

    def sleep(self, seconds: float) -> None:
        really = min(seconds, 0.04)
        time.sleep(really)
        self.ahead += timedelta(seconds=seconds - really)
        self.check()


class SandboxShop:
    """v1.2.0 runs and is bad; v1.1.0 is what a run goes back to."""

    def __init__(self, folder: Path, sandbox: Sandbox, registry: Registry) -> None:
        self.folder, self.sandbox, self.registry = folder, sandbox, registry
        self.shop = Shop(folder, registry.url, services=SERVICES)
        self.shop.write()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(sandbox.kubeconfig_text(namespace=NAMESPACE), encoding="utf-8")
        for release in (GOOD, BAD):
            self.shop.release(registry, release)
            sandbox.pull(*(f"{ORGANIZATION}/{service}:prod" for service in SERVICES))
            self.kubectl("apply", "--filename=-", given=self.shop.manifests(release))
            self.kubectl("rollout", "status", "--timeout=60s", *(f"deployment/{s}" for s in SERVICES))
        self.kept: Kept = sandbox.snapshot()

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def kubectl(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            ("kubectl", f"--namespace={NAMESPACE}", *arguments), input=given, env=self.environ, capture_output=True,
            text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def world(self, **more: Any) -> Iterator[Ports]:
        """Ports on the sandbox with a quick clock; any of them can be replaced by a function of the real one."""
        settings = self.settings()
        clock = more.pop("clock", None) or QuickClock()
        made = wiring.World(settings, ENVIRONMENT, self.shop.repository, self.environ, offline=False, clock=clock)
        progress = more.pop("progress", None) or FakeProgress(answer=True)
        try:
            ports = made.ports(progress, progress)
            kept = {name: getattr(ports, name) for name in Ports.__dataclass_fields__}
            yield Ports(**{**kept, **{name: change(kept[name]) for name, change in more.items()}})
        finally:
            made.close()

    def settings(self) -> Settings:
        return wiring.read_settings(self.shop.repository / "rollback.yaml")

    def runs(self) -> RunDirectories:
        """The run directories of this machine."""
        return wiring.run_directories(self.shop.repository)

    def session(self, ports: Ports, runs: Runs | None = None) -> Session:
        """What an operation works with; ``runs`` may be those of another machine."""
        return Session(
            settings=self.settings(), environment=ENVIRONMENT, ports=ports, runs=runs or self.runs(), by="ana",
            origin="here", folder=str(self.shop.repository), config="rollback.yaml",
        )  # fmt: skip

    def isolate(self, how: str) -> None:
        """Close traffic in every run, as ``isolation`` in the settings says; empty: in none."""
        file = self.shop.repository / "rollback.yaml"
        line = f"    namespace: {NAMESPACE}\n"
        text = file.read_text(encoding="utf-8")
        assert line in text
        if how:
            file.write_text(text.replace(line, f"{line}    isolation: {how}\n"), encoding="utf-8")

    def request(self, run: str, **values: Any) -> Request:
        settings = self.settings()
        return operation.request(
            {"to": GOOD, "yes": True, **values}, settings, ENVIRONMENT, run=run, by="ana", origin="here",
            started=datetime.now(UTC), repository=str(self.shop.repository),
        )  # fmt: skip

    def directory(self, name: str) -> Path:
        return self.shop.repository / ".rollback" / name

    def open(self, name: str, **values: Any) -> RunDirectory:
        return self.runs().new(self.request(name, **values))

    def reset(self) -> None:
        """The shop after the bad release again, and no run anywhere."""
        self.sandbox.restore(self.kept)
        shutil.rmtree(self.shop.repository / ".rollback", ignore_errors=True)

    def objects(self) -> dict[str, Any]:
        """What the shop's objects say, less what the cluster itself says of them."""
        found = {}
        for key, body in self.sandbox.store.everything():
            if key[2] != NAMESPACE or body["kind"] not in ("Deployment", "Service", "ConfigMap"):
                continue
            notes = dict(body["metadata"].get("annotations") or {})
            notes.pop("deployment.kubernetes.io/revision", None)
            found[f"{body['kind']}/{key[3]}"] = {
                "labels": body["metadata"].get("labels"), "annotations": notes, "spec": body.get("spec"),
                # of the ledger's records only that they are there: they tell when they were written
                "data": None if key[3].startswith("rollback-") else body.get("data"),
                "generation": body["metadata"].get("generation"),
            }  # fmt: skip
        return {name: body for name, body in found.items() if not name.startswith("ConfigMap/rollback-run-")}

    def records(self) -> list[str]:
        """What a run that is not over keeps in the cluster: the lock, and its copy."""
        return sorted(
            f"{body['kind']}/{key[3]}"
            for key, body in self.sandbox.store.everything()
            if key[2] == NAMESPACE and (body["kind"] == "Lease" or key[3].startswith("rollback-run-"))
        )


@contextmanager
def sandbox_shop(folder: Path) -> Iterator[SandboxShop]:
    """The shop, in a sandbox of its own."""
    with Registry() as registry:

        def image(name: str) -> Image | None:
            found = registry.resolve(name)
            pages = {maintenance.READY: ""}  # so that any of them can stand in for the maintenance page's
            return Image(found.digest, found.version, found.behaviour, pages=pages) if found else None

        with Sandbox(image, namespaces=(NAMESPACE,), speed=SPEED) as sandbox:
            yield SandboxShop(folder, sandbox, registry)


class TellingDirectory(RunDirectory):
    """A run directory that tells of each event, once it is on the disk."""

    def __init__(self, root: Path, tell: Callable[[str], None]) -> None:
        super().__init__(root)
        self._tell = tell

    def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
        event = super().append(mark, stage, **fields)
        self._tell(f"{event.seq:02} {mark} {stage} {event.key}".strip())
        return event


def told(tell: Callable[[str], None], *names: str) -> Callable[[Any], Any]:
    """Wraps a port so that it tells after each of these calls."""

    class Telling:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._real, name)
            if name not in names:
                return found

            def call(*given: Any, **named: Any) -> Any:
                result = found(*given, **named)
                tell(f"   after {name}")
                return result

            return call

    return Telling
