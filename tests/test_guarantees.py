"""What the README promises, and nothing else here would notice if it were gone. GUARANTEES.md names the lines."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from rollback_lib.adapters import run_directory
from rollback_lib.adapters.run_directory import JOURNAL, RunDirectory
from rollback_lib.core.errors import FailedError
from rollback_lib.core.kube.objects import LAST_APPLIED, Object
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.changes import Change
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.core.run.records import Approval, Request, Verification
from rollback_lib.core.settings import model
from rollback_lib.operations import resume, undo
from rollback_lib.operations import run as operation
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs, FakeClock, FakeRecords
from tests.pipeline.test_loop import BAD, GOOD, SETTINGS, World
from tests.test_traffic import World as Closing

CART, USER = "apply/deployment/cart", "apply/deployment/user"
ONE_BY_ONE = "services: {order: [[cart], [user]]}\n"
LOOKING = ("resolve", "images", "rewrite", "preflight", "approve")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Beside(FakeActs):
    """Somebody does something just before or after each write, of which he is given the key."""

    def __init__(
        self, world: World, *, before: Callable[[str], None] | None = None, after: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(world.cluster)
        self._before, self._after = before, after

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        if self._before:
            self._before(change.key)
        made = copy.deepcopy(super().act(change, scratch))
        if self._after:
            self._after(change.key)
        return made


def asked(world: World, more: str, **values: Any) -> RunDirectory:
    """A run with more at the end of its settings."""
    run = world.run(**values)
    run.put(msgspec.structs.replace(run.get(Request), settings=model.load(SETTINGS + more)))
    return run


def container(world: World, name: str) -> Any:
    return world.cluster.objects["Deployment", name]["spec"]["template"]["spec"]["containers"][0]


def ready(world: World, name: str, *, is_ready: bool) -> None:
    """Whether the service's one pod is Ready, as pod and workload say."""
    pod, workload = world.cluster.objects["Pod", f"{name}-pod"], world.cluster.objects["Deployment", name]
    pod["status"]["conditions"] = [{"type": "Ready", "status": str(is_ready)}]
    pod["status"]["containerStatuses"][0]["ready"] = is_ready
    workload["status"] |= {"readyReplicas": int(is_ready), "availableReplicas": int(is_ready)}


# -- verify


def test_pods_that_run_another_image_than_the_plan_says_fail_verify(world: World) -> None:
    def pulled(key: str) -> None:
        if key == CART:  # a node that has the tag of yesterday
            world.cluster.objects["Pod", "cart-pod"]["status"]["containerStatuses"][0]["imageID"] = f"team/cart@{BAD}"

    run = world.run()
    outcome = operation.execute(run, world.ports(acts=Beside(world, after=pulled)))
    assert outcome.ending.code == 4
    assert f"cart-pod runs {BAD}" in outcome.ending.error
    assert f"the plan says {GOOD}" in outcome.ending.error
    found = run.get(Verification)
    assert [w.name for w in found.workloads if w.unproven] == ["cart"], "and of user nothing is said"


def test_a_digest_counts_whatever_repository_a_node_names_it_by(world: World) -> None:
    def pulled(key: str) -> None:
        status = world.cluster.objects["Pod", "cart-pod"]["status"]["containerStatuses"][0]
        status["imageID"] = f"mirror.example/other@{GOOD}" if key == CART else status["imageID"]

    assert operation.execute(world.run(), world.ports(acts=Beside(world, after=pulled))).ending.code == 0


def test_what_somebody_sets_after_the_last_write_is_seen_by_verify(world: World) -> None:
    def set_env(key: str) -> None:
        if key == USER:
            changed = copy.deepcopy(world.cluster.objects["Deployment", "user"])
            changed["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "LEVEL", "value": "by hand"}]
            world.cluster.put(changed)

    outcome = operation.execute(world.run(), world.ports(acts=Beside(world, after=set_env)))
    assert outcome.ending.code == 4
    assert "Deployment/user is not what the plan says any more" in outcome.ending.error
    assert "Deployment/cart" not in outcome.ending.error


def test_the_record_of_a_run_that_failed_verify_does_not_say_restored(world: World) -> None:
    def pulled(key: str) -> None:
        world.cluster.objects["Pod", "cart-pod"]["status"]["containerStatuses"][0]["imageID"] = f"team/cart@{BAD}"

    run = world.run()
    assert operation.execute(run, world.ports(acts=Beside(world, after=pulled))).ending.code == 4
    report = msgspec.json.decode(run.read("report/report.json"))
    assert report["verification"]["healthy"] is False
    assert (report["restored"], report["wrote"], report["exit_code"]) == (False, True, 4)


def test_the_record_of_a_run_whose_verify_was_never_reached_does_not_say_restored(world: World) -> None:
    run = world.run()
    outcome = operation.execute(run, world.ports(acts=FakeActs(world.cluster, fail={2: ValueError("a bug")})))
    assert outcome.ending.code == 70
    assert msgspec.json.decode(run.read("report/report.json"))["restored"] is False


def test_a_workload_that_is_gone_at_the_end_fails_verify(world: World) -> None:
    def delete(key: str) -> None:
        if key == USER:
            for kind, name in (("Deployment", "user"), ("ReplicaSet", "user-rs"), ("Pod", "user-pod")):
                del world.cluster.objects[kind, name]

    run = asked(world, ONE_BY_ONE)
    outcome = operation.execute(run, world.ports(acts=Beside(world, after=delete)))
    assert outcome.ending.code == 4
    assert "Deployment/user is gone." in run.get(Verification).problems


# -- the lock, and what was approved


@pytest.mark.parametrize("left", ["nothing", "another"])
def test_a_run_that_lost_the_lock_writes_nothing_more(world: World, left: str) -> None:
    clock, records = FakeClock(), FakeRecords()

    def lose(key: str) -> None:
        if key == CART:
            lease = records.kept.pop(("Lease", "rollback-shop"))
            if left == "another":
                claim = '{"holder":"run-2","by":"eva","nonce":"x"}'
                records.put({**lease, "metadata": {"name": "rollback-shop",
                                                   "annotations": {"rollback-lib/claim": claim}}})  # fmt: skip
            clock.sleep(3)

    run = asked(world, ONE_BY_ONE)
    outcome = operation.execute(run, world.ports(acts=Beside(world, after=lose), records=records, clock=clock))
    assert world.cluster.writes == [CART]
    assert outcome.ending.code == 4
    assert ("run-2 by eva" if left == "another" else "taken away") in outcome.ending.error


@pytest.mark.parametrize("stage", ["isolate", "apply"])
def test_an_approval_for_another_plan_lets_nothing_be_written(world: World, stage: str) -> None:
    run, records = world.run(), FakeRecords()
    for before in LOOKING:
        operation.one(run, world.ports(), before)
    run.put(msgspec.structs.replace(run.get(Approval), hash="0" * 64))
    outcome = operation.one(run, world.ports(records=records), stage)
    assert outcome.ending.code == 7
    assert "the approval is for another plan" in outcome.ending.error
    assert (world.cluster.writes, records.kept) == ([], {}), "not even the lock"


# -- writes


def test_a_template_that_somebody_changes_in_the_last_moment_is_not_overwritten(world: World) -> None:
    def set_env(key: str) -> None:
        if key == USER:  # after we looked, before the request
            container(world, "user")["env"] = [{"name": "LEVEL", "value": "by hand"}]

    outcome = operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=Beside(world, before=set_env)))
    assert outcome.ending.code == 4, "cart was written before"
    assert "Deployment/user was changed by someone else" in outcome.ending.error
    assert container(world, "user")["env"] == [{"name": "LEVEL", "value": "by hand"}]
    assert container(world, "user")["image"] == f"team/user@{BAD}"


class Disk:
    """`os` with a memory: what of each file is safe from a power cut, by the file's number."""

    def __init__(self) -> None:
        self.safe: dict[int, bytes] = {}
        self.moved: list[tuple[str, bytes | None]] = []  # where a file went, with what was safe of it

    def fsync(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self.safe[os.fstat(descriptor).st_ino] = os.pread(descriptor, size, 0) if size else b""

    def replace(self, old: Path, new: Path) -> None:
        self.moved.append((new.name, self.safe.get(old.stat().st_ino)))
        os.replace(old, new)

    def of(self, path: Path) -> bytes:
        return self.safe.get(path.stat().st_ino, b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(run_directory, "os", made)
    opened = os.open

    def readable(path: Any, flags: int, mode: int = 0o777) -> int:  # so that what is synced can be read back
        return opened(path, flags & ~os.O_WRONLY | os.O_RDWR, mode)

    made.open = readable  # type: ignore[attr-defined]
    return made


def test_the_journal_is_on_disk_before_a_write_is_made_and_after_it(world: World, disk: Disk) -> None:
    journal, unsafe = world.folder / "run" / JOURNAL, []

    class Kept(RunDirectory):
        def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
            made = super().append(mark, stage, **fields)
            if msgspec.json.encode(made) not in disk.of(journal):
                unsafe.append(f"{mark} {made.key}")
            return made

    def announced(key: str) -> None:
        events = [msgspec.json.decode(line, type=Event) for line in disk.of(journal).splitlines()]
        if [e.mark for e in events if e.key == key] != [Mark.ANNOUNCED]:
            unsafe.append(f"the write of {key}")

    world.run()
    run = Kept(world.folder / "run")
    assert operation.execute(run, world.ports(acts=Beside(world, before=announced))).ending.code == 0
    assert unsafe == []
    assert disk.of(journal) == journal.read_bytes()


def test_a_file_is_on_disk_before_it_takes_its_name(tmp_path: Path, disk: Disk) -> None:
    run = RunDirectory(tmp_path / "run")
    run.write("plan.json", b"old")
    run.write("plan.json", b"whole")
    assert disk.moved == [("plan.json", b"old"), ("plan.json", b"whole")]
    assert run.read("plan.json") == b"whole"


# -- time


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("{stage: 1m, run: 3h}", "apply has taken longer than 1m (limits.stage)"),
        ("{stage: 3h, run: 2m}", "the run has taken longer than 2m (limits.run)"),
    ],
)
def test_a_run_that_takes_too_long_ends_before_its_next_write(world: World, limits: str, said: str) -> None:
    clock = FakeClock()

    def slow(key: str) -> None:
        clock.sleep(130)

    run = asked(world, f"{ONE_BY_ONE}limits: {limits}\n")
    outcome = operation.execute(run, world.ports(acts=Beside(world, after=slow), clock=clock))
    assert outcome.ending.code == 4
    assert said in outcome.ending.error
    assert world.cluster.writes == [CART]


@pytest.mark.parametrize("order_wait", ["ready", "updated"])
def test_a_wave_begins_when_the_one_before_it_has_a_ready_pod(world: World, order_wait: str) -> None:
    began, states = FakeClock().now(), []

    class Starting(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            ready(world, "cart", is_ready=(self.now() - began).total_seconds() > 20)

    def wrote(key: str) -> None:
        status = world.cluster.objects["Pod", "cart-pod"]["status"]
        states.append((key, status["conditions"][0]["status"]))

    def starts(key: str) -> None:
        if key == CART:
            ready(world, "cart", is_ready=False)

    run = asked(world, f"services: {{order: [[cart], [user]], order_wait: {order_wait}}}\n")
    acts = Beside(world, before=wrote, after=starts)
    outcome = operation.execute(run, world.ports(acts=acts, clock=Starting()))
    assert outcome.ending.code == 0, outcome.ending.error
    assert states == [(CART, "True"), (USER, "True")]


def test_nothing_is_changed_before_requests_in_flight_had_their_time(tmp_path: Path) -> None:
    world, clock, at = Closing(tmp_path, "isolation: {mode: service, targets: [cart], drain: 20s}"), FakeClock(), {}

    def wrote(key: str) -> None:
        at.setdefault(key.partition("/")[0], clock.now())

    acts = Beside(world, before=wrote)
    assert operation.execute(world.run(), world.ports(acts=acts, clock=clock)).ending.code == 0
    assert 20 <= (at["apply"] - at["close"]).total_seconds() < 25


@pytest.mark.parametrize("comes_up", [True, False], ids=["comes-up", "does-not"])
def test_what_only_the_failed_release_had_stays_where_the_target_does_not_come_up(world: World, comes_up: bool) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "only-v2"}, "data": {"A": "b"}}
    text = json.dumps(config)
    world.git.releases["v2"] = {**world.git.releases["v2"], "k8s/cart/only.yaml": text.encode()}
    applied, rolled_out = "2026-01-02T00:00:08Z", "2026-01-02T00:00:10Z"  # v2 is of that day
    by_apply = {"f:metadata": {"f:annotations": {f"f:{LAST_APPLIED}": {}}}}
    made = {"manager": "kubectl-client-side-apply", "operation": "Update", "time": applied, "fieldsV1": by_apply}
    meta = {
        "name": "only-v2",
        "annotations": {LAST_APPLIED: text},
        "creationTimestamp": applied,
        "managedFields": [made],
    }
    world.cluster.put({**config, "metadata": meta})
    for service in ("cart", "user"):
        world.cluster.objects["ReplicaSet", f"{service}-rs"]["metadata"]["creationTimestamp"] = rolled_out

    def crash(key: str) -> None:
        if key == CART and not comes_up:
            ready(world, "cart", is_ready=False)

    outcome = operation.execute(world.run(), world.ports(acts=Beside(world, after=crash)))
    assert outcome.ending.code == (0 if comes_up else 4), outcome.ending.error
    assert (("ConfigMap", "only-v2") in world.cluster.objects) is not comes_up


# -- a run that died


class Died(BaseException):
    """The process is killed while a write is on its way."""


def dies(world: World, clock: FakeClock, records: FakeRecords) -> tuple[RunDirectory, list[Change]]:
    """A run that is killed at its first write, and the request that it has sent."""
    sent: list[Change] = []

    class Sends(FakeActs):
        def act(self, change: Change, scratch: RunStore) -> NoReturn:
            sent.append(change)
            raise Died

    world.run()
    run = RunDirectory(world.folder / "run", clock.now)
    run.put(msgspec.structs.replace(run.get(Request), settings=model.load(SETTINGS + ONE_BY_ONE)))
    with pytest.raises(Died):
        operation.execute(run, world.ports(acts=Sends(world.cluster), clock=clock, records=records))
    return run, sent


def test_resume_waits_for_a_write_that_may_still_arrive(world: World) -> None:
    class Late(FakeClock):
        """The request of the dead process arrives 40 s later."""

        on_its_way: list[Change]

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.on_its_way and (self.now() - FakeClock().now()).total_seconds() >= 40:
                FakeActs(world.cluster).act(self.on_its_way.pop(), run)

    clock, records, early = Late(), FakeRecords(), []
    clock.on_its_way = []
    run, sent = dies(world, clock, records)
    clock.on_its_way = [c for c in sent if c.key == CART]
    acts = Beside(world, before=lambda key: early.append(key) if clock.on_its_way else None)
    outcome = resume.resume(run, world.ports(acts=acts, clock=clock, records=records))
    assert outcome.ending.code == 0, outcome.ending.error
    assert early == [], "nothing is asked again while the first request is on its way"
    assert world.cluster.writes == [CART, USER], "each once"


def test_resume_does_not_wait_for_what_can_no_longer_arrive(world: World) -> None:
    clock, records = FakeClock(), FakeRecords()
    run, _ = dies(world, clock, records)
    clock.time += timedelta(minutes=5)
    before = clock.now()
    assert resume.resume(run, world.ports(clock=clock, records=records)).ending.code == 0
    assert (clock.now() - before).total_seconds() < 20


# -- what a run leaves in the cluster


def kept(records: FakeRecords) -> list[str]:
    """The lock and the copy of a run, by kind."""
    return sorted(kind for kind, name in records.kept if kind == "Lease" or name.startswith("rollback-run-"))


def test_a_run_that_fails_half_way_keeps_the_lock_and_its_copy(world: World) -> None:
    records = FakeRecords()
    acts = FakeActs(world.cluster, fail={2: FailedError("the network is gone")})
    outcome = operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=acts, records=records))
    assert (outcome.ending.code, world.cluster.writes) == (4, [CART])
    assert kept(records) == ["ConfigMap", "Lease"]
    assert outcome.ending.locked


def test_a_run_that_stops_before_it_has_changed_anything_leaves_neither_lock_nor_copy(world: World) -> None:
    run, records = world.run(), FakeRecords()
    for stage in (*LOOKING, "isolate"):
        operation.one(run, world.ports(records=records), stage)
    assert kept(records) == ["ConfigMap", "Lease"]
    world.cluster.objects["Deployment", "user"]["spec"]["minReadySeconds"] = 5
    assert operation.one(run, world.ports(records=records), "apply").ending.code == 7
    assert kept(records) == []


def test_a_run_that_ends_well_leaves_neither_lock_nor_copy(world: World) -> None:
    records = FakeRecords()
    assert operation.execute(world.run(), world.ports(records=records)).ending.code == 0
    assert kept(records) == []


def test_a_lock_is_never_there_without_what_finishes_its_run(world: World) -> None:
    there: list[bool] = []

    class Looking(FakeRecords):
        def put(self, record: Object) -> Object | None:
            if record["kind"] == "Lease":
                there.append(("ConfigMap", "rollback-run-run") in self.kept)
            return super().put(record)

    assert operation.execute(world.run(), world.ports(records=Looking())).ending.code == 0
    assert there
    assert all(there)


def test_what_another_program_changes_as_it_is_stored_fails_the_run_there(world: World) -> None:
    class Hooked(FakeActs):
        """A webhook that a dry run does not reach."""

        def act(self, change: Change, scratch: RunStore) -> Object | None:
            made = super().act(change, scratch)
            if change.key == CART and made is not None:
                made["spec"]["template"]["spec"]["containers"].append({"name": "injected", "image": "x/y:1"})
            return made

    outcome = operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=Hooked(world.cluster)))
    assert outcome.ending.code == 4
    assert "Deployment/cart was written, but is not what the plan says" in outcome.ending.error
    assert world.cluster.writes == [CART], "and no wave comes after it"


# -- the exit code, and what is written down


def test_a_first_write_of_which_nobody_knows_is_4(world: World) -> None:
    acts = FakeActs(world.cluster, fail={1: FailedError("no answer")})
    outcome = operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=acts))
    assert world.cluster.writes == []
    assert (outcome.ending.code, outcome.ending.unclear) == (4, ("Deployment/cart put back",))


def test_a_failure_before_the_first_write_is_3_whatever_it_is(world: World) -> None:
    clock = FakeClock()

    class Slow(FakeRecords):
        def put(self, record: Object) -> Object | None:
            clock.time += timedelta(hours=2)
            return super().put(record)

    outcome = operation.execute(world.run(), world.ports(clock=clock, records=Slow()))
    assert "has taken longer than" in outcome.ending.error
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    assert "Nothing was changed" in outcome.text


def test_what_an_error_says_is_journalled_and_reported_without_its_password(world: World) -> None:
    acts = FakeActs(world.cluster, fail={1: FailedError("the webhook said: DB_PASSWORD=hunter2-planted, no")})
    assert operation.execute(asked(world, ONE_BY_ONE), world.ports(acts=acts)).ending.code == 4
    files = [p for p in (world.folder / "run").rglob("*") if p.is_file()]
    assert [p.name for p in files if b"hunter2" in p.read_bytes()] == []
    assert b"the webhook said" in (world.folder / "run" / JOURNAL).read_bytes()


def test_an_approval_for_another_plan_moves_no_tag(world: World) -> None:
    run = world.run(retag=True)
    for stage in (*LOOKING, "isolate", "apply", "verify"):
        assert operation.one(run, world.ports(), stage).ending.code == 0
    run.put(msgspec.structs.replace(run.get(Approval), hash="0" * 64))
    outcome = operation.one(run, world.ports(), "retag")
    assert (outcome.ending.code, outcome.ending.stage) == (4, "retag"), "the shop was changed before"
    assert "the approval is for another plan" in outcome.ending.error
    assert world.registry.digests["team/cart:prod"] == BAD


# -- what preflight refuses


def manifest_with(world: World, more: str) -> None:
    """The target's cart with more in its pods."""
    text = world.git.releases["v1"]["k8s/cart/d.yaml"].decode()
    changed = text.replace("      containers:", f"      {more}\n      containers:", 1)
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": changed.encode()}


def test_what_the_target_s_pods_need_and_is_not_there_is_refused(world: World) -> None:
    manifest_with(world, "serviceAccountName: gone")
    outcome = operation.execute(world.run(), world.ports())
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    assert "ServiceAccount gone is missing; Deployment/cart cannot start without it" in outcome.ending.error
    world.cluster.put({"kind": "ServiceAccount", "metadata": {"name": "gone"}})
    assert operation.execute(world.run("again"), world.ports()).ending.code == 0


def test_what_we_may_not_do_is_refused_before_anything_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def may(verb: str, kind: str, name: str, subresource: str = "") -> bool:
        return (verb, kind, name) != ("patch", "Deployment", "user")

    monkeypatch.setattr(world.cluster, "may", may)
    outcome = operation.execute(world.run(), world.ports())
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    assert "we may not patch deployments/user" in outcome.ending.error
    assert "deployments/cart" not in outcome.ending.error


def test_what_a_run_goes_without_since_it_may_not_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def may(verb: str, kind: str, name: str, subresource: str = "") -> bool:
        return kind != "Event"

    monkeypatch.setattr(world.cluster, "may", may)
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 0
    assert "A failure would come without its events: we may not list events." in run.get(Plan).warnings


@pytest.mark.parametrize(
    "mark", [{"annotations": {"meta.helm.sh/release-name": "shop"}},
             {"labels": {"argocd.argoproj.io/instance": "shop"}},
             {"ownerReferences": [{"kind": "Shop", "name": "shop"}]}],
    ids=["helm", "argo-cd", "a-controller"],
)  # fmt: skip
def test_what_another_program_owns_is_refused_by_name(world: World, mark: dict[str, Any]) -> None:
    world.cluster.objects["Deployment", "user"]["metadata"] |= mark
    outcome = operation.execute(world.run(), world.ports())
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    assert "--accept owner:user" in outcome.ending.error
    assert operation.execute(world.run("again", accept=["owner:user"]), world.ports()).ending.code == 0


def test_the_policy_alone_rolls_back_nothing_that_is_healthy(world: World) -> None:
    run = world.run(yes=False)
    made = model.load(SETTINGS.replace("namespace: shop", "namespace: shop, approval: auto"))
    run.put(msgspec.structs.replace(run.get(Request), settings=made))
    outcome = operation.execute(run, world.ports())
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    assert "--accept healthy" in outcome.ending.error


# -- undo


def test_an_undo_brings_back_what_ran_and_takes_away_what_the_run_created(world: World) -> None:
    config = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart}\ndata: {A: b}\n"
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/config.yaml": config}
    before = {name: copy.deepcopy(container(world, name)) for name in ("cart", "user")}
    run, records = world.run(), FakeRecords()
    assert operation.execute(run, world.ports(records=records)).ending.code == 0
    assert ("ConfigMap", "cart") in world.cluster.objects
    back = RunDirectory(world.folder / "undo")
    back.put(undo.request(world.run("new").get(Request), run))
    outcome = undo.undo(back, run, world.ports(records=records))
    assert outcome.ending.code == 0, outcome.ending.error
    assert {name: container(world, name) for name in before} == before
    assert ("ConfigMap", "cart") not in world.cluster.objects
