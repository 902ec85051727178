"""What the cluster takes from the machine, and gives back: the lock, processes, mounts, network, ports."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.build import Programs
from tests.cluster.configuration import BRIDGE

PREFIX = "rollback-lib-cluster-"  # of the work folders; also how leftovers are recognised
LOCK = Path("/run/lock/rollback-lib-cluster")


class ClusterError(Exception):
    """The cluster did not start, or is not what it should be. The message has the end of the log that says why."""


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
