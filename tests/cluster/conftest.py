"""The cluster of the session: the one that is up, else one of its own, else somebody's by KUBECONFIG."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.build import Programs
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane, refusal
from tests.cluster.shop import Shop
from tests.cluster.state import ClusterState, default_state_file

ShopFactory = Callable[..., Shop]
OWNED = pytest.StashKey[ExitStack]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def must_run() -> bool:
    return os.environ.get("CI") == "true" or bool(os.environ.get("ROLLBACK_REQUIRE_CLUSTER"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Where the cluster is required, a skipped cluster test is a failure: nobody reads "skipped" in a green build."""
    report = yield
    if report.skipped and must_run() and not hasattr(report, "wasxfail") and item.get_closest_marker("cluster"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and here that is a failure: {report.longrepr[2]}"
    return report


def is_xdist_controller(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With xdist the controller starts the cluster that all workers share, before it starts them."""
    programs = Programs.cached()
    if not is_xdist_controller(session.config) or os.environ.get("ROLLBACK_TEST_KUBECONFIG") or refusal(programs):
        return
    if ClusterState.read(default_state_file()) is None:
        stack = ExitStack()
        session.config.stash[OWNED] = stack
        state = stack.enter_context(ControlPlane(programs))
        file = Path(state.work) / "state.json"
        state.write(file)
        os.environ["ROLLBACK_TEST_CLUSTER_STATE"] = str(file)  # the workers inherit it


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (stack := session.config.stash.get(OWNED, None)) is not None:
        stack.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if given := os.environ.get("ROLLBACK_TEST_KUBECONFIG", "").strip():
        kubectl = shutil.which("kubectl") or Programs.cached().path("kubectl")
        yield Cluster(kubectl, {"admin": given})
        return
    if (running := ClusterState.read(default_state_file())) is not None:
        yield Cluster.ours(running)
        return
    programs = Programs.cached()
    if reason := refusal(programs):
        pytest.skip(reason)
    with ControlPlane(programs) as state:
        yield Cluster.ours(state)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Iterator[ShopFactory]:
    """Makes shops, each with its repository written and in a namespace of its own. Takes what `Shop` takes."""
    with ExitStack() as stack:

        def make(**options: Any) -> Shop:
            name = stack.enter_context(cluster.namespace())
            made = Shop(cluster, name, tmp_path / name, **options)
            made.write_repo()
            return made

        yield make
