"""The guard of a deploy job, and the lock taken away by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.errors import LockedError, NotApprovedError, RefusedError
from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.releases import ledger
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.settings import model
from rollback_lib.operations import guard
from rollback_lib.operations.unlock import unlock
from rollback_lib.pipeline.holding import Holding
from rollback_lib.ports import Ports
from tests.fakes import FakeClock, FakeCluster, FakeGit, FakeProgress, FakeRecords, FakeRegistry, ports

SETTINGS = model.load(
    b"""
application: shop
manifests: {path: "k8s/{service}"}
images: {repository: "shop/{service}"}
environments: {prod: {namespace: shop}}
""",
    "rollback.yaml",
)
GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class World:
    def __init__(self) -> None:
        self.records, self.clock = FakeRecords(), FakeClock()

    def ports(self, **more: Any) -> Ports:
        mine = {"records": self.records, "clock": self.clock, **more}
        git, registry = mine.pop("git", None), mine.pop("registry", None)
        return ports(FakeCluster(), git or FakeGit({}), registry or FakeRegistry(), **mine)

    def run(self, name: str = "run-1") -> Holding:
        return Holding(self.ports(), "shop", Claim(holder=name, by="ana", since=self.clock.now().isoformat()))

    def go(self, release: str = "v2", *, wait: float = 0, hold: float = 0, **more: Any) -> str:
        accept = more.pop("accept", ())
        asked = guard.Options(SETTINGS, "prod", release, "ci/9", wait=wait, hold=hold, accept=accept)
        return guard.go(asked, self.ports(**more))

    def quarantines(self, release: str, *, commit: str = "", digests: tuple[str, ...] = ()) -> None:
        mark = ledger.Quarantine(
            application="shop", environment="prod", release=release, commit=commit, digests=digests,
            reason="checkout answered 500", by="ana", at="2026-02-28T23:10:00+00:00", run="run-1",
        )  # fmt: skip
        assert self.records.put(ledger.encode(mark)) is not None

    def records_good(self, release: str, digest: str) -> None:
        container = RecordedContainer(name="cart", image="shop/cart:prod", digest=digest, digests=(digest,))
        workload = ledger.RecordedWorkload(service="cart", kind="Deployment", name="cart", containers=(container,))
        entry = ledger.Entry(
            application="shop", environment="prod", release=release, commit="c" * 40, workloads=(workload,),
            recorded_at="2026-02-01T00:00:00+00:00", verified=True,
        )  # fmt: skip
        assert self.records.put(ledger.encode(entry)) is not None


@pytest.fixture
def world() -> World:
    return World()


def test_a_free_lock_lets_a_deploy_through_and_leaves_nothing(world: World) -> None:
    assert world.go().startswith("Go")
    assert world.records.kept == {}


def test_a_run_holds_a_deploy_back(world: World) -> None:
    world.run().take()
    with pytest.raises(LockedError, match="run run-1 by ana"):
        world.go()


def test_a_hold_keeps_runs_and_other_deploys_out_until_it_is_done(world: World) -> None:
    assert "until 13:00 UTC" in world.go(hold=3600)
    with pytest.raises(LockedError, match="deploy v2"):
        world.run().take()
    with pytest.raises(LockedError, match="deploy v2"):
        world.go("v3")
    assert world.go("v2", hold=3600).startswith("Go"), "the same deploy, asked again"
    assert "given the lock back" in guard.done("shop", world.ports(), "v2")
    world.run().take()


def test_a_hold_that_nobody_frees_ends_by_itself(world: World) -> None:
    world.go(hold=3600)
    world.clock.sleep(3601)
    assert world.go("v3", hold=60).startswith("Go")


def test_a_deploy_waits_for_a_run_that_ends_in_time(world: World) -> None:
    holding = world.run()
    holding.take()

    class Ending(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if (self.time - FakeClock().time).total_seconds() >= 60:
                holding.release()

    assert world.go(wait=600, clock=Ending()).startswith("Go")


def test_a_deploy_that_waits_in_vain_is_told_who_it_was(world: World) -> None:
    world.run().take()
    before = world.clock.now()
    with pytest.raises(LockedError, match="run run-1"):
        world.go(wait=600)
    assert (world.clock.now() - before).total_seconds() == 600


def test_done_frees_only_the_own_hold(world: World) -> None:
    world.go("v2", hold=60)
    with pytest.raises(LockedError, match="not this deploy's"):
        guard.done("shop", world.ports(), "v3")
    assert guard.done("shop", world.ports(), "v2")
    assert guard.done("shop", world.ports(), "v2") == "shop is not locked."


def test_a_cluster_that_does_not_answer_is_a_refusal(world: World) -> None:
    class Gone(FakeRecords):
        def get(self, kind: str, name: str) -> Any:
            raise RefusedError("the cluster does not answer")

    with pytest.raises(RefusedError):
        world.go(records=Gone())


def test_unlock_without_force_says_whose_it_is(world: World) -> None:
    world.run().take()
    with pytest.raises(LockedError, match="run run-1 by ana"):
        unlock("shop", world.ports(), force=False, yes=True)


@pytest.mark.parametrize(("answer", "gone"), [(True, True), (False, False), (None, False)])
def test_unlock_asks_and_says_whose_it_was(world: World, answer: bool | None, gone: bool) -> None:
    world.run().take()
    progress = FakeProgress(answer)
    if gone:
        said = unlock("shop", world.ports(approver=progress), force=True, yes=False)
        assert "It was held by run run-1 by ana" in said
        assert "rollback undo run-1" in said
        assert "resume" not in said, "a run without its lock is not gone on with"
    else:
        with pytest.raises(NotApprovedError):
            unlock("shop", world.ports(approver=progress), force=True, yes=False)
    assert "run run-1 by ana" in progress.asked[0]
    assert (world.records.get("Lease", lock.name("shop")) is None) == gone


def test_unlock_of_what_is_not_locked_says_so(world: World) -> None:
    assert unlock("shop", world.ports(), force=True, yes=True) == "shop is not locked."


def test_unlock_of_one_holder_frees_no_other(world: World) -> None:
    world.run().take()
    with pytest.raises(LockedError, match="not locked by run-0 any more, but by run run-1"):
        unlock("shop", world.ports(), force=True, yes=True, holder="run-0")
    assert world.records.get("Lease", lock.name("shop")) is not None
    assert "It was held by run run-1" in unlock("shop", world.ports(), force=True, yes=True, holder="run-1")


def test_unlock_says_so_where_another_takes_the_lock_meanwhile(world: World) -> None:
    """It said "Unlocked", whatever had become of it."""
    world.run().take()

    class Slow(FakeProgress):
        def ask(self, question: str) -> bool | None:
            world.records.delete(world.records.get("Lease", lock.name("shop")))
            world.go("v9", hold=60)
            return True

    with pytest.raises(LockedError, match="is by deploy v9"):
        unlock("shop", world.ports(approver=Slow()), force=True, yes=False)
    assert world.records.get("Lease", lock.name("shop")) is not None


def test_a_quarantined_release_is_not_deployed_again(world: World) -> None:
    world.quarantines("v2")
    with pytest.raises(RefusedError, match=r"v2 is quarantined since 2026-02-28 23:10 by ana: checkout") as caught:
        world.go("v2")
    (refusal,) = caught.value.refusals
    assert (refusal.code, "rollback quarantine v2 --lift" in refusal.fix) == ("quarantined", True)
    assert world.go("v3").startswith("Go")
    said = world.go("v2", accept=("quarantined",), hold=60)
    assert "Accepted. Go: shop is locked for the deploy of v2" in said


def test_c44_neither_its_commit_under_another_name_nor_its_image(world: World) -> None:
    git = FakeGit({"v1": {}, "v2": {}, "v2-hotfix": {}})
    world.quarantines("v2", commit=git.commit("v2-hotfix"), digests=(BAD,))
    world.records_good("v1", GOOD)
    with pytest.raises(RefusedError, match="v2-hotfix is quarantined"):
        world.go("v2-hotfix", git=git)
    same_image = FakeRegistry(**{"docker.io/shop/cart:v3": BAD, "shop/cart:v3": BAD})
    with pytest.raises(RefusedError, match=r"v3 has an image \(sha256:bbbbbbbbbbbb\.\.\.\) that is quarantined"):
        world.go("v3", git=git, registry=same_image)
    shared = FakeRegistry(**{"docker.io/shop/cart:v3": GOOD, "shop/cart:v3": GOOD})
    assert world.go("v3", git=git, registry=shared).startswith("Go")


def test_a_cluster_that_cannot_tell_is_a_no_that_can_be_accepted(world: World) -> None:
    class Unreadable(FakeRecords):
        def list(self, kind: str, labels: object) -> Any:
            raise RefusedError("cannot list configmaps")

    with pytest.raises(RefusedError, match="cluster-unknown"):
        world.go(records=Unreadable())
    assert "accepted" in world.go(records=Unreadable(), accept=("cluster-unknown",))
