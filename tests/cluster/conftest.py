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
from tests.cluster.control_plane import ClusterState, ControlPlane, default_state_file, refusal
from tests.cluster.shop import Shop

ShopFactory = Callable[..., Shop]


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
