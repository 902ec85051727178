"""What the rules of the second set promise, and only whole runs or a real cluster would notice. See GUARANTEES.md."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from rollback_lib import wiring
from rollback_lib.adapters import bounded, process
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.run_directories import RunDirectories
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import FailedError, InterruptedRunError, RefusedError, RollbackError, StaleError
from rollback_lib.core.kube.objects import LAST_APPLIED, Object, fingerprint
from rollback_lib.core.plan.model import UPDATE, PlannedObject
from rollback_lib.core.run.changes import Change, CreateObject, DeleteObject
from rollback_lib.core.run.records import Request
from rollback_lib.operations import resume, undo
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.ports import RunStore
from rollback_lib.writes import making_again
from tests.adapters.test_kubectl import Eyes, config_map, kubectl, patch
from tests.core.report import stories
from tests.fakes import FakeActs, FakeClock
from tests.git_repository import RepositoryBuilder
from tests.pipeline.test_loop import SETTINGS, World
from tests.test_guarantees import CART, ONE_BY_ONE, USER, Beside, asked

posix = pytest.mark.skipif(os.name == "nt", reason="a script of a POSIX shell")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# -- on its way out, and made again


def test_what_somebody_deletes_in_the_last_moment_is_not_written_to(world: World) -> None:
    def delete(key: str) -> None:
        if key == USER:  # after we looked, before the request
            world.cluster.objects["Deployment", "user"]["metadata"]["deletionTimestamp"] = "2026-03-01T03:00:00Z"

    outcome = operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=Beside(world, before=delete)))
    assert outcome.ending.code == 4, "cart was written before"
    assert world.cluster.writes == [CART]


@posix
def test_a_write_that_met_what_is_on_its_way_out_is_stale_and_no_refusal(tmp_path: Path) -> None:
    """A refusal would say that the object is as it was; and it goes."""
    live = config_map("v2")
    live["metadata"] |= {"deletionTimestamp": "2026-03-01T03:00:00Z", "finalizers": ["example.com/hold"]}
    with pytest.raises(RollbackError) as found:
        kubectl(tmp_path, Eyes(live)).act(patch(live, config_map("v1")), RunDirectory(tmp_path / "run"))
    assert type(found.value) is StaleError
    assert "is on its way out" in str(found.value)


class Kept(FakeActs):
    """Keeps what was asked for."""

    def __init__(self, world: World) -> None:
        super().__init__(world.cluster)
        self.made: list[Change] = []

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        self.made.append(change)
        return super().act(change, scratch)


class Writing:
    """`Writer` that hands each change on."""

    def __init__(self, acts: Kept, scratch: RunStore) -> None:
        self.acts, self.scratch = acts, scratch

    def do(self, change: Change) -> None:
        self.acts.act(change, self.scratch)


@pytest.mark.parametrize(("kind", "kept"), [("StatefulSet", True), ("ConfigMap", False)])
def test_a_stateful_set_is_deleted_without_its_pods(world: World, kind: str, kept: bool) -> None:
    run, acts = world.run(), Kept(world)
    body: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web", "uid": "one"}, "spec": {"a": "old"}}
    world.cluster.put(body)
    new: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}, "spec": {"a": "new"}}
    run.write(f"before/{kind.lower()}-web.json", msgspec.json.encode(body))
    run.write(f"before/{kind.lower()}-web.anew.json", msgspec.json.encode(new))
    planned = PlannedObject(
        kind=kind, name="web", api_version="v1", change=UPDATE, file="k8s/web.yaml", recreate=True,
        before=fingerprint(world.cluster.objects[kind, "web"]), after=fingerprint(new),
    )  # fmt: skip
    making_again.make_again(run, world.ports(acts=acts), Writing(acts, run), planned, f"apply/{kind.lower()}/web")
    gone, made = acts.made
    assert isinstance(gone, DeleteObject)
    assert (gone.keep_pods, gone.uid) == (kept, "one")
    assert isinstance(made, CreateObject)
    assert made.manifest == new


# -- what an undo leaves


@posix
@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_recorded_already_is_created_to_the_letter(tmp_path: Path, recorded: bool) -> None:
    """`--save-config` would write the annotation anew, from the whole object."""
    made = config_map("v1")
    script = f"echo \"$@\" > {tmp_path / 'got'}\necho '{json.dumps(made)}'"
    change = CreateObject(key="apply/configmap/cart", kind="ConfigMap", name="cart", api_version="v1", before="",
                          after=fingerprint(made), manifest=made, recorded=recorded)  # fmt: skip
    kubectl(tmp_path, Eyes(None), script).act(change, RunDirectory(tmp_path / "run"))
    got = (tmp_path / "got").read_text()
    assert ("--save-config" in got) is not recorded
    assert ("--raw=/api/v1/namespaces/shop/configmaps?" in got) is recorded


def test_what_an_undo_makes_again_has_the_annotation_that_it_had(world: World) -> None:
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 0
    del world.cluster.objects["Deployment", "cart"]
    back = RunDirectory(world.folder / "back")
    back.put(msgspec.structs.replace(
        undo.request(world.run("undo").get(Request), run), undo_missing=("Deployment/cart",)
    ))  # fmt: skip
    assert undo.undo(back, run, world.ports()).ending.code == 0
    assert LAST_APPLIED not in (world.cluster.objects["Deployment", "cart"]["metadata"].get("annotations") or {})


# -- kubectl


@posix
def test_preferences_of_a_user_s_own_change_no_command(tmp_path: Path) -> None:
    """`~/.kube/kuberc` can make a dry run of a write, or make it as somebody else."""
    script = f"env > {tmp_path / 'got'}\necho '{json.dumps(config_map('v1'))}'"
    hand = kubectl(tmp_path, Eyes(None), script)
    hand.act(patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run"))
    assert {"KUBERC=off", "KUBECTL_KUBERC=false"} <= set((tmp_path / "got").read_text().splitlines())
    (tmp_path / "got").unlink()
    inside = KubectlExec(str(tmp_path / "kubectl"), lambda: (), "shop", {"PATH": os.environ["PATH"]})
    inside.run("cart-1", "cart", ("true",), 20)
    assert {"KUBERC=off", "KUBECTL_KUBERC=false"} <= set((tmp_path / "got").read_text().splitlines())


@posix
def test_what_kubectl_says_of_a_write_is_told_without_what_it_quotes(tmp_path: Path) -> None:
    said = 'The ConfigMap "cart" is invalid: data[PASSWORD]: Invalid value: "hunter2hunter2": must be shorter'
    hand = kubectl(tmp_path, Eyes(config_map("v2")), f"echo '{said}' >&2\nexit 1")
    with pytest.raises(RefusedError) as found:
        hand.act(patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run"))
    assert "hunter2" not in str(found.value)
    assert "must be shorter" in str(found.value)


# -- what is waited for


def test_a_wish_to_stop_does_not_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "AFTER_STOP", 0.05)
    answered, asked_for = threading.Event(), iter([""])
    began = time.monotonic()
    with pytest.raises((InterruptedRunError, TimeoutError)) as found:
        bounded.within(1.5, lambda _: answered.wait(5), lambda: next(asked_for, "Interrupted (SIGTERM)."))
    answered.set()
    assert type(found.value) is InterruptedRunError
    assert time.monotonic() - began < 1.0


def test_an_answer_has_a_total_time_and_a_size() -> None:
    answered, given = threading.Event(), 0

    def piece(size: int) -> bytes:
        nonlocal given
        given += size
        return bytes(size)

    with pytest.raises(TimeoutError):
        bounded.within(0.1, lambda _: answered.wait(1.5))
    answered.set()
    with pytest.raises(bounded.LargerError):
        bounded.Waited().read(piece, 1 << 20)
    assert given <= (1 << 20) + bounded.PIECE, "no more is read than that"


def test_a_write_is_waited_for_whoever_wants_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "AFTER_STOP", 0.0)
    asked_for, said = iter([""]), ""
    with contextlib.suppress(InterruptedRunError):
        said = bounded.within(
            5, lambda _: time.sleep(0.3) or "done", lambda: next(asked_for, "Interrupted."), is_write=True
        )
    assert said == "done"


@posix
def test_nobody_waits_for_what_a_program_has_started() -> None:
    began = time.monotonic()
    with pytest.raises(process.subprocess.TimeoutExpired):
        process.run(("sh", "-c", "sleep 4 & wait"), {"PATH": "/usr/bin:/bin"}, timeout=0.2)
    assert time.monotonic() - began < 1.9, "it holds the output open"


# -- a run that is entered again


def half_done(world: World, clock: FakeClock) -> RunDirectory:
    """A run that has changed the cart and failed, and whose lock somebody has taken away."""
    asked(world, ONE_BY_ONE)
    run = RunDirectory(world.folder / "run", clock.now)
    acts = FakeActs(world.cluster, fail={2: FailedError("the network is gone")})
    assert operation.execute(run, world.ports(acts=acts, clock=clock)).ending.code == 4
    del world.records.kept["Lease", "rollback-shop"]
    return run


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except RefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("way", ["resume", "run", "stage"])
def test_a_run_whose_lock_was_taken_away_does_not_go_on(world: World, way: str) -> None:
    clock = FakeClock()
    run = half_done(world, clock)
    clock.sleep(300)  # nothing can be on its way any more
    ways: dict[str, Callable[[], object]] = {
        "resume": lambda: resume.resume(run, world.ports(clock=clock)),
        "run": lambda: operation.execute(run, world.ports(clock=clock)),
        "stage": lambda: operation.one(run, world.ports(clock=clock), "apply"),
    }
    assert "its lock was taken away" in refused(ways[way])
    assert world.cluster.writes == [CART]


def test_a_run_that_another_one_came_after_does_not_go_on(world: World) -> None:
    clock, early, late = FakeClock(), world.run("a"), world.run("b")
    assert loop.advance(early, world.ports(clock=clock), until="approve").code == 0
    clock.sleep(60)
    assert operation.execute(late, world.ports(clock=clock)).ending.code == 0
    before = list(world.cluster.writes)
    assert "run b came after it" in refused(lambda: resume.resume(early, world.ports(clock=clock)))
    assert world.cluster.writes == before


@pytest.mark.parametrize("own", [True, False])
def test_an_approval_that_somebody_brought_here_lets_nothing_be_written(world: World, own: bool) -> None:
    run = world.run()
    assert loop.advance(run, world.ports(), until="approve").code == 0
    said = refused(lambda: resume.resume(run, world.ports(), own=own))
    assert ("its directory was not made by a run on this machine" in said) is not own
    assert bool(world.cluster.writes) is own


@pytest.mark.parametrize("whose", ["ours", "committed", "another clone's"])
def test_whose_a_run_directory_is(tmp_path: Path, whose: str) -> None:
    shop = RepositoryBuilder(tmp_path / "shop")
    shop.commit({"rollback.yaml": SETTINGS})
    place = shop.folder / ".rollback/runs/one"
    where = tmp_path / "other" if "another" in whose else shop.folder
    git = wiring.LazyRepository(shop.folder, offline=True)
    runs = RunDirectories(shop.folder, git.tracks)
    run = runs.new(msgspec.structs.replace(stories.request(), repository=str(where)), str(place))
    if whose == "committed":
        shop.git("add", "--force", ".rollback/runs/one")
    assert runs.is_own(run) is (whose == "ours")
