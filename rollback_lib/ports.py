"""What stages and operations need from the world, as Protocols. Only `wiring` knows who answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.jenkins.answers import Build, LogPart, Question, QueueItem, Step
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import ClusterIdentity, DryRun, Presence, Snapshot
from rollback_lib.core.manifests.tree import Files as Tree
from rollback_lib.core.record import Record
from rollback_lib.core.releases.tags import Tag
from rollback_lib.core.report.notices import Delivery, Lack, Notice
from rollback_lib.core.run.changes import Change
from rollback_lib.core.run.journal import Event, Mark

R = TypeVar("R", bound=Record)


class RunStore(Protocol):
    """One run: its records, its files, its journal."""

    def get(self, kind: type[R]) -> R:
        """The record, or UsageError naming the stage that makes it."""
        ...

    def find(self, kind: type[R]) -> R | None:
        """The record, or None."""
        ...

    def put(self, record: Record) -> None: ...

    def write(self, name: str, data: bytes) -> None:
        """A file below the run directory, mode 0600. ``name`` has forward slashes."""
        ...

    def read(self, name: str) -> bytes: ...

    def remove(self, name: str) -> None:
        """Take a file away; no matter if it is not there."""
        ...

    def files(self) -> Sequence[str]:
        """The names of the files from which the run could be finished elsewhere, the journal last."""
        ...

    def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
        """Add an event, fsynced before this returns."""
        ...

    def events(self) -> Sequence[Event]: ...

    @property
    def place(self) -> str:
        """Where the run directory lies, for people and for kubectl."""
        ...


class GitHistory(Protocol):
    """The repository, read only; never the working tree."""

    def tags(self) -> Sequence[Tag]: ...

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        """`tree` where all of it must be readable; else RefusedError."""
        ...

    def tree(self, commit: str, prefixes: Sequence[str]) -> Tree:
        """The manifests below these folders or at these names, links inside the tree followed."""
        ...

    def whole(self, commit: str) -> Tree:
        """Every file that may be text, at most `core.manifests.tree.MOST_BYTES`; RefusedError where there is more."""
        ...

    def list_paths(self, commit: str) -> Sequence[str]: ...

    def blobs(self, commit: str) -> Mapping[str, str]:
        """All files of a commit, each with the id of its content: equal ids, equal bytes. One question."""
        ...

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        """The content of each id that `blobs` gave."""
        ...


class Checkout(GitHistory, Protocol):
    """A clone with something checked out: HEAD's tree, still never the working tree."""

    def head_commit(self) -> str:
        """The commit that is checked out; empty in a repository without commits."""
        ...

    def read(self, commit: str, path: str) -> bytes: ...


class Registry(Protocol):
    """Image registries, read only."""

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = ..., configs: bool = False
    ) -> Mapping[str, Answer]:
        """An answer for each reference. ``configs``: with the config digests, at the price of one GET a manifest."""
        ...


class RegistryWriter(Protocol):
    """The one write to a registry. Nothing is pulled, and no image is pushed that the repository has not."""

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        """Point ``repository:tag`` at the manifest or index that the repository has as ``digest``.

        Does nothing where it points there already. ``was``: the digest that the tag must name before (empty: none);
        None: whatever it names. Raises StaleError where it names another, RefusedError where the tag is as it was,
        FailedError where it is not, or nobody can tell.
        """
        ...


class Cluster(Protocol):
    """One namespace of one cluster, read only. Raises RefusedError with the reason where it cannot answer."""

    def identity(self) -> ClusterIdentity: ...

    def snapshot(self, kinds: Sequence[str], versions: Mapping[str, str] = ...) -> Snapshot:
        """All objects of these kinds. ``versions``: the apiVersion for a kind, or for one object (``Kind/name``), where
        it is not the usual one. What cannot be read stands in ``refused`` under the same names."""
        ...

    def exists(self, kind: str, name: str) -> bool | None:
        """Whether the object is there; None: we may not know. Never reads a Secret's content."""
        ...

    def presence(self, kind: str, name: str) -> Presence:
        """Whether the object is there and stays. Never reads a Secret's content."""
        ...

    def nodes(self) -> Mapping[str, Object] | None:
        """The nodes by name, or None where we may not list them."""
        ...

    def dry_run_patch(self, kind: str, api_version: str, name: str, operations: Sequence[Operation]) -> DryRun: ...

    def dry_run_create(self, manifest: Object) -> DryRun: ...

    def version(self) -> str:
        """The API server's version, such as ``v1.36.3``."""
        ...

    def may(self, verb: str, kind: str, name: str, subresource: str = "") -> bool: ...

    def events(self) -> Sequence[Object]:
        """The namespace's events; empty where we may not read them."""
        ...

    def contexts(self) -> Sequence[str]:
        """The contexts that the kubeconfig offers; empty where there is only one answer."""
        ...

    def doubts(self) -> Sequence[str]:
        """What makes it less than sure that it is this cluster which answers, as sentences."""
        ...

    def rules(self) -> tuple[list[dict[str, Any]], bool]:
        """The rules of a SelfSubjectRulesReview, and whether they are all there is."""
        ...

    def logs(
        self, pod: str, container: str, *, previous: bool = False, lines: int = 20, timestamps: bool = False
    ) -> str:
        """The last lines, at most 64 kB, or an empty text where there is no log (any more).

        ``timestamps``: each line begins with its time and a blank.
        """
        ...

    def pod_ask(
        self, pod: str, port: int, path: str, *, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answered:
        """A request through the API server's pod proxy. Never raises: what went wrong stands in the answer."""
        ...


class ClusterRecords(Protocol):
    """Our own records in the cluster (ConfigMaps, a Lease), in one namespace. Raises RefusedError as `Cluster` does."""

    def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
        """All objects of the kind that have these labels, in one request."""
        ...

    def get(self, kind: str, name: str) -> Object | None: ...

    def put(self, record: Object) -> Object | None:
        """Create it, or replace exactly the version that ``metadata.resourceVersion`` names; what is stored then.

        None where somebody was faster: it exists already, is gone, or is another version by now. Read it again.
        """
        ...

    def delete(self, record: Object) -> bool:
        """Delete exactly this version (uid and resourceVersion). False where it is another by now, or gone."""
        ...


class Jenkins(Protocol):
    """A Jenkins server; None where a job, build or file is not there.

    Raises RefusedError with what it said; CheckError where nobody knows whether it took what we sent.
    """

    @property
    def url(self) -> str: ...

    def job_config(self, job: str) -> str | None: ...

    def put_job(self, job: str, xml: str, *, create: bool) -> None: ...

    def parameters(self, job: str) -> Sequence[str]: ...

    def check(self, jenkinsfile: str) -> Sequence[str]:
        """What its validator says against a Jenkinsfile; nothing where it is valid."""
        ...

    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """The queue item; 0 where an equal request is queued already."""
        ...

    def queued(self, item: int) -> QueueItem: ...

    def build(self, job: str, number: int) -> Build | None: ...

    def recent(self, job: str, many: int = 20) -> Sequence[Build]:
        """The newest builds, newest first."""
        ...

    def steps(self, job: str, number: int) -> Sequence[Step]: ...

    def questions(self, job: str, number: int) -> Sequence[Question]: ...

    def log(self, job: str, number: int, start: int) -> LogPart | None:
        """The log from byte ``start``."""
        ...

    def artifact(self, job: str, number: int, path: str) -> bytes | None: ...

    def tests(self, job: str, number: int) -> Mapping[str, Any] | None: ...


class Acts(Protocol):
    """The only way to change a cluster. Only the journalled writer calls it."""

    def problem(self) -> str:
        """Why nothing could be written at all; empty where it could."""
        ...

    def version(self) -> str:
        """The version of the program that writes, such as ``v1.36.3``. Raises RefusedError where it does not run."""
        ...

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        """Make the change; the object as it is afterwards.

        Raises StaleError where the object is no longer what the change was made for, FailedError otherwise.
        """
        ...


class Writer(Protocol):
    """What a stage gets for writing: announce, act, confirm."""

    def do(self, change: Change) -> Mapping[str, str]: ...


class Clock(Protocol):
    """Time, injected, so that tests do not sleep."""

    def now(self) -> datetime:
        """Now, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises InterruptedRunError as soon as somebody asks us to stop."""
        ...

    def check(self) -> None:
        """Raise InterruptedRunError if somebody has asked us to stop."""
        ...


class Progress(Protocol):
    """What a person sees while a run goes on. Never fails a run."""

    def stage(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...

    def waiting(self, text: str) -> None:
        """What is waited for, now: on a terminal one line that changes, elsewhere a line every 30 s."""
        ...


class Approver(Protocol):
    """A person at a terminal, if there is one."""

    def ask(self, question: str) -> bool | None:
        """The answer; None where there is no terminal."""
        ...


class Web(Protocol):
    """Requests over http, for evidence and for smoke tests."""

    def ask(
        self, method: str, url: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str],
        body: bytes = b"", timeout: float,
    ) -> Answered:  # fmt: skip
        """The answer, at most 1 MB of it, after at most ``timeout`` seconds. No redirect is followed. Never raises."""
        ...


class Inside(Protocol):
    """Commands in a running container."""

    def run(self, pod: str, container: str, command: Sequence[str], timeout: float) -> tuple[int, str]:
        """Exit code and what it printed; code -1 and the reason where it could not be run. Never raises."""
        ...


class Files(Protocol):
    """Files of this machine that somebody left as evidence, read only."""

    def matching(self, glob: str) -> Mapping[str, bytes]:
        """The newest files below the repository's folder that match, at most 50; large ones are left out."""
        ...

    def given(self, path: str) -> bytes:
        """One file that a person named, at most 1 MB of it. Raises OSError."""
        ...


class Notifier(Protocol):
    """The channels by which people are told. Called from threads in the background; never raises."""

    def channels(self, event: str) -> Sequence[str]:
        """The channels that want this event, by name."""
        ...

    def lacking(self) -> Mapping[str, Sequence[Lack]]:
        """Every channel that the settings name, and what stands in its way as far as can be seen without sending."""
        ...

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        """Tell one channel, within about so many seconds. Never says an address: it may be a secret."""
        ...


@dataclass(frozen=True)
class Evidence:
    """What `detect`, `incident` and `verify` ask beside the run's own questions.

    ``cluster`` is the run's, with connections of its own and without patience: evidence is not asked for twice.
    """

    cluster: Cluster
    web: Web
    inside: Inside
    files: Files
    jenkins: Callable[[], Jenkins] | None = None  # made when it is asked: few runs know of a failed build


@dataclass(frozen=True)
class Ports:
    """The world, made when first asked for. ``environ`` are the variables of this process, for approval."""

    git: GitHistory
    registry: Registry
    tags: RegistryWriter
    cluster: Cluster
    records: ClusterRecords
    evidence: Evidence
    acts: Acts
    clock: Clock
    progress: Progress
    approver: Approver
    environ: Mapping[str, str]
    user: str = ""
    notifier: Notifier | None = None


class Stage(Protocol):
    """A module with these three names."""

    @property
    def ID(self) -> str: ...

    @property
    def WRITES(self) -> bool: ...

    def run(self, run: RunStore, ports: Ports, write: Writer) -> Record | None: ...
