"""record-release: what is good is kept as it ran; what is sick, torn or another release is not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.collectors import ledger as collector
from rollback_lib.core.errors import CheckError, RefusedError, StaleError, UsageError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.images.reference import is_registry_tag
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.releases import ledger, recording
from rollback_lib.core.releases.ledger import Entry, Ledger, Quarantine
from rollback_lib.core.releases.recording import Result, text
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import DEPLOY, Claim
from rollback_lib.core.settings import model
from rollback_lib.operations import record_release
from rollback_lib.pipeline.holding import Holding
from tests.fakes import FakeClock, FakeProgress, FakeRecords
from tests.operations.small_world import SETTINGS, SmallWorld, digest


class World(SmallWorld):
    """The small world, with records that stay and an index that names platform manifests."""

    def __init__(self, folder: Path, text: str = SETTINGS) -> None:
        super().__init__(folder, text)
        self.records = FakeRecords()
        self.tags: Any = None
        self.clock = FakeClock()
        self.alike: dict[str, tuple[str, ...]] = {}
        ask = self.registry._answer

        def answer(reference: str) -> Answer:
            found = ask(reference)
            for index, parts in self.alike.items():
                if found.digest == index:
                    found = msgspec.structs.replace(found, digests=(index, *parts))
            return found

        self.registry._answer = answer  # type: ignore[method-assign]
        self.cluster.pod_ask = lambda *asked, **how: Answered(*self.answers[0])  # type: ignore[attr-defined]
        self.cluster.logs = lambda *a, **k: ""  # type: ignore[attr-defined]
        self.answers: list[tuple[int, bytes]] = []

    def runs(self, release: str) -> None:
        self.cluster.objects.clear()  # the old pods are gone
        super().runs(release)

    def record(self, release: str = "v1.2.0", **more: Any) -> Result:
        progress = FakeProgress()
        ports = replace(
            self.ports(), records=self.records, tags=self.tags, clock=self.clock, progress=progress, user="ana",
            environ={"BUILD_URL": "https://ci.example/7"},
        )  # fmt: skip
        return record_release.record(record_release.Options(self.settings, "prod", release, **more), ports)

    def ledger(self) -> Ledger:
        return collector.read(self.records, "shop", "prod")

    def pod(self, service: str, image_digest: str, name: str = "b") -> None:
        """One more pod of the newest template."""
        pods = self.cluster.objects["Pod"]
        first = max(n for n in pods if n.startswith(f"{service}-"))
        again = msgspec.json.decode(msgspec.json.encode(pods[first]))
        again["metadata"] |= {"name": f"{first}{name}", "uid": f"{first}{name}"}
        again["status"]["containerStatuses"][0]["imageID"] = f"docker.io/team/{service}@{image_digest}"
        self.cluster.put(again)
        workload = self.cluster.objects["Deployment"][service]
        count = workload["spec"]["replicas"] = workload["spec"]["replicas"] + 1
        workload["status"] |= dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.runs("v1.2.0")
    return made


def test_what_runs_is_kept_as_it_ran(world: World) -> None:
    result = world.record()
    (entry,) = world.ledger().entries
    assert entry == result.entry
    assert (entry.release, entry.by, entry.build, entry.verified) == ("v1.2.0", "ana", "https://ci.example/7", True)
    assert entry.commit == world.repository.git("rev-parse", "v1.2.0")
    assert [(w.service, w.containers[0].digest) for w in entry.workloads] == [
        ("cart", digest("cartv1.2.0")), ("users", digest("usersv1.2.0")),
    ]  # fmt: skip
    assert {(o.kind, o.name) for o in entry.objects} == {("Deployment", "cart"), ("Deployment", "users")}
    assert "prod runs v1.2.0" in text(result)


def test_the_digest_is_the_pods_and_not_what_the_tag_names_by_now(world: World) -> None:
    for service in ("cart", "users"):
        world.registry.tags[f"team/{service}:prod"] = digest("later")
    entry = world.record().entry
    assert entry.workloads[0].containers[0].digest == digest("cartv1.2.0")


@pytest.mark.parametrize("settle", [True, False])
def test_a_sick_release_is_not_recorded(world: World, settle: bool) -> None:
    world.cluster.run("cart", digest("cartv1.2.0"), ready=False, note="v1.2.0-bad")
    if settle:
        pod = max(n for n in world.cluster.objects["Pod"] if n.startswith("cart-"))
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
        status = world.cluster.objects["Pod"][pod]["status"]["containerStatuses"][0]
        status |= {"restartCount": 5, "state": waiting, "lastState": {"terminated": {"exitCode": 1}}}
    with pytest.raises(CheckError, match="not healthy, so it is not recorded as good") as caught:
        world.record()
    assert "cart" in str(caught.value)
    assert world.ledger().entries == ()


def test_c46_a_quarantined_release_is_not_recorded_however_healthy_it_looks(world: World) -> None:
    mark = Quarantine(application="shop", environment="prod", release="v1.2.0", reason="500s", by="eva", at="today")
    collector.write(world.records, lambda _: mark, ledger.name(mark))
    with pytest.raises(CheckError, match="quarantined since today by eva: 500s"):
        world.record()
    assert world.ledger().entries == ()


def test_pods_with_really_different_bits_are_reported_and_refused(world: World) -> None:
    world.pod("cart", digest("stray"))
    with pytest.raises(CheckError, match="its pods run different images") as caught:
        world.record()
    assert digest("stray") in str(caught.value)
    assert digest("cartv1.2.0") in str(caught.value)
    assert world.ledger().entries == ()


def test_the_same_bits_under_two_names_are_one_image(world: World) -> None:
    world.pod("cart", digest("platform"))
    world.alike = {digest("cartv1.2.0"): (digest("platform"),)}
    container = world.record().entry.workloads[0].containers[0]
    assert container.digest == digest("cartv1.2.0")
    assert set(container.digests) == {digest("cartv1.2.0"), digest("platform")}


def test_the_index_is_recorded_although_pods_report_the_platforms_manifest(world: World) -> None:
    world.cluster.objects.clear()
    world.cluster.run("cart", digest("platform"), note="v1.2.0")
    world.alike = {digest("cartv1.2.0"): (digest("platform"),)}
    assert world.record().entry.workloads[0].containers[0].digest == digest("cartv1.2.0")


def test_a_registry_that_cannot_tell_does_not_stop_a_record_of_what_all_pods_report(world: World) -> None:
    world.registry.down = "503"
    result = world.record()
    assert result.entry.workloads[0].containers[0].digests == (digest("cartv1.2.0"),)
    assert any("only what the pods report" in w for w in result.warnings)


def test_a_registry_that_cannot_tell_whether_two_names_are_one_image_is_no_proof(world: World) -> None:
    world.pod("cart", digest("platform"))
    world.registry.down = "503"
    with pytest.raises(CheckError, match="does not tell whether they are one image: 503"):
        world.record()


def test_what_runs_is_compared_with_the_releases_own_registry_tag(world: World) -> None:
    with pytest.raises(CheckError, match=r"its pods run .* and team/cart:v1\.1\.0 is"):
        world.record("v1.1.0")
    assert world.ledger().entries == ()


def test_a_release_that_runs_nowhere_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"No workload of v1\.2\.0 runs in prod"):
        World(tmp_path).record()


def test_a_workload_at_0_replicas_is_said_and_does_not_count(world: World) -> None:
    cart = world.cluster.objects["Deployment"]["cart"]
    cart["spec"]["replicas"] = 0
    cart["status"] = {"observedGeneration": 1}
    world.cluster.objects["Pod"] = {n: p for n, p in world.cluster.objects["Pod"].items() if "users" in n}
    result = world.record()
    assert result.entry.workloads[0].containers[0].digest == ""
    assert any("0 replicas" in w for w in result.warnings)


def test_variables_and_images_that_were_set_by_hand_are_the_overlay_without_secrets(world: World) -> None:
    container = world.cluster.objects["Deployment"]["cart"]["spec"]["template"]["spec"]["containers"][0]
    replica_set = max(n for n in world.cluster.objects["ReplicaSet"] if n.startswith("cart-"))
    container["env"] = [{"name": "LEVEL", "value": "prod"}, {"name": "DB_PASSWORD", "value": "hunter2"}]
    container["image"] = "team/cart:stage"
    template = world.cluster.objects["Deployment"]["cart"]["spec"]["template"]
    world.cluster.objects["ReplicaSet"][replica_set]["spec"]["template"] = template
    entry = world.record().entry
    assert entry.overlay == (
        "Deployment/cart cart: image team/cart:stage",
        "Deployment/cart cart: env LEVEL=prod",
        "Deployment/cart cart: env DB_PASSWORD set",
    )
    assert "hunter2" not in str(world.records.kept)


def test_smoke_tests_decide_too(tmp_path: Path) -> None:
    text = SETTINGS + "verify: {smoke: [{service: cart, path: /health, port: 8080, patience: 1s}]}\n"
    world = World(tmp_path, text)
    world.runs("v1.2.0")
    world.answers = [(503, b"")]
    with pytest.raises(CheckError, match="answered 503, expected 200"):
        world.record()
    world.answers = [(200, b"")]
    assert world.record().entry.smoke == ("cart/health: 200, as expected.",)


def test_recording_again_keeps_the_pin_and_renews_the_time(world: World) -> None:
    first = world.record(pin=True).entry
    world.clock.sleep(60)
    second = world.record().entry
    assert second.pinned
    assert second.recorded_at > first.recorded_at
    assert len(world.ledger().entries) == 1


def test_the_oldest_makes_room(tmp_path: Path) -> None:
    world = World(tmp_path, SETTINGS + "ledger: {keep: 2}\n")
    for release in ("v1.0.0", "v1.1.0", "v1.2.0"):
        world.runs(release)
        world.clock.sleep(60)
        result = world.record(release, pin=release == "v1.0.0")
    assert [e.release for e in world.ledger().entries] == ["v1.2.0", "v1.0.0"]
    assert len(result.removed) == 1


def test_concurrent_recorders_lose_nothing(world: World) -> None:
    barrier = threading.Barrier(2)
    get = world.records.get

    def slow(kind: str, name: str) -> Object | None:
        found = get(kind, name)
        if barrier.n_waiting or not barrier.broken:
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(5)  # both have read before either writes
            barrier.abort()
        return found

    world.records.get = slow  # type: ignore[method-assign]
    results: list[Result] = []
    threads = [threading.Thread(target=lambda pin=p: results.append(world.record(pin=pin))) for p in (True, False)]  # type: ignore[misc]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    world.records.get = get  # type: ignore[method-assign]
    assert len(results) == 2
    (entry,) = world.ledger().entries
    assert entry.pinned, "the pin of whoever wrote first is not lost"


def test_a_ledger_that_may_not_be_written_is_3_and_says_what_is_needed(world: World) -> None:
    class Closed(FakeRecords):
        def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
            raise RefusedError("cannot list configmaps")

    world.records = Closed()
    with pytest.raises(RefusedError, match="get, list, create and update of configmaps"):
        world.record()


def test_from_live_finds_the_release_whose_manifests_run(world: World) -> None:
    world.runs("v1.1.0")
    result = world.record("", from_live=True)
    assert result.entry.release == "v1.1.0"
    assert result.how.startswith("Sure: all its objects are what runs, and of 2 other releases none")


def test_from_live_does_not_guess_between_releases_that_look_alike(world: World) -> None:
    world.repository.tag("v1.2.0-same")
    with pytest.raises(CheckError, match="do not tell them apart"):
        world.record("", from_live=True)
    assert world.ledger().entries == ()


def test_from_live_says_how_near_each_is_where_none_is(world: World) -> None:
    world.cluster.run("cart", digest("cartv1.1.0"), note="v1.1.0")
    with pytest.raises(CheckError, match=r"v1\.2\.0: 1 of 2 objects are as it has them; not Deployment/cart"):
        world.record("", from_live=True)


def test_a_release_is_named_or_found_and_not_both(world: World) -> None:
    for release, from_live in (("", False), ("v1.2.0", True)):
        with pytest.raises(UsageError, match="one of --release and --from-live"):
            world.record(release, from_live=from_live)


def test_settings_bound_the_ledger() -> None:
    assert model.load(SETTINGS).ledger.keep == 20
    with pytest.raises(UsageError, match="keep"):
        model.load(SETTINGS + "ledger: {keep: 1}\n")


def test_an_entry_is_a_config_map_of_its_own_label(world: World) -> None:
    world.record()
    ((_, name),) = world.records.kept
    kept = world.records.kept["ConfigMap", name]
    assert kept["metadata"]["labels"] == {"rollback-lib/application": "shop", "rollback-lib/ledger": "prod"}
    assert isinstance(ledger.decode(kept), Entry)


class Tags:
    """A registry that takes tags; one that names something else already is not moved."""

    def __init__(self, **taken: str) -> None:
        self.made: dict[str, str] = dict(taken)

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        there = self.made.get(f"{repository}:{tag}", "")
        if there not in ("", digest):
            raise StaleError(f"{repository}:{tag} was moved by someone else to {there}; it is left as it is.")
        assert was == "", "a tag of somebody else must not be moved"
        self.made[f"{repository}:{tag}"] = digest


def test_each_recorded_image_gets_a_tag_of_its_own_and_again_is_no_problem(world: World) -> None:
    world.tags = Tags()
    for _ in range(2):
        result = world.record(keep_tag="keep-{release}")
        assert result.tagged == ("team/cart:keep-v1.2.0", "team/users:keep-v1.2.0")
    assert world.tags.made["team/cart:keep-v1.2.0"] == digest("cartv1.2.0")


def test_a_tag_that_names_something_else_is_left_and_the_record_kept(world: World) -> None:
    world.tags = Tags(**{"team/cart:keep-v1.2.0": digest("else")})
    result = world.record(keep_tag="keep-{release}")
    assert result.tagged == ("team/users:keep-v1.2.0",)
    assert "left as it is" in result.untagged[0]
    assert len(world.ledger().entries) == 1


@pytest.mark.parametrize("release", ["v1.4.0+a3", "release/1.4", "v1-año", "v" + "1" * 199])
def test_c22_a_keep_tag_is_a_legal_registry_tag_whatever_the_release_is_called(world: World, release: str) -> None:
    entry = msgspec.structs.replace(world.record().entry, release=release)
    tags = {t.tag for t in recording.keep_tags(entry, "keep-{release}")}
    assert all(is_registry_tag(t) for t in tags)
    other = msgspec.structs.replace(entry, release=release.replace("+", "-").replace("/", "-") + "x")
    assert tags.isdisjoint(t.tag for t in recording.keep_tags(other, "keep-{release}"))


def test_the_deploy_that_is_recorded_gives_its_lock_back_and_no_other_does(world: World) -> None:
    world.runs("v1.2.0")
    ports = replace(world.ports(), records=world.records, clock=world.clock)
    Holding(ports, "shop", Claim(holder="v1.2.0", kind=DEPLOY)).take()
    result = world.record("v1.2.0")
    assert result.freed
    assert "the deploy's lock is given back" in text(result)
    Holding(ports, "shop", Claim(holder="v1.3.0", kind=DEPLOY)).take()
    assert not world.record("v1.2.0").freed
    assert world.records.get("Lease", lock.name("shop")) is not None
