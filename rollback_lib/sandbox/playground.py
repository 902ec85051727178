"""The whole sandbox at once: cluster, registry and shop in one temporary folder, with kubectl and a shell's variables.

What it tells of the shop it asked: the services through the API server, the objects through kubectl.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rollback_lib.sandbox.cluster import Kept as Objects
from rollback_lib.sandbox.cluster import Sandbox
from rollback_lib.sandbox.images import GOOD as GOOD_IMAGE
from rollback_lib.sandbox.images import SICK, Image
from rollback_lib.sandbox.registry import Registry
from rollback_lib.sandbox.registry_store import Snapshot as Images
from rollback_lib.sandbox.shop import GOOD, NAMESPACE, ORGANIZATION, SCENARIOS, SERVICES, Scenario, Shop
from rollback_lib.sandbox.shop_manifests import THRESHOLD, thresholds, variables

KUBECTL_SITE: Final = "https://kubernetes.io/docs/tasks/tools/"
_PATIENCE: Final = 60  # seconds, for one rollout
_SPEED: Final = 3.0  # times as fast as a real cluster
_CONFIGURATION: Final = "/configuration"


class PlaygroundError(Exception):
    """Something that the playground needs is not there, or does not work."""


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``out`` has both of its outputs."""

    code: int
    out: str


@dataclass(frozen=True)
class Service:
    """One service of the shop, as it answered. ``version`` is empty, and ``trouble`` says why, where it did not."""

    name: str
    version: str
    trouble: str = ""
    well: bool = False  # what it says of its own health
    configured_for: tuple[str, ...] = ()  # the releases that have the shared configuration which it has read
    foreign: tuple[str, ...] = ()  # what its Deployment has and the release's manifest has not

    def is_release(self, release: str) -> bool:
        return self.version == release and release in self.configured_for and not self.foreign


@dataclass(frozen=True)
class Kept:
    """A state to go back to."""

    cluster: Objects
    images: Images
    digests: Mapping[str, dict[str, str]] = field(default_factory=dict)


class Playground:
    """Use it in a ``with``. All that it writes is in ``folder``, which goes with it unless ``keep``."""

    def __init__(
        self, scenario: Scenario = SCENARIOS["tag-overwritten"], *, keep: bool = False,
        services: Sequence[str] = SERVICES, more: Mapping[str, Mapping[str, str]] | None = None, speed: float = _SPEED,
        sandbox: Callable[..., Sandbox] = Sandbox,
    ) -> None:  # fmt: skip
        self.scenario, self.keep = scenario, keep
        self._services, self._more, self._speed, self._sandbox = services, more or {}, speed, sandbox
        self.folder = Path()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise PlaygroundError(f"kubectl is not on the PATH. Get it from {KUBECTL_SITE}")
        self._kubectl = kubectl
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="rollback-sandbox-"))
            if not self.keep:
                stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.registry = stack.enter_context(Registry())
            self.cluster = stack.enter_context(self._sandbox(self._image, namespaces=(NAMESPACE,), speed=self._speed))
            self.shop = Shop(self.folder, self.registry.url, self.scenario, self._services, more=self._more)
            self.shop.write()
            self.kubeconfig.write_text(self.cluster.kubeconfig_text(namespace=NAMESPACE), encoding="utf-8")
            self._stack = stack.pop_all()
        return self

    def _image(self, name: str) -> Image | None:
        """What a node gets for a full image name. Every service tells its version, health and configuration."""
        found = self.registry.resolve(name)
        if found is None:
            return None
        image = Image(found.digest, found.version, found.behaviour)

        def configured(variables: Mapping[str, str]) -> Image:
            threshold = variables.get(THRESHOLD, "")
            # A circuit breaker that opens at no failure at all is always open.
            behaviour = SICK if threshold == "0" and image.behaviour == GOOD_IMAGE else image.behaviour
            return replace(image, behaviour=behaviour, pages={_CONFIGURATION: threshold})

        return replace(image, by_environment=configured)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def repository(self) -> Path:
        return self.shop.repository

    def environment(self) -> dict[str, str]:
        """For programs that work on the sandbox: nothing of the user's clusters, registries, proxies and settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("ROLLBACK_", "KUBE", "GIT_", "DOCKER_"))
            and name.upper() not in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
        }
        return kept | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "DOCKER_CONFIG": str(self.folder / "docker"),
        }

    def kubectl(self, *arguments: str, given: str = "") -> Finished:
        """kubectl in the shop's namespace. Raises PlaygroundError only where it cannot be started."""
        command = (self._kubectl, f"--namespace={self.shop.namespace}", *arguments)
        try:
            done = subprocess.run(
                command,
                input=given.encode(),
                env=self.environment(),
                capture_output=True,
                timeout=2 * _PATIENCE,
                check=False,
            )
        except OSError as error:
            raise PlaygroundError(f"kubectl could not be started: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            return Finished(-1, f"kubectl {arguments[0]} did not end within {2 * _PATIENCE} s")
        return Finished(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))

    def must(self, *arguments: str, given: str = "") -> str:
        """kubectl that has to work. Raises PlaygroundError."""
        done = self.kubectl(*arguments, given=given)
        if done.code != 0:
            said = done.out.strip().splitlines()
            raise PlaygroundError(f"kubectl {' '.join(arguments[:2])} ended with {done.code}: {' '.join(said[-2:])}")
        return done.out

    def deploy(self, release: str) -> None:
        """What the team's deploy job does: build over `:prod`, apply the manifests at the tag, wait."""
        self.shop.release(self.registry, release)
        self.cluster.pull(*(f"{ORGANIZATION}/{service}:prod" for service in self.shop.services))
        self.apply(release)
        if self.scenario.config_only and release != GOOD:
            self.must("rollout", "restart", "deployment")
        self.must(*self.rollout_status)

    def apply(self, release: str) -> None:
        """`git show TAG:… | kubectl apply`: the written plan's own step."""
        self.must("apply", "--filename=-", given=self.shop.manifests(release))

    @property
    def rollout_status(self) -> tuple[str, ...]:
        deployments = (f"deployment/{service}" for service in self.shop.services)
        return ("rollout", "status", f"--timeout={_PATIENCE}s", *deployments)

    def undo(self) -> None:
        """`kubectl rollout undo` of every Deployment."""
        self.must("rollout", "undo", *(f"deployment/{service}" for service in self.shop.services))

    def keep_state(self) -> Kept:
        digests = {release: dict(found) for release, found in self.shop.digests.items()}
        return Kept(self.cluster.snapshot(), self.registry.snapshot(), digests)

    def put_back(self, kept: Kept) -> None:
        self.registry.restore(kept.images)
        self.cluster.restore(kept.cluster)
        self.shop.digests = {release: dict(found) for release, found in kept.digests.items()}

    def services(self) -> tuple[Service, ...]:
        """Every service of the shop, asked now."""
        found = json.loads(self.must("get", "deployments", "--output=json"))["items"]
        deployments = {item["metadata"]["name"]: item for item in found}
        with ThreadPoolExecutor(max_workers=4) as pool:
            asked = [pool.submit(self._service, name, deployments.get(name, {})) for name in self.shop.services]
            return tuple(each.result() for each in asked)

    def _service(self, name: str, deployment: Mapping[str, Any]) -> Service:
        foreign = tuple(_foreign(deployment, name))
        try:
            version, health, threshold = (self._get(name, path) for path in ("/", "/actuator/health", _CONFIGURATION))
        except urllib.error.HTTPError as error:
            with error:
                return Service(name, "", f"{error.code} {error.reason}", foreign=foreign)
        except (OSError, http.client.HTTPException) as error:
            return Service(name, "", str(error), foreign=foreign)
        known = thresholds(config_only=self.scenario.config_only)
        configured_for = tuple(release for release, each in known.items() if each == threshold)
        return Service(name, version, "", json.loads(health).get("status") == "UP", configured_for, foreign)

    def _get(self, service: str, path: str) -> str:
        """What a service answers, through the API server."""
        place = f"/api/v1/namespaces/{self.shop.namespace}/services/http:{service}:80/proxy{path}"
        # No proxy of the user's may stand between two parts of one process.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.cluster.url + place, timeout=10) as answer:
            text: str = answer.read().decode()
        return text.strip()

    def specs(self) -> str:
        """Everything that the shop's objects say, less what the cluster itself says of them; equal: unchanged."""
        found = json.loads(self.must("get", "deployments,services,configmaps", "--output=json"))["items"]
        kept = [
            {
                "kind": item["kind"],
                "name": item["metadata"]["name"],
                "uid": item["metadata"]["uid"],
                "labels": item["metadata"].get("labels"),
                "annotations": item["metadata"].get("annotations"),
                "spec": item.get("spec"),
                "data": item.get("data"),
            }
            for item in found
        ]
        return json.dumps(kept, sort_keys=True)

    def hand_made_changes(self) -> list[str]:
        """Make what the scenario has somebody change by hand; the command lines."""
        changes = self.shop.hand_made_changes()
        for arguments in changes:
            self.must(*arguments)
        if changes:
            self.must(*self.rollout_status)
        return [" ".join(("kubectl", *arguments)) for arguments in changes]

    def spoil(self) -> None:
        """What befalls v1.1.0's images after it was replaced."""
        self.shop.spoil(self.registry)

    def incident(self) -> Path | None:
        """The incident record of the newest run."""
        found = sorted(self.repository.glob(".rollback/*/report/incident.md"), key=lambda each: each.stat().st_mtime)
        return found[-1] if found else None

    def run(self, command: Sequence[str], extra: Mapping[str, str]) -> int:
        """A program as a user would start it: in the shop's repository, on this terminal. Its exit code.

        A Ctrl-C reaches it too, and it is given time to end in its own way before KeyboardInterrupt goes on.
        """
        with _ending(subprocess.Popen(list(command), cwd=self.repository, env=self.environment() | dict(extra))) as it:
            return it.wait()


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    except BaseException:
        try:
            process.wait(20)
        except BaseException:  # it takes too long, or a second Ctrl-C: no more patience
            process.kill()
            process.wait()
        raise


def _foreign(deployment: Mapping[str, Any], service: str) -> Iterator[str]:
    """What somebody added by hand; each release's own variables are known."""
    template = (deployment.get("spec") or {}).get("template") or {}
    for container in (template.get("spec") or {}).get("containers") or []:
        if container["name"] != service:
            yield f"container {container['name']}"
        else:
            yield from (f"variable {e['name']}" for e in container.get("env") or [] if e["name"] not in variables())
