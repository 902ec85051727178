"""A process killed at twenty-two moments of a run on a real cluster: `resume` ends each like an undisturbed run."""

import shutil
import signal
import subprocess
import sys

import pytest

from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Shop

SERVICES = ("order-service", "user-service")
HALF_WAY = 26  # something is changed, and the lock is held
FIRST, LAST = 11, 32  # from `isolate` to the last event, as counted by `killed`


def start(product: Product, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "tests.cluster.killed", str(number), *arguments),
        cwd=product.shop.repo,
        env=product.environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def records(shop: Shop) -> list[str]:
    """What a run that is not over keeps in the cluster: the lock, and its copy."""
    found = shop.cluster.get("leases,configmaps", namespace=shop.namespace)["items"]
    names = [f"{each['kind']}/{each['metadata']['name']}" for each in found]
    return [n for n in names if n.startswith(("Lease/", "ConfigMap/rollback-run-"))]


@pytest.mark.parametrize("part", range(4))
def test_every_moment_is_resumed_to_the_same_end(shop: ShopFactory, part: int) -> None:
    made = shop(services=SERVICES)
    made.rollback_yaml()
    made.deploy("v1.1.0")
    made.wait_ready()
    product = Product(made)
    for number in range(FIRST + part, LAST + 1, 4):
        made.deploy("v1.2.0")
        made.wait_ready()
        before = {s: len(made.replica_sets(s)) for s in SERVICES}
        ended = start(product, number, "run", "--to=v1.1.0", "--yes")
        assert ended.returncode == -signal.SIGKILL, f"moment {number}: {ended}"
        found = records(made)
        if number % 2 and any("ConfigMap" in r for r in found):
            shutil.rmtree(made.repo / ".rollback")  # another machine
        resumed = start(product, 0, "resume")
        assert resumed.returncode == 0, f"moment {number}: {resumed}"
        made.wait_ready()
        assert set(made.served_all().values()) == {"v1.1.0"}, f"moment {number}"
        assert records(made) == [], f"moment {number}"
        # v1.1.0's ReplicaSet is there from the first time on: it is scaled up again, or made once
        assert all(len(made.replica_sets(s)) - before[s] <= 1 for s in SERVICES), f"moment {number}"


@pytest.mark.parametrize("fresh", [True, False], ids=["in a fresh clone", "where it began"])
def test_a_run_that_others_came_after_is_not_revived(shop: ShopFactory, fresh: bool) -> None:
    made = shop(services=SERVICES)
    made.rollback_yaml()
    made.deploy("v1.1.0")
    made.wait_ready()
    made.deploy("v1.2.0")
    made.wait_ready()
    product = Product(made)
    ended = start(product, HALF_WAY, "run", "--to=v1.1.0", "--yes")
    assert ended.returncode == -signal.SIGKILL, ended
    run = product.latest.name
    assert '"done","stage":"apply","key":"apply/deployment/' in (product.latest / "journal.jsonl").read_text()
    product("unlock", "--force", "--yes")
    made.deploy("v1.2.0")
    made.wait_ready()
    again = start(product, 0, "run", "--to=v1.1.0", "--yes")
    assert again.returncode == 0, again
    made.deploy("v1.2.0")
    made.wait_ready()
    if fresh:
        shutil.rmtree(made.repo / ".rollback")
    resumed = start(product, 0, "resume", *(() if fresh else (run,)))
    assert resumed.returncode == 3, resumed
    assert run in resumed.stderr
    assert "came after it" in " ".join(resumed.stderr.split())
    assert set(made.served_all().values()) == {"v1.2.0"}
    assert [r for r in records(made) if r.startswith("Lease")] == []
