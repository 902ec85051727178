"""`rollback status`: the release that runs, each workload, the last run; and an answer when one of them is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.three_way import last_applied_text
from rollback_lib.core.readouts import status as core_status
from rollback_lib.core.readouts.status import Status
from rollback_lib.core.releases import live
from rollback_lib.core.releases.tags import APPLIED, ReleaseRef
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.core.settings.model import Smoke
from rollback_lib.core.traffic import slots
from rollback_lib.operations import status
from rollback_lib.pipeline import loop
from rollback_lib.ports import Ports
from rollback_lib.releases import resolving
from rollback_lib.releases.what_runs import Now
from tests.operations.small_world import SmallWorld, deployment, digest


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    made = SmallWorld(tmp_path)
    made.runs("v1.2.0")
    return made


def look(world: SmallWorld, *runs: RunDirectory) -> Status:
    return status.look(world.session(runs=runs))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The releases that were looked at, in order."""
    found: list[str] = []
    real = resolving.resolve

    def resolve(request: Request, ports: Ports, look: Callable[[], Now] | None = None) -> tuple[Resolution, Now]:
        found.append(request.to)
        return real(request, ports, look)

    monkeypatch.setattr(resolving, "resolve", resolve)
    return found


def test_the_release_that_runs_is_named_by_its_digests(world: SmallWorld, tried: list[str]) -> None:
    found = look(world)
    assert (found.current.release, found.mutable_tags) == ("v1.2.0", ())
    assert [(w.name, w.health, w.ready, w.desired) for w in found.workloads] == [
        ("cart", "healthy", 1, 1),
        ("users", "healthy", 1, 1),
    ]
    assert found.workloads[0].images[0].digests == (digest("cartv1.2.0"),)
    said = core_status.text(found)
    assert said.startswith("shop prod: v1.2.0, 2 of 2 workloads ready\n")
    assert max(map(len, said.splitlines())) <= 80
    assert tried == ["v1.2.0"]


def test_an_older_release_is_named_with_the_tag_that_would_undo_it(world: SmallWorld) -> None:
    world.runs("v1.1.0")
    found = look(world)
    assert found.current.release == "v1.1.0"
    assert {(m.reference, m.release) for m in found.mutable_tags} == {
        ("team/cart:prod", "v1.2.0"),
        ("team/users:prod", "v1.2.0"),
    }
    assert ":prod in 2 repositories is v1.2.0: the next ordinary deploy brings it." in core_status.text(found)


def test_a_newest_release_without_images_does_not_hide_an_older_one(world: SmallWorld) -> None:
    world.runs("v1.1.0")
    del world.registry.tags["team/cart:v1.2.0"]
    assert look(world).current.release == "v1.1.0"


def test_a_mixture_is_no_release(world: SmallWorld) -> None:
    world.cluster.run("cart", digest("cartv1.1.0"), note="v1.1.0")
    found = look(world)
    assert found.current.release == "unknown"
    assert "as a whole, none of the releases" in found.why_unknown
    assert found.mutable_tags == ()
    assert len(found.workloads) == 2


def test_a_registry_that_is_down_leaves_the_workloads_visible_and_is_asked_once(
    world: SmallWorld, tried: list[str]
) -> None:
    world.registry.down = "asked HEAD https://r.example: 503"
    world.cluster.run("cart", digest("cartv1.1.0"), note="v1.1.0")
    found = look(world)
    assert found.current.release == "unknown"
    assert "503" in found.why_unknown
    assert [w.name for w in found.workloads] == ["cart", "users"]
    assert tried == ["v1.2.0"]


def test_without_any_release_the_namespace_itself_is_shown(world: SmallWorld) -> None:
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        world.repository.git("tag", "--delete", tag)
    found = look(world)
    assert "no tags" in found.why_unknown
    assert [w.name for w in found.workloads] == ["cart", "users"]


def test_what_is_missing_and_what_is_extra_is_said(world: SmallWorld) -> None:
    world.cluster.run("zipkin", digest("zipkin"))
    del world.cluster.objects["Deployment"]["users"]
    found = look(world)
    assert next(w for w in found.workloads if w.name == "users").health == "missing"
    assert found.others == ("Deployment/zipkin",)
    said = core_status.text(found)
    assert "GONE   0/0  Deployment/users" in said
    assert "Not in the release's manifests: Deployment/zipkin" in said


def test_older_pods_that_still_serve_are_shown(world: SmallWorld) -> None:
    world.cluster.run("cart", digest("cartv1.3.0"), note="v1.3.0", ready=False)
    cart = look(world).workloads[0]
    assert (cart.health, cart.ready) == ("progressing", 0)
    assert (cart.images[0].digests, cart.images[0].older) == ((digest("cartv1.3.0"),), (digest("cartv1.2.0"),))


def test_a_cluster_that_is_down_is_refused(world: SmallWorld) -> None:
    world.cluster.down = "the cluster does not answer."
    with pytest.raises(RefusedError, match="does not answer"):
        look(world)


def test_the_last_run_that_meant_to_change_something_is_told(world: SmallWorld, tmp_path: Path) -> None:
    early = world.run_to("v1.0.0", tmp_path / "r1", started="2026-03-01T09:00:00+00:00")
    late = world.run_to("v1.1.0", tmp_path / "r2", started="2026-03-01T10:00:00+00:00")
    looked = world.run_to("v1.1.0", tmp_path / "r3", started="2026-03-01T11:00:00+00:00", dry_run=True)
    late.append(Mark.ANNOUNCED, "apply", key="a", what="Deployment/cart")
    late.append(Mark.DONE, "apply", key="a", what="Deployment/cart")
    late.append(Mark.STAGE_FAILED, "verify", error="cart crashes", code=1)
    late.append(Mark.STAGE_DONE, "document")
    found = look(world, late, looked, early).last_run
    assert found is not None
    assert (found.run, found.to, found.code, found.changed) == ("r2", "v1.1.0", 4, 1)
    said = " ".join(core_status.text(look(world, late, looked, early)).split())
    assert "last run to v1.1.0, 2026-03-01 10:00 UTC, by ana: FAILED (1 object changed) r2" in said


def test_a_run_that_died_did_not_finish(world: SmallWorld, tmp_path: Path) -> None:
    died = world.run_to("v1.1.0", tmp_path / "r1")
    died.append(Mark.STAGE_BEGIN, "apply")
    assert "did NOT finish" in core_status.text(look(world, died))


def test_a_run_that_does_not_read_is_passed_over(world: SmallWorld, tmp_path: Path) -> None:
    torn = world.run_to("v1.1.0", tmp_path / "r1")
    (torn.root / "journal.jsonl").write_bytes(b"{nonsense}\n")
    old = world.run_to("v1.0.0", tmp_path / "r2")
    (old.root / "run.json").write_bytes(b"{}")
    assert look(world, torn, old).last_run is None


def test_what_a_run_has_closed_is_said_with_since_when_and_by_which_run(world: SmallWorld) -> None:
    selector = {"app": "cart"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"}, "spec": {"selector": selector}}
    world.cluster.put(slots.close(body, None, run="20260301-dead", since="2026-03-01T10:00:00Z"))
    found = look(world)
    assert found.closed == ("Service/cart, closed since 2026-03-01T10:00:00Z by run 20260301-dead",)
    said = " ".join(core_status.text(found).split())
    assert "CLOSED: Service/cart" in said
    assert "`rollback reopen -e prod` opens it" in said


@pytest.mark.parametrize("runs", ["v1.2.0", "v1.1.0", "v1.0.0"])
def test_what_runs_is_asked_once_and_no_pipeline_is_entered(
    world: SmallWorld, tried: list[str], runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entered(*arguments: object, **more: object) -> None:
        raise AssertionError("a pipeline was entered")

    world.runs(runs)
    looks: list[list[str]] = []
    snapshot = world.cluster.snapshot

    def counted(kinds: Sequence[str], versions: Mapping[str, str] | None = None) -> Snapshot:
        looks.append(list(kinds))
        return snapshot(kinds, versions)

    monkeypatch.setattr(loop, "advance", entered)
    monkeypatch.setattr(world.cluster, "snapshot", counted)
    assert look(world).current.release == runs
    assert looks.count(list(live.KINDS_READ)) == 1
    assert len(tried) <= 3


def test_a_smoke_test_that_fails_is_shown_and_one_that_may_not_be_asked_says_nothing_of_its_service(
    world: SmallWorld,
) -> None:
    tests = (
        Smoke(service="cart", path="/health", port=8080), Smoke(service="users", path="/health/slow", port=8080),
        Smoke(service="cart", path="/orders", port=8080, method="POST"), Smoke(service="users", path="/in", port=8080),
    )  # fmt: skip
    verify = msgspec.structs.replace(world.settings.verify, smoke=tests)
    world.settings = msgspec.structs.replace(world.settings, verify=verify)
    world.cluster.answers = {
        "/health": Answered(status=200), "/health/slow": Answered(status=503),
        "/in": Answered(problem="the API server forbids it", forbidden=True),
    }  # fmt: skip
    found = look(world)
    assert [(c.service, c.kind, c.good) for c in found.smoke] == [
        ("cart", "smoke", True), ("users", "smoke", False), ("cart", "not-asked", True), ("users", "not-asked", True),
    ]  # fmt: skip
    said = core_status.text(found)
    assert "FAIL smoke  users/health/slow: answered 503, expected 200." in said
    assert "?    smoke" in said
    assert "cart/health: 200" not in said
    assert world.settings.verify.smoke[2].where in said


@pytest.mark.parametrize("lists", [True, False], ids=["lists its tags", "does not list them"])
def test_any_number_of_newer_releases_does_not_hide_the_one_that_runs(world: SmallWorld, lists: bool) -> None:
    world.registry.lists = lists
    for number in range(3, 15):
        world.release(f"v1.{number}.0")
    world.registry.asked.clear()
    assert look(world).current.release == "v1.2.0"
    # each newer one costs one question, all the containers are asked about at the one that runs
    assert len(world.registry.asked) <= 12 + 16


def test_releases_that_the_registry_has_no_tag_of_cost_no_question(world: SmallWorld) -> None:
    for number in range(3, 31):
        world.release(f"v1.{number}.0")
        for service in ("cart", "users"):
            del world.registry.tags[f"team/{service}:v1.{number}.0"]
    world.registry.asked.clear()
    assert look(world).current.release == "v1.2.0"
    assert len(world.registry.asked) <= 30


def test_what_runs_is_told_although_no_image_of_the_newest_releases_is_there(world: SmallWorld) -> None:
    for number in range(3, 8):
        world.release(f"v1.{number}.0")
    for reference in [t for t in world.registry.tags if t.rpartition(":")[2] > "v1.2.0"]:
        del world.registry.tags[reference]
    assert look(world).current.release == "v1.2.0"


def test_an_old_image_that_all_releases_share_tells_by_the_others(world: SmallWorld) -> None:
    for number in range(3, 8):
        world.release(f"v1.{number}.0")
    for reference in [t for t in world.registry.tags if t.startswith("team/cart:")]:
        world.registry.tags[reference] = digest("cartv1.2.0")
    assert look(world).current.release == "v1.2.0"


def applied(world: SmallWorld, release: str, *, started: bool = False) -> None:
    """`kubectl apply` of the release's manifests over what runs; its pods report nothing unless they ``started``."""
    world.cluster.objects.clear()
    for service in ("cart", "users"):
        world.cluster.run(service, digest(f"{service} by another build"), note=release)
        live = world.cluster.objects["Deployment"][service]
        manifest = {**deployment(service, note=release), "metadata": {"name": service}}
        live["metadata"]["annotations"] = {LAST_APPLIED: last_applied_text(manifest, "shop")}
        for pod in world.cluster.objects["Pod"].values() if not started else ():
            pod["status"].pop("containerStatuses", None)


def test_what_was_applied_tells_where_no_pod_started(world: SmallWorld) -> None:
    for number in range(3, 8):
        world.release(f"v1.{number}.0")
    applied(world, "v1.2.0")
    assert (look(world).current.release, look(world).current.chosen_how) == ("v1.2.0", APPLIED)


def test_a_release_that_brought_no_image_of_its_own_is_told_by_what_was_applied(world: SmallWorld) -> None:
    """Its pods run the images of the one before, of which the registry has the tags."""
    world.release("v1.3.0")
    for service in ("cart", "users"):
        del world.registry.tags[f"team/{service}:v1.3.0"]
        world.cluster.run(service, digest(f"{service}v1.2.0"), note="v1.3.0")
        manifest = {**deployment(service, note="v1.3.0"), "metadata": {"name": service}}
        live = world.cluster.objects["Deployment"][service]
        live["metadata"]["annotations"] = {LAST_APPLIED: last_applied_text(manifest, "shop")}
    assert (look(world).current.release, look(world).current.chosen_how) == ("v1.3.0", APPLIED)


def test_what_was_applied_does_not_tell_two_releases_with_one_text_apart(world: SmallWorld) -> None:
    applied(world, "v1.2.0")
    world.repository.commit({"README.md": "more"})
    world.repository.tag("v1.2.1")
    assert look(world).current == ReleaseRef(release="unknown")


@pytest.mark.parametrize("release", ["v1.2.0", "v9"])
def test_what_was_applied_is_no_release_that_pods_or_files_deny(world: SmallWorld, release: str) -> None:
    """Other bits than the registry has for it; or a text that no release has."""
    applied(world, release, started=release == "v1.2.0")
    assert look(world).current == ReleaseRef(release="unknown")
