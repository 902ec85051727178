"""Build the test cluster's programs once, from published sources, into a cache folder.

Kubernetes comes as Go modules (go.mod beside this file pins it), everything else from Debian. Nothing here needs
Docker, and nothing is downloaded but through the ordinary clients of Go and Debian. Run it with `make cluster`.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = ("kubectl", "kube-apiserver", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")
PAUSE = "pause"

# Debian's package -> what shows that it is there. A pattern with a slash is a file, anything else a program.
PACKAGES: Mapping[str, str] = {
    "etcd-server": "etcd",
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "docker-registry": "docker-registry",
    "busybox-static": "/usr/share/doc/busybox-static",  # Debian's other busybox has the same name and needs a libc
    "iptables": "iptables",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "git": "git",
    "gcc": "gcc",
    "libc6-dev": "/usr/lib/*/libc.a",
}
SERVICES = ("etcd", "containerd", "docker-registry")  # what some of these packages would start at install
POLICY = Path("/usr/sbin/policy-rc.d")


def kubernetes_version() -> str:
    """The pinned version, such as `v1.36.3`, from go.mod: the only place that says it."""
    match = re.search(r"^require k8s\.io/kubernetes (v\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit("go.mod does not say which k8s.io/kubernetes it requires")
    return match.group(1)


@dataclass(frozen=True)
class Programs:
    """The folder with the programs that were built, or will be."""

    folder: Path

    @classmethod
    def cached(cls) -> "Programs":
        given = os.environ.get("ROLLBACK_TEST_CLUSTER_CACHE", "").strip()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        root = Path(given) if given else cache / "rollback-lib" / "cluster"
        return cls(root / kubernetes_version())

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in (*COMMANDS, PAUSE) if not (self.folder / name).is_file())


def found(evidence: str) -> bool:
    return bool(glob.glob(evidence)) if "/" in evidence else shutil.which(evidence) is not None


def missing_packages() -> tuple[str, ...]:
    return tuple(package for package, evidence in PACKAGES.items() if not found(evidence))


def install(packages: tuple[str, ...]) -> None:
    """Install Debian packages, as root and only when told to: this changes the machine."""
    command = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(packages)}"
    allowed = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
    if not allowed or os.geteuid() != 0:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise SystemExit(
            f"The test cluster needs Debian packages that are not installed: {', '.join(packages)}.\n"
            f"Install them with:\n\n    {sudo}sh -c '{command}'\n\n"
            "or run this again as root with INSTALL=1. (Three of them carry a service that the tests do not need: "
            f"{', '.join(SERVICES)}.)"
        )
    say(f"installing {', '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ours = not POLICY.exists()  # Debian's way to say "do not start services"; 101 is its word for "forbidden"
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        subprocess.run(("apt-get", "update", "--quiet=2"), check=True, env=environment)
        options = ("--yes", "--quiet=2", "--no-install-recommends")
        subprocess.run(("apt-get", "install", *options, *packages), check=True, env=environment)
    finally:
        if ours:
            POLICY.unlink()
    if shutil.which("systemctl"):  # nor at the next boot; without systemd running this says so and does no harm
        subprocess.run(("systemctl", "disable", "--quiet", *SERVICES), check=False, capture_output=True)


def build(programs: Programs) -> None:
    programs.folder.mkdir(parents=True, exist_ok=True)
    for name in programs.missing():
        started = time.monotonic()
        say(f"building {name}")
        unfinished = programs.folder / f".{name}.{os.getpid()}"
        try:
            if name == PAUSE:
                compile_pause(unfinished)
            else:
                compile_kubernetes(name, unfinished)
            unfinished.rename(programs.folder / name)  # so that an interrupted build leaves nothing that looks ready
        finally:
            unfinished.unlink(missing_ok=True)
        say(f"built {name} in {time.monotonic() - started:.0f} s")


def compile_pause(target: Path) -> None:
    subprocess.run(("gcc", "-static", "-Os", "-s", "-o", str(target), str(HERE / "pause.c")), check=True)


def compile_kubernetes(name: str, target: Path) -> None:
    version = kubernetes_version()
    major, minor = version.removeprefix("v").split(".")[:2]
    # Without these, every client sees v0.0.0 and warns about the skew.
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    subprocess.run(
        (
            "go",
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
            str(target),
            f"k8s.io/kubernetes/cmd/{name}",
        ),
        check=True,
        cwd=HERE,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
    )


def say(text: str) -> None:
    print(f"[cluster] {text}", flush=True)


def main() -> int:
    started = time.monotonic()
    programs = Programs.cached()
    packages = missing_packages()
    if packages:
        install(packages)
    missing = programs.missing()
    if not missing:
        say(f"Kubernetes {kubernetes_version()} is built already: {programs.folder}")
        return 0
    if any(name in COMMANDS for name in missing) and shutil.which("go") is None:
        raise SystemExit(
            "The test cluster is compiled with Go (the version that tests/cluster/go.mod says, or newer): install it."
        )
    say(f"building {len(missing)} programs of Kubernetes {kubernetes_version()} into {programs.folder}")
    say("the first time takes about 10 minutes on two cores and 2 GB of memory; later it takes seconds")
    try:
        build(programs)
    except subprocess.CalledProcessError as error:
        say(f"failed: {' '.join(map(str, error.cmd[:2]))} ended with {error.returncode}; its own words are above")
        return 1
    say(f"done in {time.monotonic() - started:.0f} s: {programs.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
