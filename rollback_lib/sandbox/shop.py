"""The sample shop: ten services in a git repository that is written at run time, with three releases.

It has what makes a written rollback plan fail: one image tag, `:prod`, that every release overwrites and that the
manifests of all releases name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rollback_lib.sandbox.registry_store import ImageStore
from rollback_lib.sandbox.shop_manifests import SHARED, manifests

SERVICES: Final = (
    "service-discovery",
    "cloud-config",
    "api-gateway",
    "proxy-client",
    "order-service",
    "payment-service",
    "product-service",
    "favourite-service",
    "user-service",
    "shipping-service",
)
RELEASES: Final = {
    "v1.0.0": "2026-01-12T09:00:00+00:00",
    "v1.1.0": "2026-02-02T09:00:00+00:00",
    "v1.2.0": "2026-02-23T09:00:00+00:00",
}
GOOD: Final = "v1.1.0"
BAD: Final = "v1.2.0"
ORGANIZATION: Final = "sanjodb"
APPLICATION: Final = "ecommerce"
ENVIRONMENT: Final = "prod"
CONTEXT: Final = "sandbox"
NAMESPACE: Final = "ecommerce"
GATEWAY: Final = "api-gateway"
AFFECTED: Final = "payment-service"  # the one service that a scenario singles out


@dataclass(frozen=True)
class Scenario:
    """How one story differs from the ordinary one.

    ``bad`` is how the images of v1.2.0 behave, ``config_only`` leaves everything but the shared configuration as it was
    (so nothing is built), ``image_missing`` is the service whose v1.1.0 image the registry has lost, ``patched`` the
    service that somebody gave a sidecar and a variable by hand, ``breaks_again`` the service whose v1.1.0 image does
    not start any more.
    """

    name: str
    bad: str = "sick"  # Ready, and broken all the same
    config_only: bool = False
    image_missing: str = ""
    patched: str = ""
    breaks_again: str = ""


SCENARIOS: Final[Mapping[str, Scenario]] = {
    each.name: each
    for each in (
        Scenario("tag-overwritten"),
        Scenario("image-missing", image_missing=AFFECTED),
        Scenario("leftover-sidecar", patched=AFFECTED),
        Scenario("config-only", config_only=True),
        Scenario("verify-fails", breaks_again=AFFECTED),
    )
}

_PATIENCE: Final = 60  # seconds


class GitError(Exception):
    """git is not there, or did not do what the shop asked of it."""


@dataclass
class Shop:
    """The shop in a folder of its own. ``registry_url`` is where rollback.yaml says to ask for docker.io's images.

    ``more``: release → path → text, what a release has beside the ordinary manifests.
    """

    folder: Path
    registry_url: str
    scenario: Scenario = SCENARIOS["tag-overwritten"]
    services: Sequence[str] = SERVICES
    namespace: str = NAMESPACE
    context: str = CONTEXT
    more: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digests: dict[str, dict[str, str]] = field(default_factory=dict)  # release -> service -> what was built last

    @property
    def repository(self) -> Path:
        return self.folder / "ecommerce"

    def write(self) -> Path:
        """Write the repository: a commit and an annotated tag for each release, rollback.yaml beside the manifests.

        The same commits every time, whoever runs it. Raises GitError.
        """
        self.repository.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=master")
        self._write("rollback.yaml", self.settings())
        self._write(".gitignore", "rollback.yaml\n.rollback/\n")  # the registry's port differs from run to run
        for release, date in RELEASES.items():
            self._write("CHANGELOG.md", f"# {release}\n")
            shutil.rmtree(self.repository / "k8s", ignore_errors=True)
            for path, text in self.files(release).items():
                self._write(path, text)
            self.git("add", "--all")
            self.git("commit", "--quiet", f"--message=Release {release}", date=date)
            self.git("tag", "--annotate", f"--message=Release {release}", release, date=date)
        return self.repository

    def files(self, release: str) -> dict[str, str]:
        """The manifests of a release: path → text."""
        ordinary = manifests(release, self.services, ORGANIZATION, config_only=self.scenario.config_only)
        return {**ordinary, **self.more.get(release, {})}

    def manifests(self, release: str, services: Sequence[str] | None = None) -> str:
        """The manifests at a tag as one stream, shared configuration first: what `git show TAG:…` prints."""
        names = self.git("ls-tree", "-r", "--name-only", release, "--", "k8s").split()
        wanted = tuple(f"k8s/{service}/" for service in (services or self.services))
        chosen = [SHARED, *(name for name in names if name.startswith(wanted))]
        return "---\n".join(self.git("show", f"{release}:{name}").rstrip("\n") + "\n" for name in chosen)

    def build(
        self, store: ImageStore, release: str, behaviour: str = "good", *, services: Sequence[str] | None = None
    ) -> dict[str, str]:
        """What the team's deploy job builds: each service's image over `:prod`, and as `:<release>` too."""
        built = {}
        for service in services or self.services:
            repository = f"{ORGANIZATION}/{service}"
            built[service] = store.push(repository, "prod", behaviour, release)
            store.tag(repository, release, built[service])
        self.digests.setdefault(release, {}).update(built)
        return built

    def release(self, store: ImageStore, release: str) -> None:
        """Build a release as the scenario has it. A release that changes only configuration has no new images."""
        if release == BAD and self.scenario.config_only:
            for service, digest in self.digests[GOOD].items():
                store.tag(f"{ORGANIZATION}/{service}", release, digest)
            self.digests[release] = dict(self.digests[GOOD])
        else:
            self.build(store, release, self.scenario.bad if release == BAD else "good")

    def spoil(self, store: ImageStore) -> None:
        """What befalls v1.1.0's images after it was replaced."""
        if service := self.scenario.image_missing:
            store.delete(f"{ORGANIZATION}/{service}", self.digests[GOOD][service])
        if service := self.scenario.breaks_again:
            repository = f"{ORGANIZATION}/{service}"
            self.digests[GOOD][service] = store.push(repository, GOOD, "crash", GOOD)

    def hand_made_changes(self) -> list[tuple[str, ...]]:
        """kubectl's arguments for what somebody changed by hand while v1.2.0 ran."""
        if not (service := self.scenario.patched):
            return []
        sidecar = {"name": "debug-proxy", "image": f"{ORGANIZATION}/{service}:{BAD}"}
        patch = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
        return [
            ("set", "env", f"deployment/{service}", "TRACE_PAYMENTS=everything"),
            ("patch", f"deployment/{service}", f"--patch={json.dumps(patch)}"),
        ]

    def settings(self) -> str:
        """rollback.yaml. The gateway, where the shop has one, is asked how it is."""
        smoke = f"{{service: {GATEWAY}, path: /actuator/health, json: {{status: UP}}}}"
        verify = f"verify:\n  smoke: [{smoke}]\n" if GATEWAY in self.services else ""
        return f"""\
application: {APPLICATION}
releases: {{tag: "v*"}}
manifests:
  path: "k8s/{{service}}"
  shared: [{SHARED}]
services:
  order: [[service-discovery], [cloud-config]]
images:
  repository: "{ORGANIZATION}/{{service}}"
  registries: {{docker.io: {{url: "{self.registry_url}"}}}}
environments:
  {ENVIRONMENT}:
    context: {self.context}
    namespace: {self.namespace}
{verify}"""

    def git(self, *arguments: str, date: str = "2026-03-01T09:00:00+00:00") -> str:
        """git in the repository, with nothing of the user's configuration. Raises GitError."""
        who = {"NAME": "Shop Team", "EMAIL": "team@shop.example", "DATE": date}
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("GIT_", "XDG_"))}
        environment = {
            **kept,
            "HOME": str(self.repository),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            **{f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in who.items()},
        }
        # Set here, not only by default: an old git converts line ends where the system's configuration says so.
        command = ("git", "-c", "core.autocrlf=false", "-c", "gc.auto=0", *arguments)
        try:
            done = subprocess.run(
                command,
                cwd=self.repository,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        except FileNotFoundError:
            raise GitError("git is not on the PATH: https://git-scm.com/downloads") from None
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]} did not end within {_PATIENCE} s") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise GitError(f"git {arguments[0]} ended with {done.returncode}: {said}")
        return done.stdout.decode()

    def _write(self, path: str, text: str) -> None:
        file = self.repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
