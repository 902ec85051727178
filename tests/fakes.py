"""Fakes with behaviour for the ports: a cluster of plain objects that takes JSON patches, and a clock that is moved."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rollback_lib.core.errors import RefusedError, StaleError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import LAST_APPLIED, Object, fingerprint, kind_of, name_of, notes_of
from rollback_lib.core.kube.snapshot import ClusterIdentity, DryRun, Events, LogEnd, Presence, Snapshot, Versions
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.releases.tags import RepositoryIdentity, Tag
from rollback_lib.core.run.changes import Change, CreateObject, DeleteObject, PatchObject
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import Approved, Evidence, Ports, RunStore, Session
from tests.fake_clock import FakeClock


def apply_operations(obj: Object, operations: Sequence[Operation]) -> Object | None:
    """The object after a JSON patch; None where a test fails, as the API server refuses it."""
    result = copy.deepcopy(obj)
    for operation in operations:
        *path, last = [p.replace("~1", "/").replace("~0", "~") for p in operation.path.split("/")[1:]]
        place: Any = result
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        key: Any = int(last) if isinstance(place, list) and last != "-" else last
        if operation.op == "test":
            if (place.get(key) if isinstance(place, dict) else place[key]) != operation.value:
                return None
        elif operation.op == "remove":
            del place[key]
        else:
            place[key] = copy.deepcopy(operation.value)
    return result


class FakeCluster:
    """One namespace. What is written is Ready at once: Deployments get a ReplicaSet and a pod of their template."""

    def __init__(self, *objects: Object) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.writes: list[str] = []
        self.uid = "ns-uid"
        self.context_names: tuple[str, ...] = ("test",)
        self.log_texts: dict[tuple[str, str, bool], str] = {}  # by pod, container, previous
        self.answers: list[Answered] = [Answered(200, b"{}")]  # of pods, in turn; the last one stays
        self.asked: list[tuple[str, str, str, dict[str, str], bytes]] = []
        self.event_list: list[Object] = []
        self.unreadable: set[str] = set()  # kinds whose content we may not get
        self.pulls: Mapping[str, str] = {}  # what a tag is when a node pulls it
        self.node_list: Sequence[Object] | None = None  # None: they may not be listed
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> None:
        obj = copy.deepcopy(obj)
        obj["metadata"].setdefault("uid", f"uid-{name_of(obj)}")
        obj["metadata"].setdefault("namespace", "shop")
        self.objects[kind_of(obj), name_of(obj)] = obj
        if kind_of(obj) == "Deployment":
            self._roll_out(obj)

    def _roll_out(self, obj: Object) -> None:
        name, labels = name_of(obj), obj["spec"]["template"]["metadata"].get("labels", {})
        obj["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
        obj["metadata"]["generation"] = 1
        owner = {"uid": obj["metadata"]["uid"], "kind": "Deployment", "name": name, "controller": True}
        meta = {"name": f"{name}-rs", "uid": f"rs-{name}", "ownerReferences": [owner], "labels": labels}
        replica_set = {"kind": "ReplicaSet", "metadata": meta, "spec": {"template": obj["spec"]["template"]}}
        of_set = {**owner, "uid": f"rs-{name}", "kind": "ReplicaSet", "name": f"{name}-rs"}
        container = obj["spec"]["template"]["spec"]["containers"][0]
        image = container["image"]
        started = {"startedAt": "2026-01-01T00:00:00Z"}
        status = {
            "name": container["name"],
            "ready": True,
            "imageID": self._pulled(image),
            "state": {"running": started},
        }
        pod = {
            "kind": "Pod",
            "metadata": {"name": f"{name}-pod", "uid": f"pod-{name}", "labels": labels,
                         "ownerReferences": [of_set]},
            "spec": {**obj["spec"]["template"]["spec"], "nodeName": "node"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                       "containerStatuses": [status]},
        }  # fmt: skip
        self.objects["ReplicaSet", f"{name}-rs"] = replica_set
        self.objects["Pod", f"{name}-pod"] = pod

    def _pulled(self, image: str) -> str:
        return f"{image.rpartition(':')[0]}@{self.pulls[image]}" if image in self.pulls else image

    def identity(self) -> ClusterIdentity:
        return ClusterIdentity(context="test", server="https://fake", namespace="shop", namespace_uid=self.uid)

    def version(self) -> str:
        return "v1.36.3"

    def snapshot(self, kinds: Sequence[str], versions: Versions | None = None) -> Snapshot:
        return Snapshot({k: {n: copy.deepcopy(o) for (kind, n), o in self.objects.items() if kind == k} for k in kinds})

    def exists(self, ref: ObjectRef) -> bool | None:
        return (ref.type, ref.name) in self.objects

    def presence(self, ref: ObjectRef) -> Presence:
        found = self.objects.get((ref.type, ref.name))
        if found is None:
            return Presence.ABSENT
        return Presence.LEAVING if "deletionTimestamp" in found["metadata"] else Presence.THERE

    def keys(self, ref: ObjectRef) -> frozenset[str] | None:
        found = None if ref.type in self.unreadable else self.objects.get((ref.type, ref.name))
        return frozenset(found.get("data") or {}) if found else None

    def nodes(self) -> Mapping[str, Object] | None:
        return None if self.node_list is None else {name_of(n): n for n in self.node_list}

    def dry_run_patch(self, kind: str, api_version: str, name: str, operations: Sequence[Operation]) -> DryRun:
        found = apply_operations(self.objects[kind, name], operations)
        return DryRun(found) if found else DryRun(None, (), "the request is invalid", 422)

    def dry_run_create(self, manifest: Object) -> DryRun:
        return DryRun(copy.deepcopy(manifest))

    def may(self, verb: str, kind: str, name: str, subresource: str = "") -> bool:
        return True

    def rules(self) -> tuple[list[dict[str, Any]], bool]:
        return [], True

    def events(self) -> Events:
        return Events(tuple(self.event_list))

    def contexts(self) -> Sequence[str]:
        return self.context_names

    def doubts(self) -> Sequence[str]:
        return ()

    def logs(
        self, pod: str, container: str, *, previous: bool = False, lines: int = 20, timestamps: bool = False
    ) -> LogEnd:
        return LogEnd(self.log_texts.get((pod, container, previous), ""))

    def pod_ask(
        self, pod: str, port: int, path: str, *, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answered:
        self.asked.append((method, pod, path, dict(headers), body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeActs:
    """Writes to the fake cluster. ``fail``: raise this at the n-th write, before or after it was made."""

    def __init__(self, cluster: FakeCluster, *, fail: Mapping[int, Exception] | None = None) -> None:
        self.cluster, self.fail = cluster, dict(fail or {})

    def problem(self) -> str:
        return ""

    def version(self) -> str:
        return "v1.36.3"

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        number = len(self.cluster.writes) + 1
        if number in self.fail:
            raise self.fail.pop(number)
        now = self.cluster.objects.get((change.kind, change.name))
        if isinstance(change, PatchObject):
            found = apply_operations(now or {}, change.operations)
            if found is None and change.after and fingerprint(now) == change.after:
                return now  # read back: it is done already
            if found is None:
                raise StaleError(f"{change.kind}/{change.name} was changed by someone else")
            self.cluster.put(found)
        elif isinstance(change, CreateObject):
            self.cluster.put(change.manifest if change.recorded else _saved(change.manifest))
        elif isinstance(change, DeleteObject):
            self.cluster.objects.pop((change.kind, change.name), None)
        self.cluster.writes.append(change.key)
        return self.cluster.objects.get((change.kind, change.name))


def _saved(manifest: Object) -> Object:
    """As `kubectl create --save-config` makes it."""
    notes = {**notes_of(manifest), LAST_APPLIED: json.dumps(manifest, sort_keys=True)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": notes}}


class FakeWeb:
    """Answers by address; whatever has none cannot be reached. ``asked``: (method, url, query, headers)."""

    def __init__(self, answers: Mapping[str, Answered | list[Answered]] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str, tuple[tuple[str, str], ...], dict[str, str]]] = []

    def ask(
        self, method: str, url: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str],
        body: bytes = b"", timeout: float,
    ) -> Answered:  # fmt: skip
        self.asked.append((method, url, tuple(query), dict(headers)))
        found = self.answers.get(url, Answered(problem="it cannot be reached"))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found


class FakeInside:
    """What commands in pods end with and print; ``ran`` has what was run."""

    def __init__(self, code: int = 0, printed: str = "") -> None:
        self.code, self.printed = code, printed
        self.ran: list[tuple[str, str, tuple[str, ...]]] = []

    def run(self, pod: str, container: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
        self.ran.append((pod, container, tuple(command)))
        return self.code, self.printed


class FakeFiles:
    """Files by the glob that finds them, and by the path that a person gives."""

    def __init__(self, found: Mapping[str, Mapping[str, bytes]] | None = None, **given: bytes) -> None:
        self.found, self.by_path = dict(found or {}), given

    def matching(self, glob: str) -> Mapping[str, bytes]:
        return self.found.get(glob, {})

    def given(self, path: str) -> bytes:
        if path not in self.by_path:
            raise FileNotFoundError(2, "No such file or directory")
        return self.by_path[path]


class FakeRecords:
    """Records in memory, with the API server's compare-and-swap."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Object] = {}
        self._number = 0

    def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
        wanted = labels.items()
        return tuple(
            copy.deepcopy(o)
            for (k, _), o in sorted(self.kept.items())
            if k == kind and wanted <= (o["metadata"].get("labels") or {}).items()
        )

    def get(self, kind: str, name: str) -> Object | None:
        return copy.deepcopy(self.kept.get((kind, name)))

    def put(self, record: Object) -> Object | None:
        key, version = (kind_of(record), name_of(record)), record["metadata"].get("resourceVersion", "")
        there = self.kept.get(key)
        if (there["metadata"]["resourceVersion"] if there else "") != version:
            return None
        self._number += 1
        stored = copy.deepcopy(record)
        stored["metadata"] |= {
            "resourceVersion": str(self._number),
            "uid": there["metadata"]["uid"] if there else f"record-{self._number}",
        }
        self.kept[key] = stored
        return copy.deepcopy(stored)

    def delete(self, record: Object) -> bool:
        key = kind_of(record), name_of(record)
        if (there := self.kept.get(key)) is None or there["metadata"] != record["metadata"]:
            return False
        del self.kept[key]
        return True


class FakeRegistry:
    """Knows the digests of references; all else is absent. ``refuses``: raise this at a write to the reference."""

    def __init__(self, **digests: str) -> None:
        self.digests = digests
        self.refuses: dict[str, Exception] = {}

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        reference = f"{repository}:{tag}"
        if error := self.refuses.get(reference):
            raise error
        now = self.digests.get(reference, "")
        if now == digest:
            return
        if was is not None and was != now:
            raise StaleError(f"{reference} was moved by someone else to {now}; it is left as it is.")
        self.digests[reference] = digest

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = (), configs: bool = False
    ) -> Mapping[str, Answer]:
        return {r: self._answer(r) for r in references}

    def list_tags(self, repository: str) -> Sequence[str] | None:
        return [tag for name, _, tag in (r.rpartition(":") for r in self.digests) if name == repository]

    def _answer(self, reference: str) -> Answer:
        digest = reference.partition("@")[2] or self.digests.get(reference, "")
        return (
            Answer(reference, "present", digest, (digest,))
            if digest
            else Answer(reference, "absent", text=f"{reference}: 404")
        )


class FakeGit:
    """Tags and the files at each."""

    def __init__(self, releases: dict[str, Mapping[str, bytes]]) -> None:
        self.releases = releases

    def commit(self, release: str) -> str:
        return f"{list(self.releases).index(release) + 1:040x}"

    def identity(self) -> RepositoryIdentity:
        return RepositoryIdentity("/srv/shop")

    def remote_tags(self, names: Sequence[str]) -> Mapping[str, str] | None:
        return None

    def tags(self) -> Sequence[Tag]:
        return [
            Tag(n, self.commit(n), "commit", f"2026-01-{i:02d}T00:00:00+00:00") for i, n in enumerate(self.releases, 1)
        ]

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        found = self._at(commit)
        return {p: d for p, d in found.items() if any(p == x or p.startswith(f"{x}/") for x in prefixes)}

    def tree(self, commit: str, prefixes: Sequence[str]) -> Files:
        return Files(self.files(commit, prefixes))

    def whole(self, commit: str) -> Files:
        return Files(self._at(commit))

    def naming(self, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]) -> Mapping[str, set[str]]:
        held = {c: b"\n".join(self._at(c).values()).decode() for c in commits}
        named = {c: {t for t in texts if t and t in held[c]} for c in commits}
        return {c: found for c, found in named.items() if found}

    def list_paths(self, commit: str) -> Sequence[str]:
        return list(self._at(commit))

    def blobs(self, commit: str) -> Mapping[str, str]:
        return {path: data.hex() for path, data in self._at(commit).items()}

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        return {blob: bytes.fromhex(blob) for blob in blobs}

    def _at(self, commit: str) -> Mapping[str, bytes]:
        for name, files in self.releases.items():
            if self.commit(name) == commit:
                return files
        raise RefusedError(f"commit {commit} is not in this clone")


class FakeProgress:
    """Keeps what a person would have seen, and answers questions as it is told."""

    def __init__(self, answer: bool | None = None) -> None:
        self.lines: list[str] = []
        self.answer, self.asked = answer, []  # type: ignore[var-annotated]

    def stage(self, stage: str) -> None:
        self.lines.append(stage)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def waiting(self, text: str) -> None:
        self.lines.append(text)

    def ask(self, question: str) -> bool | None:
        self.asked.append(question)
        return self.answer

    def approve(self, plan: Plan, question: str, place: str) -> Approved | None:
        answer = self.ask(question)
        return None if answer is None else Approved(answer)


def ports(cluster: FakeCluster, git: FakeGit, registry: FakeRegistry, **more: Any) -> Ports:
    """Ports of fakes; any of them can be replaced."""
    progress = more.pop("progress", None) or FakeProgress()
    made: dict[str, Any] = {
        "evidence": Evidence(cluster, FakeWeb(), FakeInside(), FakeFiles()),
        "records": FakeRecords(), "git": git, "registry": registry, "tags": registry,
        "cluster": cluster, "acts": FakeActs(cluster), "clock": FakeClock(),
        "progress": progress, "approver": progress, "environ": {}, "user": "me", **more,
    }  # fmt: skip
    return Ports(**made)


class SomeRuns:
    """`Runs` of what a test has made. ``trial`` is called with the release."""

    def __init__(self, trial: Callable[[str], Any], runs: Sequence[Any]) -> None:
        self._trial, self._runs = trial, runs

    def trial(self, request: Request) -> Any:
        return self._trial(request.to)

    def all(self) -> Sequence[Any]:
        return self._runs


def session(
    settings: Settings, of: Ports, *, trial: Callable[[str], Any] | None = None, runs: Sequence[Any] = (),
    environment: str = "prod",
) -> Session:  # fmt: skip
    """What an operation works with. ``trial`` makes a run that is thrown away; ``runs`` are those of this machine."""

    def never(release: str) -> Any:
        raise AssertionError(f"a trial towards {release} was not expected")

    kept: Any = SomeRuns(trial or never, runs)
    return Session(
        settings=settings, environment=environment, ports=of, runs=kept, folder=".", config="rollback.yaml", by="me",
        origin="here",
    )  # fmt: skip
