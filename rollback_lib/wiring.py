"""The only module that knows the adapters: settings in, ports out, each made when first asked for."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rollback_lib.adapters import git_remote, loading
from rollback_lib.adapters.access import Access
from rollback_lib.adapters.bounded import Stopped, never
from rollback_lib.adapters.clock import SystemClock
from rollback_lib.adapters.cluster_records import ClusterRecords
from rollback_lib.adapters.evidence_files import EvidenceFiles
from rollback_lib.adapters.git import GitRepository
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.kubectl import Kubectl
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.adapters.notify import Channels
from rollback_lib.adapters.run_directories import RunDirectories
from rollback_lib.adapters.web import RequestsWeb
from rollback_lib.core.errors import UsageError
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.releases.tags import RepositoryIdentity, Tag
from rollback_lib.core.settings import model as core_settings
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import Approver, Clock, Evidence, Jenkins, Ports, Progress, StoppableClock

CONFIG: Final = "rollback.yaml"
EVIDENCE_TIMEOUT: Final = 5.0  # seconds for one question: a process must not end late for want of an answer


def find_config(given: str | None, start: Path) -> Path | None:
    """The settings file: the one that is named, else the nearest one upwards; None where there is none."""
    if given:
        path = Path(given)
        if not path.is_file():
            raise UsageError(f"{given}: there is no such file (`rollback init` writes one)")
        return path.resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder / CONFIG
        if (folder / ".git").exists():
            return None
    return None


def read_settings(config: Path) -> Settings:
    """The settings of a file. Raises UsageError with every problem."""
    try:
        data = config.read_bytes()
    except OSError as error:
        raise UsageError(f"{config}: {error.strerror}") from None
    return core_settings.load(data, config.name)


def repository(start: Path, *, offline: bool = False, stopped: Stopped = never) -> GitRepository:
    """The git repository that holds ``start``."""
    return GitRepository(start, offline=offline, stopped=stopped)


def remote_branches(url: str) -> Mapping[str, bool] | None:
    """The branches of the repository at an address; None where it cannot be asked from here."""
    return git_remote.branches(url, current_folder())


def who(environ: Mapping[str, str]) -> tuple[str, str]:
    """(who asks, from where): the person and build that Jenkins names, else the user of this machine."""
    name = environ.get("BUILD_USER_ID") or environ.get("BUILD_USER") or ""
    if not name:
        with contextlib.suppress(Exception):
            name = getpass.getuser()
    return name or "unknown", environ.get("BUILD_URL") or socket.gethostname()


class _LazyRegistry:
    """The registry client, whose library is loaded only when a registry is asked."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], stopped: Stopped) -> None:
        self._settings, self._environ, self._stopped = settings, environ, stopped
        self._client: Any = None

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = ("linux/amd64",), configs: bool = False
    ) -> Mapping[str, Answer]:
        found: Mapping[str, Answer] = self._made().look_up(references, platforms=platforms, configs=configs)
        return found

    def list_tags(self, repository: str) -> Collection[str] | None:
        found: Collection[str] | None = self._made().list_tags(repository)
        return found

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        self._made().put_tag(repository, digest, tag, was=was)

    def _made(self) -> Any:
        if self._client is None:
            with loading.alone():
                from rollback_lib.adapters.registry import RegistryClient
            from rollback_lib.core.images.reference import parse

            images = self._settings.images
            hosts = ["docker.io"]
            if images.repository:
                with contextlib.suppress(ValueError):
                    hosts = [parse(images.repository.replace("{service}", "x")).host]
            self._client = RegistryClient(
                {host: r.url for host, r in images.registries.items()}, _docker_config(self._environ), self._environ,
                own_hosts=tuple(hosts), stopped=self._stopped,
            )  # fmt: skip
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _docker_config(environ: Mapping[str, str]) -> Path:
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


class LazyRepository:
    """The repository, opened when it is first asked: what cannot be opened fails that question, not the start."""

    def __init__(self, start: Path, *, offline: bool, stopped: Stopped = never) -> None:
        self._start, self._offline, self._stopped = start, offline, stopped
        self._opened: GitRepository | None = None

    def _open(self) -> GitRepository:
        if self._opened is None:
            self._opened = repository(self._start, offline=self._offline, stopped=self._stopped)
        return self._opened

    def identity(self) -> RepositoryIdentity:
        return self._open().identity()

    def tags(self) -> Sequence[Tag]:
        return self._open().tags()

    def remote_tags(self, names: Sequence[str]) -> Mapping[str, str] | None:
        return self._open().remote_tags(names)

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        return self._open().files(commit, prefixes)

    def tree(self, commit: str, prefixes: Sequence[str]) -> Files:
        return self._open().tree(commit, prefixes)

    def whole(self, commit: str) -> Files:
        return self._open().whole(commit)

    def naming(self, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]) -> Mapping[str, set[str]]:
        return self._open().naming(texts, commits, prefixes)

    def list_paths(self, commit: str) -> Sequence[str]:
        return self._open().list_paths(commit)

    def blobs(self, commit: str) -> Mapping[str, str]:
        return self._open().blobs(commit)

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        return self._open().contents(blobs)

    def tracks(self, place: Path) -> bool:
        return self._open().tracks(place)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def jenkins(environ: Mapping[str, str], clock: Clock) -> Jenkins:
    """The Jenkins server that the environment names. Raises UsageError where it names none."""
    with loading.alone():
        from rollback_lib.adapters.jenkins import JenkinsServer

    url = environ.get("JENKINS_URL", "").strip()
    if not url:
        raise UsageError("JENKINS_URL is not set: the address of the Jenkins server, such as https://ci.example.com/")
    user, token = (environ.get(f"ROLLBACK_JENKINS_{name}", "").strip() for name in ("USER", "TOKEN"))
    return JenkinsServer(url, user, token, sleep=clock.sleep, stopped=getattr(clock, "stopped", never))


def clock() -> StoppableClock:
    """The machine's time; its waits end when it is stopped."""
    return SystemClock()


def run_directories(folder: Path) -> RunDirectories:
    """The run directories below a folder."""
    return RunDirectories(folder)


def kubectl(
    access: Access, namespace: str, environ: Mapping[str, str], cluster: KubernetesCluster,
    killed: Callable[[str], None] = lambda why: None, stopped: Stopped = never,
) -> Kubectl:  # fmt: skip
    """kubectl as it is on the PATH, led to the cluster that is read."""
    program = shutil.which("kubectl", path=environ.get("PATH")) or ""
    return Kubectl(program, access.arguments, namespace, environ, cluster, killed=killed, stopped=stopped)


def kubectl_alone(environ: Mapping[str, str]) -> Kubectl:
    """kubectl that may only be asked about itself."""
    access = Access(None, None, environ)
    return kubectl(access, "default", environ, KubernetesCluster(None, None, "default", access=access))


class World:
    """The adapters of one process, and their end."""

    def __init__(
        self,
        settings: Settings,
        environment: str,
        start: Path,
        environ: Mapping[str, str],
        *,
        offline: bool,
        clock: StoppableClock | None = None,
    ) -> None:
        """``start`` lies in the repository; run directories and evidence are below it."""
        self.settings, self.environment = settings, environment
        self.environ = environ
        self.clock: StoppableClock = clock or SystemClock()
        self._stopped = stopped = self.clock.stopped
        self._registry = _LazyRegistry(settings, environ, stopped)
        self.git = LazyRepository(start, offline=offline, stopped=stopped)
        self.runs = RunDirectories(start, self.git.tracks)
        where = settings.environments[environment]
        self.access = Access(  # one login for all of them
            environ.get("KUBECONFIG") or None, where.context, environ, stopped=stopped
        )  # fmt: skip
        self.cluster = KubernetesCluster(
            None, None, where.namespace, self.clock.pause, access=self.access, stopped=stopped
        )  # fmt: skip
        self.evidence_cluster = KubernetesCluster(
            None, None, where.namespace, patient=False, timeout=EVIDENCE_TIMEOUT, agent="rollback_lib-evidence",
            access=self.access, stopped=stopped,
        )  # fmt: skip
        self.kubectl = kubectl(self.access, where.namespace, environ, self.cluster, self.clock.stop, stopped)
        self._folder = start
        if not offline:
            loading.begin()

    def ports(self, progress: Progress, approver: Approver) -> Ports:
        return Ports(
            git=self.git, registry=self._registry, tags=self._registry, cluster=self.cluster,
            records=ClusterRecords(self.cluster), evidence=self._evidence(), acts=self.kubectl, clock=self.clock,
            progress=progress, approver=approver, environ=self.environ, user=who(self.environ)[0],
            notifier=Channels(self.settings, self.environ),
        )  # fmt: skip

    def _evidence(self) -> Evidence:
        where = self.settings.environments[self.environment]
        program = shutil.which("kubectl", path=self.environ.get("PATH")) or ""
        return Evidence(
            cluster=self.evidence_cluster, web=RequestsWeb(self._stopped), files=EvidenceFiles(self._folder),
            inside=KubectlExec(program, self.access.arguments, where.namespace, self.environ, self._stopped),
            jenkins=lambda: jenkins(self.environ, self.clock),
        )  # fmt: skip

    def close(self) -> None:
        self.runs.close()
        self._registry.close()
        self.access.close()
        self.git.close()


def read_text(path: str) -> str:
    """A text file. Raises UsageError where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def replace_text(path: str, text: str) -> None:
    """Write a file anew. Raises UsageError where it cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def handed_out(path: str) -> str | None:
    """The library's own text of a file that an administrator installs, where nothing is at this path yet, by its name.

    They are beside the code in the wheel, and at the top of a clone.
    """
    folder = Path(__file__).parent / "install"
    top = folder if folder.is_dir() else folder.parents[1]
    if not os.path.lexists(path):
        for own in (top / "Jenkinsfile.rollback", *sorted((top / "jenkins").rglob("*"))):
            if own.name == Path(path).name and own.is_file():
                return read_text(str(own))
    return None


def write_new(path: Path, text: str, *, folders: bool = False) -> None:
    """Write a file that must not exist yet, with ``folders`` those above it. Raises UsageError where it cannot."""
    try:
        if folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists already and is never overwritten") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def now() -> datetime:
    return datetime.now(UTC)


def current_folder() -> Path:
    return Path(os.getcwd())
