"""How a run can be left, and what each next command makes of it."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import RefusedError, UsageError
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.report.last_line import ways_on
from rollback_lib.core.run import cluster_copy, lock
from rollback_lib.core.run.changes import WRITE_LIMIT, Change
from rollback_lib.core.run.journal import LOCK_RELEASED, Event, Mark
from rollback_lib.core.run.records import Request
from rollback_lib.core.traffic import slots
from rollback_lib.operations import reopen, resume, undo
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs, FakeClock, FakeProgress, session
from tests.pipeline.test_loop import GOOD
from tests.pipeline.test_loop import World as Shop
from tests.test_traffic import Watching, World, service

CART, USER = "apply/deployment/cart", "apply/deployment/user"


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def left(world: Shop) -> set[str]:
    """What runs have left in the cluster: the lock, and copies."""
    return {f"{k}/{n}" for k, n in world.records.kept if k == "Lease" or n.startswith("rollback-run-")}


def killed(world: World, key: str, **values: Any) -> RunDirectory:
    """A run whose process dies right after this write, before it can say so."""

    def die(done: str) -> None:
        if done == key:
            raise Died

    run = world.run(**values)
    with pytest.raises(Died):
        operation.execute(run, world.ports(acts=Watching(world.cluster, die)))
    return run


def later() -> FakeClock:
    clock = FakeClock()
    clock.time += timedelta(minutes=10)
    return clock


def reopens(world: World) -> None:
    ports = world.ports(clock=later())
    made = session(world.settings, ports, trial=lambda _: RunDirectory(world.folder / "scratch"))
    assert reopen.reopen(made, yes=True).code == 0
    assert not slots.closing(world.service)


def resumes(world: World, run: RunDirectory, **more: Any) -> Outcome:
    return resume.resume(run, world.ports(**{"clock": later(), **more}))


def undoes(world: World, of: RunDirectory, **more: Any) -> Outcome:
    back = RunDirectory(world.folder / "undo")
    back.put(undo.request(world.run("new", isolate=None).get(Request), of))
    return undo.undo(back, of, world.ports(**{"clock": later(), **more}))


# -- D40: the cluster is known by its namespace's uid


class Tunnel:
    """The same cluster at another address."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def identity(self) -> Any:
        return msgspec.structs.replace(self._cluster.identity(), server="https://tunnel:6443")


def test_d40_another_address_of_the_same_cluster_is_said_and_resumed(world: World) -> None:
    run, progress = killed(world, CART), FakeProgress()
    ports = world.ports(clock=later(), progress=progress)
    outcome = resume.resume(run, replace(ports, cluster=Tunnel(world.cluster)))
    assert (outcome.code, outcome.ending.traffic) == (0, "open"), outcome.ending
    assert any("https://tunnel:6443" in line and "https://fake" in line for line in progress.lines)


def test_d40_another_namespace_at_the_same_address_is_not_the_plan_s(world: World) -> None:
    run = killed(world, CART)
    world.cluster.uid, written = "another", list(world.cluster.writes)
    outcome = resumes(world, run)
    assert outcome.code == 5
    assert "this is another at" in outcome.ending.error
    assert world.cluster.writes == written


# -- D41: every lock has an end


@pytest.mark.parametrize("moment", ["close/service/cart/1", CART])
def test_d41_a_run_that_died_behind_closed_doors_and_was_reopened_is_resumed_behind_closed_doors(
    world: World, moment: str
) -> None:
    run = killed(world, moment)
    reopens(world)
    held: list[tuple[str, bool]] = []
    acts = Watching(world.cluster, lambda key: held.append((key, slots.holds(world.service))))
    outcome = resumes(world, run, acts=acts)
    assert (outcome.code, outcome.ending.traffic) == (0, "open"), outcome.ending
    assert all(shut for key, shut in held if key.startswith("apply/"))
    assert any(key.startswith("apply/") for key, _ in held)
    assert left(world) == set()


@pytest.mark.parametrize("moment", ["close/service/cart/1", CART])
def test_d41_it_is_undone_and_its_lock_is_free(world: World, moment: str) -> None:
    run = killed(world, moment)
    reopens(world)
    outcome = undoes(world, run)
    assert (outcome.code, outcome.ending.traffic) == (0, "open"), outcome.ending
    assert left(world) == set()
    assert run.events()[-1].key == LOCK_RELEASED


@pytest.mark.parametrize("moment", ["close/service/cart/1", CART])
def test_d41_it_is_undone_from_its_copy_whose_journal_ends_where_the_lock_was_taken(world: World, moment: str) -> None:
    before = copy.deepcopy(world.service)
    killed(world, moment)
    found = world.records.get("ConfigMap", cluster_copy.name("run"))
    assert found is not None
    elsewhere = RunDirectory(world.folder / "elsewhere")
    for name, data in cluster_copy.unpack(found).items():
        elsewhere.write(name, data)
    outcome = undoes(world, elsewhere)
    assert (outcome.code, outcome.ending.traffic) == (0, "open"), outcome.ending
    assert world.service["spec"] == before["spec"]
    assert left(world) == set()


def test_d41_the_journal_says_released_only_where_the_lock_was_given_back(world: World) -> None:
    run = killed(world, "close/service/cart/1")
    reopens(world)
    world.records.delete = lambda record: False  # type: ignore[method-assign]
    back = RunDirectory(world.folder / "undo")
    back.put(undo.request(world.run("new", isolate=None).get(Request), run))
    outcome = undo.undo(back, run, world.ports(clock=later()))
    released = [e for e in (*back.events(), *run.events()) if (e.key, e.mark) == (LOCK_RELEASED, Mark.DONE)]
    assert ("Lease/rollback-shop" in left(world)) <= (not released), outcome.ending


@pytest.mark.parametrize("take_over", [True, False])
def test_d41_a_second_run_that_has_nothing_to_do_says_whose_lock_is_there_and_how_to_end_it(
    world: World, take_over: bool
) -> None:
    run = world.run(isolate=False)
    for stage in operation.STAGES[: operation.STAGES.index("verify")]:
        operation.one(run, world.ports(), stage)
    assert left(world) == {"Lease/rollback-shop", "ConfigMap/rollback-run-run"}
    outcome = operation.execute(world.run("second", isolate=False, take_over=take_over), world.ports(clock=later()))
    assert (outcome.code, outcome.ending.changed) == (0 if take_over else 6, ())
    assert ways_on(outcome.ending, outcome.plan)[0] == ("resume", "run")
    for way in ("`rollback resume run`", "`rollback undo run`", "`rollback unlock --force`"):
        assert way in outcome.text
    assert not take_over or "LOCKED by run run" in outcome.text
    assert resumes(world, run).code == 0
    assert left(world) == set()


def test_d41_an_undo_that_was_killed_and_resumed_ends_both(world: World) -> None:
    run = killed(world, CART)

    def die(done: str) -> None:
        if done.startswith("apply/"):
            raise Died

    back = RunDirectory(world.folder / "undo")
    back.put(undo.request(world.run("new", isolate=None).get(Request), run))
    with pytest.raises(Died):
        undo.undo(back, run, world.ports(acts=Watching(world.cluster, die), clock=later()))
    assert resume.is_open(run)
    made = session(world.settings, world.ports(clock=later()), runs=[run, back])
    outcome = resume.resume(back, world.ports(clock=later()), of=resume.undone_by(made, back))
    assert outcome.code == 0, outcome.ending
    assert left(world) == set()
    assert not resume.is_open(run)
    assert not resume.is_open(back)
    assert resume.find(made, "") is None


# -- D44: a run directory that is named again


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"to": "v1"}, {"to": "v1"}, "which is over"),
        ({"to": "v1"}, {"to": "v0"}, "which is over"),
        ({"to": "v1", "dry_run": True}, {"to": "v1"}, "which only looks"),
        ({"to": "v1", "yes": False}, {"to": "v0"}, "something else"),
        ({"to": "v1", "yes": False}, {"to": "v1", "service": ["cart"]}, "something else"),
    ],
)
def test_d44_a_run_directory_holds_one_run(
    world: World, first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    run = world.run(**first)
    operation.execute(run, world.ports())
    asked = world.run("another", **second).get(Request)
    with pytest.raises(UsageError, match=said) as refused:
        operation.asked_again(run, asked)
    assert "holds run run, to v1" in str(refused.value)


def test_d44_the_same_request_goes_on_where_its_run_stopped(world: World) -> None:
    run = world.run(yes=False)
    assert operation.execute(run, world.ports()).code == 7
    operation.asked_again(run, world.run("again", yes=False).get(Request))


# -- D47: the run directory is taken away


class Vanishing(RunDirectory):
    """Is taken away once it has this many events, or left without its first file."""

    def __init__(self, root: Path, number: int, *, whole: bool) -> None:
        super().__init__(root)
        self._number, self._whole = number, whole

    def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
        event = super().append(mark, stage, **fields)
        if event.seq == self._number:
            if self._whole:
                shutil.rmtree(self.root)
            else:
                (self.root / "run.json").unlink()
        return event


def events(tmp_path: Path) -> int:
    world = World(tmp_path / "count")
    run = world.run()
    assert operation.execute(run, world.ports()).code == 0
    return len(run.events())


@pytest.mark.long
@pytest.mark.parametrize("whole", [True, False], ids=["the whole directory", "run.json first"])
def test_d47_where_the_directory_goes_the_code_is_true_and_the_cluster_can_finish_it(
    tmp_path: Path, whole: bool
) -> None:
    for number in range(events(tmp_path)):
        world = World(tmp_path / f"at-{number}")
        world.run()
        run = Vanishing(world.folder / "run", number, whole=whole)
        outcome = operation.execute(run, world.ports())
        wrote, shut = bool(world.cluster.writes), slots.closing(world.service) is not None
        if outcome.code == 0:
            assert left(world) == set(), number
            continue
        assert (outcome.code in (4, 5)) == wrote, (number, outcome.ending)
        assert (outcome.code == 5) == shut, (number, outcome.ending)
        if not left(world):
            assert not outcome.ending.locked, (number, outcome.ending)
            assert outcome.ending.traffic in (("open",) if wrote else ("open", "unknown")), (number, outcome.ending)
            continue
        assert "`rollback resume run` goes on" in outcome.text, (number, outcome.text)
        found = world.records.get("ConfigMap", cluster_copy.name("run"))
        assert found is not None, number
        elsewhere = RunDirectory(world.folder / "elsewhere")
        for name, data in cluster_copy.unpack(found).items():
            elsewhere.write(name, data)
        resumed = resumes(world, elsewhere)
        assert (resumed.code, resumed.ending.traffic) == (0, "open"), (number, resumed.ending)
        assert left(world) == set(), number


def test_d47_after_a_write_it_is_never_said_that_nothing_was_changed(world: World) -> None:
    world.run(isolate=False)
    run = RunDirectory(world.folder / "run")

    def vanish(key: str) -> None:
        shutil.rmtree(run.root, ignore_errors=True)

    try:
        outcome = operation.execute(run, world.ports(acts=Watching(world.cluster, vanish)))
    except UsageError as error:
        raise AssertionError("it reads as if it had never begun") from error
    assert outcome.code == 4
    assert "Nothing was changed" not in outcome.text
    assert "was taken away while the run was at work" in outcome.ending.error
    assert "`rollback resume run` goes on" in outcome.text
    assert not run.root.exists(), "nothing is begun anew in its place"
    assert left(world) == {"Lease/rollback-shop", "ConfigMap/rollback-run-run"}


# -- D48: half states


def test_d48_a_closed_service_that_somebody_deletes_is_not_open(world: World) -> None:
    def gone(key: str) -> None:
        if key == USER:
            del world.cluster.objects["Service", "cart"]

    run = world.run()
    outcome = operation.execute(run, world.ports(acts=Watching(world.cluster, gone)))
    assert (outcome.code, outcome.ending.traffic) == (5, "closed"), outcome.ending
    assert "Service/cart is gone" in outcome.text
    assert "traffic is open" not in outcome.text
    assert "rollback reopen" not in outcome.text
    world.cluster.put(service({"app": "cart"}))
    resumed = resumes(world, run)
    assert (resumed.code, resumed.ending.traffic) == (0, "open"), resumed.ending
    assert left(world) == set()


def test_d48_a_lock_that_is_taken_away_meanwhile_does_not_stay(world: World) -> None:
    clock = FakeClock()

    def unlocked(key: str) -> None:
        if key == "close/service/cart/1":
            world.records.kept.pop(("Lease", "rollback-shop"), None)
            clock.time += timedelta(seconds=30)

    run = world.run()
    outcome = operation.execute(run, world.ports(acts=Watching(world.cluster, unlocked), clock=clock))
    assert outcome.code == 5, outcome.ending
    assert "The lock stays" not in outcome.text
    assert not outcome.ending.locked
    assert ways_on(outcome.ending, outcome.plan)[0] == ("reopen",)
    with pytest.raises(RefusedError, match="rollback reopen"):
        resumes(world, run)
    reopens(world)
    again = operation.execute(world.run("run-again"), world.ports(clock=later()))
    assert (again.code, again.ending.traffic) == (0, "open"), again.ending


@pytest.mark.parametrize("when", ["before it is written", "right after", "it dies right after"])
def test_d48_a_label_that_somebody_adds_is_theirs_and_fails_nothing(world: World, when: str) -> None:
    class Labelled(FakeActs):
        def act(self, change: Change, scratch: RunStore) -> Object | None:
            if change.key == CART and when == "before it is written":
                self.label()
            done = super().act(change, scratch)
            if change.key == CART and when != "before it is written":
                self.label()
                if "dies" in when:
                    raise Died
            return copy.deepcopy(self.cluster.objects["Deployment", "cart"]) if change.key == CART else done

        def label(self) -> None:
            self.cluster.objects["Deployment", "cart"]["metadata"]["labels"] = {"looked-at-by": "eva"}

    run, acts = world.run(isolate=False), Labelled(world.cluster)
    if "dies" in when:
        with pytest.raises(Died):
            operation.execute(run, world.ports(acts=acts))
        outcome = resumes(world, run)
    else:
        outcome = operation.execute(run, world.ports(acts=acts))
    assert outcome.code == 0, outcome.ending
    assert world.cluster.objects["Deployment", "cart"]["metadata"]["labels"] == {"looked-at-by": "eva"}
    assert left(world) == set()


def test_d48_a_label_of_the_plan_s_own_that_somebody_changes_is_not_theirs(world: World) -> None:
    name, labelled = "k8s/cart/d.yaml", b"metadata: {name: cart, labels: {tier: v1}}"
    files = world.git.releases["v1"]
    world.git.releases["v1"] = {**files, name: files[name].replace(b"metadata: {name: cart}", labelled)}

    def changes(key: str) -> None:
        if key == CART:
            world.cluster.objects["Deployment", "cart"]["metadata"]["labels"]["tier"] = "mine"

    outcome = operation.execute(world.run(isolate=False), world.ports(acts=Watching(world.cluster, changes)))
    assert outcome.code == 4, outcome.ending
    assert "Deployment/cart is not what the plan says any more" in outcome.ending.error


@pytest.mark.parametrize("behind", [-7200, -30, 0, 900])
def test_d48_a_clock_that_is_wrong_makes_no_wait_longer_than_a_write(world: World, behind: int) -> None:
    before = copy.deepcopy(world.cluster.objects["Deployment", "cart"])
    run, clock = killed(world, CART), FakeClock()
    world.cluster.objects["Deployment", "cart"] = before  # the write has not arrived, and may yet
    clock.time += timedelta(seconds=-behind)
    until, sleep = clock.time + timedelta(seconds=WRITE_LIMIT + lock.DEAD_AFTER + 60), clock.sleep

    def sleeps(seconds: float) -> None:
        sleep(seconds)
        assert clock.time < until, "it waits for longer than a write may take"

    clock.sleep = sleeps  # type: ignore[method-assign]
    outcome = resumes(world, run, clock=clock)
    assert outcome.code == 0, outcome.ending
    assert " in -" not in outcome.text


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_d48_tags_that_are_half_moved_are_known_elsewhere(tmp_path: Path, how: str) -> None:
    world = Shop(tmp_path)
    clock, put = FakeClock(), world.registry.put_tag

    def stop(*given: Any, **named: Any) -> None:
        put(*given, **named)
        if how == "killed":
            raise Died
        clock.stopped = True

    world.registry.put_tag = stop  # type: ignore[method-assign]
    run = world.run(retag=True)
    if how == "killed":
        with pytest.raises(Died):
            operation.execute(run, world.ports(clock=clock))
    else:
        outcome = operation.execute(run, world.ports(clock=clock))
        assert len(outcome.ending.moved_tags) == 1, outcome.ending
    world.registry.put_tag = put  # type: ignore[method-assign]
    tags = [world.registry.digests[f"team/{n}:prod"] for n in ("cart", "user")]
    assert len(set(tags)) == 2, "they are mixed"
    assert left(world) == {"ConfigMap/rollback-run-run"}, "the lock is free: a registry keeps no deploy"

    def restored(name: str, files: Any, place: str = "") -> RunDirectory:
        made = RunDirectory(tmp_path / "elsewhere")
        for file, data in files.items():
            made.write(file, data)
        return made

    made = session(run.get(Request).settings, world.ports(clock=later()))
    made.runs.restored = restored  # type: ignore[method-assign]
    found = resume.find(made, "")
    assert found is not None
    outcome = resume.resume(found, world.ports(clock=later()))
    assert outcome.code == 0, outcome.ending
    assert {world.registry.digests[f"team/{n}:prod"] for n in ("cart", "user")} == {GOOD}
    assert left(world) == set()
