"""One sandbox a test session and worker, brought back to its first state for every test."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_lib.sandbox.cluster import ADMIN, Kept, Sandbox
from tests.cluster.build import Programs
from tests.sandbox.pictures import Pictures
from tests.sandbox.world import World
from tests.watched import WatchedSandbox

SPEED = 10.0
NAMESPACE = "shop"
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Sandbox, Kept, Pictures]]:
    pictures = Pictures()
    with WatchedSandbox(pictures.resolve, namespaces=(NAMESPACE,), speed=SPEED) as sandbox:
        yield sandbox, sandbox.snapshot(), pictures


@pytest.fixture
def pictures(running: tuple[Sandbox, Kept, Pictures]) -> Pictures:
    running[2].clear()
    return running[2]


@pytest.fixture
def sandbox(running: tuple[Sandbox, Kept, Pictures], pictures: Pictures) -> Sandbox:
    made, kept, _ = running
    made.set_users((ADMIN,))
    made.restore(kept)
    return made


@pytest.fixture
def kubectl_path() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl on the PATH")
    return found


@pytest.fixture
def kubeconfig(sandbox: Sandbox, tmp_path: Path) -> str:
    file = tmp_path / "kubeconfig"
    file.write_text(sandbox.kubeconfig_text(namespace=NAMESPACE))
    return str(file)


@pytest.fixture
def world(sandbox: Sandbox, pictures: Pictures, kubectl_path: str, kubeconfig: str) -> World:
    return World(sandbox.url, ADMIN.token, NAMESPACE, kubectl_path, kubeconfig, pictures.push)


@pytest.fixture(params=["path", pytest.param("built", marks=pytest.mark.long)])
def any_kubectl(request: pytest.FixtureRequest, kubeconfig: str, tmp_path: Path) -> Kubectl:
    """The kubectl on the PATH, and the one that the cluster tests have built, where they have."""
    found = shutil.which("kubectl") if request.param == "path" else Programs.cached().path("kubectl")
    if found is None or not os.access(found, os.X_OK):
        pytest.skip(f"no kubectl: {request.param}")

    def run(*arguments: str, input: str | None = None, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            (str(found), f"--kubeconfig={kubeconfig}", *arguments),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True, text=True, input=input, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, f"kubectl {' '.join(arguments)} [{done.returncode}]\n{done.stdout}{done.stderr}"
        return done

    return run
