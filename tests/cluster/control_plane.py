"""A real Kubernetes of one node on loopback: etcd, registry, control plane, containerd, kubelet and kube-proxy.

    python tests/cluster/control_plane.py up      # in the foreground, until Ctrl-C

Everything it writes is in one folder of its own, and every process it starts is named by that folder, so that what a
killed run left behind can be found and removed by the next one. One such cluster runs on a machine at a time: two
kube-proxies would undo each other's rules.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Any, Self

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cluster import images
from tests.cluster.build import Programs, kubernetes_version, missing_packages

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
PREFIX = "rollback-lib-cluster-"  # of the work folders; also how leftovers are recognised
LOCK = Path("/run/lock/rollback-lib-cluster")
BRIDGE = "rbl-cni0"
SERVICE_RANGE = "10.197.0.0/16"
POD_RANGE = "10.198.0.0/16"
NODE = "localhost"  # the API server reaches the kubelet by this name
CONTEXT = "test"
USER_AGENT = "test-cluster"  # of the tests' own questions, which are not counted
USERS = (
    "admin",
    "operator",
    "smallrole",
    "named",
    "reader",
    "deployer",
    "nobody",
)  # all but admin start with no rights
COMPONENTS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "kubelet": f"system:node:{NODE}",
    "kube-proxy": "system:kube-proxy",
}
STARTUP_LIMIT = 90.0

# The components' own reading would be nine tenths of the log. Their writes stay: they show who scaled what.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, {components}]
  verbs: [get, list, watch]
- level: None
  users: [system:apiserver, {components}]
  resources:
  - group: coordination.k8s.io
    resources: [leases]
- level: Metadata
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority: {certificate}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {user}
users:
- name: {user}
  user:
    token: {token}
"""
REGISTRY_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies ("can't get final child's PID from pipe: EOF") when it
# lowers the score. netns_mounts_under_state_dir keeps the pods' network namespaces where we can unmount them.
CONTAINERD_CONFIG = """\
version = 2
root = "{work}/containerd"
state = "{work}/run"
oom_score = 0
[grpc]
  address = "{work}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/rollback-lib/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  max_concurrent_downloads = 8
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{work}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{work}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{work}/hosts"
"""
# Also for every other registry, so that an image of the internet is "not found" here and not a timeout.
REGISTRY_HOSTS = """\
server = "{url}"
[host."{url}"]
  capabilities = ["pull", "resolve"]
"""
KUBELET_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: {port}
healthzPort: 0
readOnlyPort: 0
authentication:
  anonymous: {{enabled: true}}
  webhook: {{enabled: false}}
authorization: {{mode: AlwaysAllow}}
containerRuntimeEndpoint: unix://{work}/containerd.sock
podLogsDir: {work}/pod-logs
volumePluginDir: {work}/volume-plugins
failCgroupV1: false
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
evictionHard: {{}}
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
maxPods: 250
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
resolvConf: ""
makeIPTablesUtilChains: false
"""


class ClusterError(Exception):
    """The cluster did not start, or is not what it should be. The message has the end of the log that says why."""


@dataclass(frozen=True)
class ClusterState:
    """Where a running cluster is: what the state file holds."""

    pid: int
    version: str
    work: str
    server: str
    registry_url: str
    audit_log: str
    programs: str
    kubeconfigs: Mapping[str, str]
    admin_token: str

    @property
    def kubectl(self) -> str:
        return f"{self.programs}/kubectl"

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """The state in a file, or None when there is none or the cluster does not answer any more."""
        try:
            state = cls(**json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return state if state.answers() else None

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(file)

    def get(self, path: str, timeout: float = 5.0) -> bytes:
        """A GET of the API server as the administrator."""
        request = urllib.request.Request(
            self.server + path, headers={"Authorization": f"Bearer {self.admin_token}", "User-Agent": USER_AGENT}
        )
        certificates = create_default_context(cafile=f"{self.work}/certs/apiserver.crt")
        with urllib.request.urlopen(request, timeout=timeout, context=certificates) as answer:
            body: bytes = answer.read()
        return body

    def answers(self) -> bool:
        """Whether it serves and is looked after. What a killed owner left may still serve, but is about to be swept."""
        try:
            os.kill(self.pid, 0)
            return self.get("/readyz") == b"ok"
        except (OSError, ValueError):
            return False


def default_state_file() -> Path:
    """Where developers keep the state of the cluster that stays up; the environment can name another place."""
    given = os.environ.get("ROLLBACK_TEST_CLUSTER_STATE", "").strip()
    return Path(given) if given else REPOSITORY_ROOT / ".cluster" / "state.json"


class ControlPlane:
    """The processes of one cluster. Use it as a context manager; what leaves the block is stopped and removed."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._lock: int | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._work = Path()
        self._ports = dict[str, int]()
        self._tokens = dict[str, str]()

    def __enter__(self) -> ClusterState:
        self._lock = take_machine_lock()
        try:
            refuse_other_kubelets()
            for leftover in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
                sweep(leftover)
            self._work = Path(tempfile.mkdtemp(prefix=PREFIX))
            return self._start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        # Nothing here is worth a graceful end: the data goes with the folder.
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()
        if self._work != Path():
            clean_network(self._programs)
            sweep(self._work)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def dead(self) -> str | None:
        """The name and last words of a process that ended by itself, or None while all run."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                return f"{name} ended with {process.returncode}; the end of its log:\n{self._tail(name)}"
        return None

    def _start(self) -> ClusterState:
        self._ports = dict(zip(("etcd", "peer", "registry", "api", "kubelet", "cm", "scheduler", "proxy", "metrics"),
                               free_ports(9), strict=True))  # fmt: skip
        self._tokens = {user: os.urandom(16).hex() for user in (*USERS, *COMPONENTS)}
        self._write_files()
        kernel_settings()
        clean_network(self._programs)
        self._start_etcd()
        self._start_registry()
        self._run("containerd", "containerd", "--config", str(self._work / "containerd.toml"), "--log-level", "warn")
        self._start_api_server()
        self._wait("registry", lambda: http_ok(f"{self._registry_url}/v2/"))
        images.push_pause(self._registry_url, "rollback-lib/pause", "1", self._programs.folder / "pause")
        self._wait("containerd", (self._work / "containerd.sock").exists)
        state = self._state()
        self._wait("kube-apiserver", state.answers)
        self._start_components()
        self._wait("kubelet", lambda: node_is_ready(state))
        return state

    def _write_files(self) -> None:
        work, write = self._work, self._write
        for folder in (
            "certs",
            "etcd",
            "registry",
            "cni",
            "hosts/docker.io",
            "hosts/_default",
            "kubeconfigs",
            "pod-logs",
        ):
            (work / folder).mkdir(parents=True)
        write("registry.yaml", REGISTRY_CONFIG.format(root=work / "registry", port=self._ports["registry"]))
        write("containerd.toml", CONTAINERD_CONFIG.format(work=work, snapshotter=snapshotter(work)))
        for name in ("docker.io", "_default"):
            write(f"hosts/{name}/hosts.toml", REGISTRY_HOSTS.format(url=self._registry_url))
        write("kubelet.yaml", KUBELET_CONFIG.format(work=work, port=self._ports["kubelet"]))
        write("cni/10-bridge.conflist", json.dumps(network(work)))
        write(
            "audit-policy.yaml", AUDIT_POLICY.format(components=", ".join(f'"{name}"' for name in COMPONENTS.values()))
        )
        write("tokens.csv", "".join(self._token_lines()))
        for user, token in self._tokens.items():
            values = {"context": CONTEXT, "server": self._server, "user": user, "token": token}
            write(f"kubeconfigs/{user}.yaml", KUBECONFIG.format(certificate=work / "certs" / "apiserver.crt", **values))
        key = ("openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", str(work / "certs" / "sa.key"))
        subprocess.run(key, check=True, capture_output=True)

    def _token_lines(self) -> Iterator[str]:
        for user, token in self._tokens.items():
            masters = user == "admin" or user in COMPONENTS
            yield f'{token},{COMPONENTS.get(user, user)},{user},"{"system:masters" if masters else "shop-team"}"\n'

    def _write(self, name: str, text: str) -> None:
        file = self._work / name
        file.touch(mode=0o600)
        file.write_text(text)

    @property
    def _server(self) -> str:
        return f"https://127.0.0.1:{self._ports['api']}"

    @property
    def _registry_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['registry']}"

    def _state(self) -> ClusterState:
        return ClusterState(
            pid=os.getpid(),
            version=kubernetes_version(),
            work=str(self._work),
            server=self._server,
            registry_url=self._registry_url,
            audit_log=str(self._work / "audit.log"),
            programs=str(self._programs.folder),
            kubeconfigs={user: str(self._work / "kubeconfigs" / f"{user}.yaml") for user in USERS},
            admin_token=self._tokens["admin"],
        )

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peer"))
        self._run(
            "etcd",
            "etcd",
            f"--data-dir={self._work / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        )

    def _start_registry(self) -> None:
        self._run("registry", "docker-registry", "serve", str(self._work / "registry.yaml"))

    def _start_api_server(self) -> None:
        certs = self._work / "certs"
        self._run(
            "kube-apiserver",
            self._programs.path("kube-apiserver"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._ports['api']}",
            f"--cert-dir={certs}",
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            f"--token-auth-file={self._work / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            f"--service-account-issuer={self._server}",
            f"--service-account-signing-key-file={certs / 'sa.key'}",
            f"--service-account-key-file={certs / 'sa.key'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=Hostname",
            "--allow-privileged=true",
            f"--audit-policy-file={self._work / 'audit-policy.yaml'}",
            f"--audit-log-path={self._work / 'audit.log'}",
            "--audit-log-mode=blocking",  # a line is there about when the answer is
            "--audit-log-maxsize=4096",  # never rotated away from under a reader
        )

    def _start_components(self) -> None:
        certs = self._work / "certs"
        self._run(
            "kube-controller-manager",
            self._programs.path("kube-controller-manager"),
            f"--kubeconfig={self._kubeconfig('controller-manager')}",
            "--controllers=*,-nodeipam",
            f"--service-account-private-key-file={certs / 'sa.key'}",
            f"--root-ca-file={certs / 'apiserver.crt'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['cm']}",
            f"--cert-dir={certs}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--node-monitor-period=1s",
        )
        self._run(
            "kube-scheduler",
            self._programs.path("kube-scheduler"),
            f"--kubeconfig={self._kubeconfig('scheduler')}",
            "--authentication-skip-lookup",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['scheduler']}",
            f"--cert-dir={certs}",
        )
        self._run(
            "kubelet",
            self._programs.path("kubelet"),
            f"--config={self._work / 'kubelet.yaml'}",
            f"--kubeconfig={self._kubeconfig('kubelet')}",
            f"--root-dir={self._work / 'kubelet'}",
            f"--cert-dir={self._work / 'kubelet-certs'}",
            f"--hostname-override={NODE}",
        )
        self._run(
            "kube-proxy",
            self._programs.path("kube-proxy"),
            f"--kubeconfig={self._kubeconfig('kube-proxy')}",
            f"--hostname-override={NODE}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={POD_RANGE}",
            "--conntrack-max-per-core=0",  # it may not be ours to set
            f"--healthz-bind-address=127.0.0.1:{self._ports['proxy']}",
            f"--metrics-bind-address=127.0.0.1:{self._ports['metrics']}",
        )

    def _kubeconfig(self, user: str) -> Path:
        return self._work / "kubeconfigs" / f"{user}.yaml"

    def _run(self, name: str, *command: str) -> None:
        # A group of its own: the Ctrl-C that ends us must not reach it before we have begun to clean up.
        with (self._work / f"{name}.log").open("wb") as log:
            environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self._work), "WORK": str(self._work)}
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                process_group=0,
                cwd=self._work,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTUP_LIMIT
        while not ready():
            if words := self.dead():
                raise ClusterError(words)
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{name} was not ready in {STARTUP_LIMIT:.0f} s; the end of its log:\n{self._tail(name)}"
                )
            time.sleep(0.05)

    def _tail(self, name: str) -> str:
        lines = (self._work / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


def take_machine_lock() -> int:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 100, 0).decode(errors="replace").strip()
        os.close(lock)
        raise ClusterError(
            f"a test cluster runs on this machine already, started by process {owner}; "
            "ROLLBACK_TEST_CLUSTER_STATE can name its state file"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def refuse_other_kubelets() -> None:
    """Two kubelets on one machine remove each other's containers, so a node that is in use is left alone."""
    for pid, command in processes():
        if Path(command[0]).name in ("kubelet", "k3s", "k0s") and PREFIX not in " ".join(command):
            raise ClusterError(
                f"this machine is a Kubernetes node (process {pid}, {command[0]}); use KUBECONFIG instead"
            )


def processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if command[0]:
                    yield int(folder.name), command


def sweep(work: Path) -> None:
    """Remove a cluster's folder and all that still hangs on it: processes, containers, mounts. Ours are named by it."""
    deadline = time.monotonic() + 10
    while doomed := belonging_to(work):
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break  # the folder can go all the same
        time.sleep(0.02)
    unmount(work)
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(f"{work}/"):
            link.unlink(missing_ok=True)
    for result in Path("/var/lib/cni/results").glob("*"):
        with suppress(OSError):
            if f"{work}/" in result.read_text(errors="replace"):
                result.unlink()
    shutil.rmtree(work, ignore_errors=True)


def belonging_to(work: Path) -> set[int]:
    """The processes whose command line names the folder, and the containers below those that are containerd's shims."""
    parents = dict[int, int]()
    shims, others = set[int](), set[int]()
    for pid, command in processes():
        if pid == os.getpid():
            continue
        with suppress(OSError, IndexError, ValueError):
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if any(argument == str(work) or f"{work}/" in argument for argument in command):
            (shims if "shim" in Path(command[0]).name else others).add(pid)
    below = set(shims)
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    zombies = {pid for pid in below | others if is_zombie(pid)}
    return (below | others) - zombies


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def unmount(work: Path) -> None:
    for _ in range(5):  # mounts can be stacked
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        below = [point for point in points if point.startswith(f"{work}/")]
        if not below:
            return
        subprocess.run(("umount", "--lazy", *reversed(below)), check=False, capture_output=True)


def clean_network(programs: Programs) -> None:
    """Remove the bridge and kube-proxy's rules, of this run or of one that was killed."""
    command = (programs.path("kube-proxy"), "--cleanup", "--proxy-mode=iptables")
    subprocess.run(command, check=False, capture_output=True, timeout=30)
    subprocess.run(("ip", "link", "delete", BRIDGE), check=False, capture_output=True)


def kernel_settings() -> None:
    """What a node needs from its kernel. Not set back: containers on this machine, if any, need the same."""
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text().strip() != "1":
            file.write_text("1")


def network(work: Path) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,  # a pod that calls its own Service
        "ipam": {
            "type": "host-local",
            "dataDir": str(work / "ipam"),
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "rollback-lib", "plugins": [bridge]}


def snapshotter(work: Path) -> str:
    """Overlay does not go on top of overlay, which is what a folder in a container usually is."""
    command = ("stat", "--file-system", "--format=%T", str(work))
    kind = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return "native" if kind == "overlayfs" else "overlayfs"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def http_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def node_is_ready(state: ClusterState) -> bool:
    """Ready, and with nothing that keeps pods away, which goes a moment later."""
    try:
        node = json.loads(state.get(f"/api/v1/nodes/{NODE}"))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise
    conditions = node["status"].get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("taints")


def refusal(programs: Programs) -> str | None:
    """Why a cluster cannot be started here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the test cluster needs root on Linux"
    if missing := programs.missing():
        return f"not built yet: {', '.join(missing)}; run `make cluster`"
    if packages := missing_packages():
        return f"Debian packages are missing: {', '.join(packages)}; run `make cluster`"
    return None


def up(state_file: Path) -> int:
    if (running := ClusterState.read(state_file)) is not None:
        print(f"a cluster is up already, process {running.pid}; its state is in {state_file}")
        return 0
    programs = Programs.cached()
    if reason := refusal(programs):
        print(reason, file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    plane = ControlPlane(programs)
    try:
        with plane as state:
            state.write(state_file)
            print(
                f"Kubernetes {state.version} is up after {time.monotonic() - started:.1f} s; Ctrl-C stops it",
                flush=True,
            )
            print(f"export KUBECONFIG={state.kubeconfigs['admin']}")
            print(f"kubectl    {state.kubectl}\nregistry   {state.registry_url}\naudit log  {state.audit_log}")
            print(f"state file {state_file}", flush=True)
            try:
                while not stop.wait(1.0):
                    if words := plane.dead():
                        raise ClusterError(words)
            finally:
                state_file.unlink(missing_ok=True)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The test cluster of this project.")
    parser.add_argument("command", choices=["up"], help="start it in the foreground, until Ctrl-C")
    parser.add_argument(
        "--state", type=Path, default=default_state_file(), help="the state file (default: %(default)s)"
    )
    return up(parser.parse_args(arguments).state)


if __name__ == "__main__":
    sys.exit(main())
