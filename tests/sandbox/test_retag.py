"""After a retag the team's ordinary deploy of the old manifests, which name `:prod`, brings the good bits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_lib.sandbox.playground import Kept, Playground
from rollback_lib.sandbox.registry import Fault
from rollback_lib.sandbox.shop import BAD, GOOD, ORGANIZATION, SERVICES
from tests.command_line import ROOT

pytestmark = pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")


@pytest.fixture(scope="module")
def failed() -> Iterator[tuple[Playground, Kept]]:
    """v1.1.0, then v1.2.0 over the same tag."""
    with Playground() as made:
        made.deploy(GOOD)
        made.deploy(BAD)
        yield made, made.keep_state()


@pytest.fixture
def shop(failed: tuple[Playground, Kept]) -> Iterator[Playground]:
    made, kept = failed
    made.put_back(kept)
    yield made
    made.registry.faults = None


def rollback(shop: Playground, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "rollback_lib", *arguments)
    environment = {**shop.environment(), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=shop.repository, env=environment, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def deploy_of_old_manifests(shop: Playground) -> set[str]:
    """What an ordinary deploy of v1.1.0's manifests leaves running: fresh pulls of `:prod`, kubectl apply, new pods."""
    shop.cluster.pull(*(f"{ORGANIZATION}/{service}:prod" for service in SERVICES))
    shop.apply(GOOD)
    shop.must("rollout", "restart", "deployment")
    shop.must(*shop.rollout_status)
    return {service.version for service in shop.services()}


def tags(shop: Playground) -> set[bool]:
    """Whether `:prod` of each service is the good image."""
    return {
        shop.registry.digest(f"{ORGANIZATION}/{s}", "prod") == shop.registry.digest(f"{ORGANIZATION}/{s}", GOOD)
        for s in SERVICES
    }


@pytest.mark.long
def test_without_a_retag_the_next_deploy_brings_the_failure_back(shop: Playground) -> None:
    done = rollback(shop, "run", "--to", GOOD, "--yes")
    assert done.returncode == 0, done.stderr
    assert "the next ordinary deploy brings it back" in done.stdout
    assert deploy_of_old_manifests(shop) == {BAD}


@pytest.mark.long
def test_a_run_with_retag_keeps_the_next_deploy_good(shop: Playground) -> None:
    done = rollback(shop, "run", "--to", GOOD, "--yes", "--retag")
    assert done.returncode == 0, done.stderr
    assert f"{len(SERVICES)} tags were moved; traffic is open." in done.stdout
    assert "brings it back" not in done.stdout
    assert tags(shop) == {True}
    assert deploy_of_old_manifests(shop) == {GOOD}
    assert rollback(shop, "verify", "--to", GOOD).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("to", [(), ("--to", GOOD)], ids=["what-runs", "release"])
def test_retag_by_itself_after_a_rollback(shop: Playground, to: tuple[str, ...]) -> None:
    assert rollback(shop, "run", "--to", GOOD, "--yes").returncode == 0
    before = shop.specs()
    looked = rollback(shop, "retag", *to, "--dry-run")
    assert (looked.returncode, tags(shop)) == (0, {False})
    assert f"Only looked: {len(SERVICES)} tags to move. Nothing was changed." in looked.stdout
    assert f"({BAD}) → " in looked.stdout
    assert max(map(len, looked.stdout.splitlines())) <= 80
    one = rollback(shop, "retag", *to, "--service", SERVICES[0], "--dry-run")
    assert "Only looked: 1 tag" in one.stdout, "of the services that are named"
    asked = rollback(shop, "retag", *to)
    assert (asked.returncode, tags(shop)) == (7, {False})
    assert "use --yes" in asked.stderr
    done = rollback(shop, "retag", *to, "--yes", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["moved"]) == len(SERVICES)
    assert (Path(told["run_dir"]) / "journal.jsonl").read_text().count('"done"') == len(SERVICES)
    assert tags(shop) == {True}
    assert shop.specs() == before, "the cluster is not changed"
    again = rollback(shop, "retag", *to, "--yes")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "Nothing to do. No tag was moved.")
    assert "last run  to v1.1.0" in rollback(shop, "status").stdout, "a retag is no run"
    assert deploy_of_old_manifests(shop) == {GOOD}


@pytest.mark.long
def test_credentials_that_may_only_read_leave_a_good_rollback_good(shop: Playground) -> None:
    shop.registry.faults = lambda method, path: Fault("status", 403) if method == "PUT" else None
    done = rollback(shop, "run", "--to", GOOD, "--yes", "--retag")
    assert done.returncode == 4, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"prod runs {GOOD}, {len(SERVICES)} of {len(SERVICES)} ready. But tags were to be moved")
    assert "may not push here" in last
    assert rollback(shop, "verify", "--to", GOOD).returncode == 0
    refused = rollback(shop, "retag", "--yes")
    assert (refused.returncode, tags(shop)) == (3, {False})
    assert "The cluster was not changed." in refused.stdout
    assert "✗" in refused.stderr, "what went wrong is told without -v"
    assert "may not push here" in refused.stderr
