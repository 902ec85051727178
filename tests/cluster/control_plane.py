"""A real Kubernetes of one node on loopback: etcd, registry, control plane, containerd, kubelet and kube-proxy.

    python tests/cluster/control_plane.py up      # in the foreground, until Ctrl-C

Everything it writes is in one folder of its own, and every process it starts is named by that folder, so that what a
killed run left behind can be found and removed by the next one. One such cluster runs on a machine at a time: two
kube-proxies would undo each other's rules.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cluster import images
from tests.cluster.build import Programs, kubernetes_version, missing_packages
from tests.cluster.configuration import (
    AUDIT_POLICY,
    COMPONENTS,
    CONTAINERD_CONFIG,
    CONTEXT,
    KUBECONFIG,
    KUBELET_CONFIG,
    NODE,
    POD_RANGE,
    REGISTRY_CONFIG,
    REGISTRY_HOSTS,
    SERVICE_RANGE,
    USERS,
    network,
)
from tests.cluster.machine import (
    PREFIX,
    ClusterError,
    clean_network,
    free_ports,
    kernel_settings,
    refuse_other_kubelets,
    snapshotter,
    sweep,
    take_machine_lock,
)
from tests.cluster.state import ClusterState, default_state_file

STARTUP_LIMIT = 90.0


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
