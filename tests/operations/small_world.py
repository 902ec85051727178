"""A git repository for real, and a registry and a cluster that answer from what a test put into them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollback_lib.adapters.git import GitRepository
from rollback_lib.adapters.notify import Channels
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import RefusedError, StaleError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.snapshot import ClusterIdentity, Events, Snapshot, Versions
from rollback_lib.core.rights.table import allows
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model as core_settings
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import Evidence, Ports, Session
from tests.fakes import FakeFiles, FakeInside, FakeRecords, FakeWeb, session
from tests.git_repository import RepositoryBuilder

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = """\
application: shop
manifests: {path: "k8s/{service}"}
images: {repository: "team/{service}"}
environments: {prod: {namespace: shop}}
"""
FULL = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def digest(of: str) -> str:
    return "sha256:" + (of.encode().hex() * 64)[:64]


def deployment(name: str, *, image: str = "", note: str = "", kind: str = "Deployment") -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"note": note}},
                "spec": {"containers": [{"name": name, "image": image or f"team/{name}:prod"}]},
            },
        },
    }  # fmt: skip


class FakeRegistry:
    """Has the tags in ``tags``; ``down`` says why it does not answer."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.gone: set[str] = set()  # digests that it has no more
        self.down = ""
        self.rounds = 0
        self.lists = True  # whether it tells which tags it has
        self.asked: list[str] = []

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = (), configs: bool = False
    ) -> Mapping[str, Answer]:
        self.rounds += 1
        self.asked += references
        return {r: self._answer(r) for r in references}

    def list_tags(self, repository: str) -> Sequence[str] | None:
        self.asked.append(f"{repository}:*")
        if self.down or not self.lists:
            return None
        return [tag for name, _, tag in (r.rpartition(":") for r in self.tags) if name == repository]

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        if was is not None and self.tags.get(f"{repository}:{tag}", "") != was:
            raise StaleError(f"{repository}:{tag} was moved by someone else")
        self.tags[f"{repository}:{tag}"] = digest

    def _answer(self, reference: str) -> Answer:
        if self.down:
            return Answer(reference, "unknown", text=self.down)
        found = self.tags.get(reference) or reference.partition("@")[2]
        if not found or found in self.gone:
            return Answer(reference, "absent", text="404, not there")
        return Answer(reference, "present", found, (found,))


class FakeCluster:
    """A namespace with objects and rules; ``down`` says why nothing answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Answered] = {}  # to what pods are asked, by path
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.rules_are: list[dict[str, Any]] = [FULL]
        self.webhook: Callable[[str, str], bool] = lambda verb, resource: False
        self.down = ""
        self.known_contexts: tuple[str, ...] = ("test",)
        self.doubtful: tuple[str, ...] = ()
        self.version_is = "v1.36.3"
        self._ids = itertools.count()

    def put(self, body: dict[str, Any]) -> None:
        self.objects.setdefault(body["kind"], {})[body["metadata"]["name"]] = body

    def run(self, name: str, image_digest: str, *, ready: bool = True, note: str = "", image: str = "") -> None:
        """A Deployment with one pod of the template that it has now; pods of earlier templates stay."""
        workload = deployment(name, note=note, image=image)
        count = next(self._ids)
        workload["status"] = {
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": int(ready),
            "availableReplicas": int(ready),
        }  # fmt: skip
        owner = {"kind": "Deployment", "name": name, "uid": f"uid-{name}", "controller": True}
        replica_set = {
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-{count}", "uid": f"uid-{name}-{count}", "ownerReferences": [owner],
                "creationTimestamp": f"2026-03-01T10:00:{count:02}Z",
                "annotations": {"deployment.kubernetes.io/revision": str(count)},
            },
            "spec": {"replicas": 1, "template": workload["spec"]["template"]}, "status": {"replicas": 1},
        }  # fmt: skip
        mine = {"kind": "ReplicaSet", "name": f"{name}-{count}", "uid": f"uid-{name}-{count}", "controller": True}
        state = {"running": {"startedAt": "2026-03-01T10:00:00Z"}}
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"{name}-{count}-a", "uid": f"uid-{name}-{count}-a", "ownerReferences": [mine]},
            "spec": {"nodeName": "n1", **workload["spec"]["template"]["spec"]},
            "status": {
                "phase": "Running", "startTime": "2026-03-01T10:00:00Z",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [
                    {
                        "name": name, "ready": ready, "started": True, "restartCount": 0, "state": state,
                        "imageID": f"docker.io/team/{name}@{image_digest}",
                    }
                ],
            },
        }  # fmt: skip
        for body in (workload, replica_set, pod):
            self.put(body)

    def pod_ask(self, pod: str, port: int, path: str, **asked: Any) -> Answered:
        return self.answers.get(path, Answered(status=404))

    def _reached(self) -> None:
        if self.down:
            raise RefusedError(self.down)

    def identity(self) -> ClusterIdentity:
        self._reached()
        return ClusterIdentity(context="test", server="https://c.example", namespace="shop", namespace_uid="u-1")

    def version(self) -> str:
        self._reached()
        return self.version_is

    def contexts(self) -> Sequence[str]:
        return self.known_contexts

    def doubts(self) -> Sequence[str]:
        return self.doubtful

    def nodes(self) -> None:
        self._reached()

    def events(self) -> Events:
        return Events()

    def snapshot(self, kinds: Sequence[str], versions: Versions | None = None) -> Snapshot:
        self._reached()
        return Snapshot({k: dict(self.objects.get(k, {})) for k in kinds})

    def rules(self) -> tuple[list[dict[str, Any]], bool]:
        self._reached()
        return self.rules_are, True

    def may(self, verb: str, kind: str, name: str, subresource: str = "") -> bool:
        self._reached()
        plural = KINDS[kind].plural + (f"/{subresource}" if subresource else "")
        return allows(self.rules_are, verb, KINDS[kind].group, plural, name) or self.webhook(verb, plural)


class FakeActs:
    """kubectl as far as anybody asks who only looks."""

    def __init__(self) -> None:
        self.version_is = "v1.36.1"

    def version(self) -> str:
        if not self.version_is:
            raise RefusedError("kubectl is not on the PATH.")
        return self.version_is


class StillClock:
    def now(self) -> datetime:
        return NOW

    def check(self) -> None: ...


class Silent:
    def stage(self, stage: str) -> None: ...
    def say(self, text: str) -> None: ...
    def waiting(self, text: str) -> None: ...
    def ask(self, question: str) -> None: ...
    def approve(self, plan: object, question: str, place: str) -> None: ...


class SmallWorld:
    """Two services, cart and users, at three releases, v1.0.0 to v1.2.0; every image has its release tag."""

    def __init__(self, folder: Path, settings: str = SETTINGS) -> None:
        self.settings: Settings = core_settings.load(settings)
        self.repository = RepositoryBuilder(folder / "shop")
        self.registry, self.cluster, self.acts = FakeRegistry(), FakeCluster(), FakeActs()
        for release in ("v1.0.0", "v1.1.0", "v1.2.0"):
            self.release(release)

    def release(self, name: str, files: Mapping[str, str] | None = None) -> None:
        import json

        found = {f"k8s/{s}/deployment.yaml": self._manifest(s, name, json.dumps) for s in ("cart", "users")}
        self.repository.commit({**found, **(files or {})})
        self.repository.tag(name)
        for service in ("cart", "users"):
            self.registry.tags[f"team/{service}:{name}"] = digest(f"{service}{name}")
            self.registry.tags[f"team/{service}:prod"] = digest(f"{service}{name}")

    @staticmethod
    def _manifest(service: str, release: str, write: Callable[[Any], str]) -> str:
        body = deployment(service, note=release)
        body["metadata"] = {"name": service}
        return write(body)

    def runs(self, release: str) -> None:
        """What the cluster runs from now on."""
        for service in ("cart", "users"):
            self.cluster.run(service, digest(f"{service}{release}"), note=release)

    def ports(self, environ: Mapping[str, str] | None = None) -> Ports:
        return Ports(
            git=GitRepository(self.repository.folder), registry=self.registry, tags=self.registry,
            cluster=self.cluster,  # type: ignore[arg-type]
            evidence=Evidence(self.cluster, FakeWeb(), FakeInside(), FakeFiles()),  # type: ignore[arg-type]
            acts=self.acts, clock=StillClock(),
            records=FakeRecords(), progress=Silent(), approver=Silent(), environ=environ or {},  # type: ignore[arg-type]
            notifier=Channels(self.settings, environ or {}),
        )  # fmt: skip

    def session(self, environ: Mapping[str, str] | None = None, *, runs: Sequence[RunDirectory] = ()) -> Session:
        """What an operation works with; ``runs`` are those of this machine."""
        return session(self.settings, self.ports(environ), runs=runs)

    def run_to(self, release: str, folder: Path, *, dry_run: bool = False, started: str = "") -> RunDirectory:
        run = RunDirectory(folder, lambda: NOW)
        run.put(
            Request(
                run=folder.name, application="shop", environment="prod", to=release, settings=self.settings,
                dry_run=dry_run, by="ana", started=started or NOW.isoformat(),
            )
        )  # fmt: skip
        return run
