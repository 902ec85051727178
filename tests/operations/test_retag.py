"""`rollback retag`: what runs, or a release's images, and only where that is proven."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest

from rollback_lib.core.errors import NotApprovedError, RefusedError, RollbackError, UsageError
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.core.run.records import Request
from rollback_lib.operations import retag
from rollback_lib.operations import status as status_operation
from rollback_lib.ports import Session
from tests.operations.small_world import SETTINGS, SmallWorld, digest

PROD = ("team/cart:prod", "team/users:prod")


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    """The tag of everything is v1.2.0's, and v1.1.0 runs, pinned as a rollback leaves it."""
    made = SmallWorld(tmp_path)
    runs(made, "v1.1.0")
    return made


def runs(world: SmallWorld, release: str, *, ready: bool = True) -> None:
    for service in ("cart", "users"):
        found = digest(f"{service}{release}")
        world.cluster.run(service, found, note=release, image=f"team/{service}@{found}", ready=ready)


def known(world: SmallWorld) -> Session:
    return world.session()


def look(world: SmallWorld, to: str = "") -> TagMoves:
    return retag.look(known(world), to)


def shown(moves: TagMoves) -> list[tuple[str, str, str, str]]:
    return [(t.reference, t.from_, t.release, t.to) for t in moves.tags]


@pytest.mark.parametrize("to", ["", "v1.1.0"], ids=["what-runs", "release"])
def test_every_mutable_tag_gets_the_image_of_its_service(world: SmallWorld, to: str) -> None:
    assert shown(look(world, to)) == [
        (f"team/{s}:prod", digest(f"{s}v1.2.0"), "v1.2.0", digest(f"{s}v1.1.0")) for s in ("cart", "users")
    ]
    assert world.registry.tags["team/cart:prod"] == digest("cartv1.2.0")


def test_a_release_that_does_not_run_can_be_named(world: SmallWorld) -> None:
    assert {t.to for t in look(world, "v1.0.0").tags} == {digest("cartv1.0.0"), digest("usersv1.0.0")}


def test_what_runs_may_be_no_release_at_all(world: SmallWorld) -> None:
    for tag in [t for t in world.registry.tags if ":v" in t]:
        del world.registry.tags[tag]
    moves = look(world)
    assert shown(moves) == [
        (f"team/{s}:prod", digest(f"{s}v1.2.0"), "", digest(f"{s}v1.1.0")) for s in ("cart", "users")
    ]


def test_a_tag_that_names_what_runs_is_left(world: SmallWorld) -> None:
    runs(world, "v1.2.0")
    assert look(world).tags == ()
    world.cluster.run("cart", digest("cartv1.1.0"), image="team/cart:prod")
    assert [t.reference for t in look(world).tags] == ["team/cart:prod"]


def test_pods_that_are_not_ready_prove_nothing(world: SmallWorld) -> None:
    runs(world, "v1.0.0", ready=False)
    with pytest.raises(RefusedError, match="Deployment/cart is not Ready"):
        look(world)


def test_a_service_that_does_not_run_is_left_and_said(world: SmallWorld) -> None:
    for kind in ("Deployment", "ReplicaSet", "Pod"):
        found = world.cluster.objects[kind]
        world.cluster.objects[kind] = {name: o for name, o in found.items() if not name.startswith("users")}
    moves = look(world)
    assert [t.reference for t in moves.tags] == ["team/cart:prod"]
    assert moves.left == ("Deployment/users runs no pod, so its tags are left.",)


def test_only_the_services_that_are_named(world: SmallWorld) -> None:
    for to in ("", "v1.1.0"):
        assert [t.reference for t in retag.look(known(world), to, ["cart"]).tags] == ["team/cart:prod"]


def test_where_a_tag_points_must_be_known(world: SmallWorld) -> None:
    world.registry.down = "503"
    with pytest.raises(RefusedError, match="where team/cart:prod points is not known: 503"):
        look(world)


def test_an_image_that_is_gone_from_the_registry_is_refused(world: SmallWorld) -> None:
    world.cluster.run("cart", "", image="team/cart:prod")
    pod = next(p for n, p in world.cluster.objects["Pod"].items() if n.startswith("cart-2"))
    pod["status"]["containerStatuses"][0]["imageID"] = f"docker://{digest('built-here')}"
    world.registry.gone = {digest("built-here")}
    with pytest.raises(RefusedError, match="no image that is known to be what Deployment/cart runs"):
        look(world)


def test_a_tag_that_is_not_there_is_not_made(world: SmallWorld) -> None:
    del world.registry.tags["team/cart:prod"]
    moves = look(world)
    assert [t.reference for t in moves.tags] == ["team/users:prod"]
    assert moves.left == ("team/cart:prod does not exist; it is not made.",)


def test_two_images_of_one_repository_are_not_guessed_between(tmp_path: Path) -> None:
    world = SmallWorld(tmp_path, SETTINGS.replace("team/{service}", "team/all"))
    for service in ("cart", "users"):
        found = digest(f"{service}x")
        world.cluster.run(service, found, image=f"team/all@{found}")
        world.release("v1.3.0" if service == "cart" else "v1.4.0", {
            f"k8s/{s}/deployment.yaml": world._manifest(s, "x", json.dumps).replace(
                f"team/{s}:prod", "team/all:prod"
            )
            for s in ("cart", "users")
        })  # fmt: skip
    world.registry.tags["team/all:prod"] = digest("other")
    moves = look(world)
    assert moves.tags == ()
    assert "containers of its repository run 2 different images" in moves.left[0]


def test_a_release_that_nobody_has_is_refused(world: SmallWorld) -> None:
    with pytest.raises(RefusedError, match=r"v9\.9\.9"):
        look(world, "v9.9.9")


def test_a_proposal_is_no_release_to_move_to(world: SmallWorld) -> None:
    with pytest.raises(RefusedError, match="only a proposal"):
        look(world, "last-good")


# Moving


def test_moving_is_journalled_and_makes_status_quiet(world: SmallWorld, tmp_path: Path) -> None:
    run = world.run_to("what-runs", tmp_path / "retag")
    ending = retag.move(run, world.ports(), look(world))
    assert (ending.code, ending.moved_tags) == (0, PROD)
    assert [e.key for e in run.events() if e.key] == [f"retag/{t}" for t in PROD for _ in range(2)]
    assert look(world).tags == ()
    assert status_operation.look(world.session()).mutable_tags == ()


def test_a_tag_that_moved_since_it_was_shown_is_left_with_7(world: SmallWorld, tmp_path: Path) -> None:
    moves = look(world)
    for tag in PROD:
        world.registry.tags[tag] = digest("newer")
    ending = retag.move(world.run_to("what-runs", tmp_path / "retag"), world.ports(), moves)
    assert (ending.code, ending.moved_tags, ending.left_tags) == (7, (), PROD)
    assert world.registry.tags["team/cart:prod"] == digest("newer")


def test_of_two_tags_one_may_move_and_the_code_says_so(world: SmallWorld, tmp_path: Path) -> None:
    moves = look(world)
    world.registry.tags["team/cart:prod"] = digest("newer")
    ending = retag.move(world.run_to("what-runs", tmp_path / "retag"), world.ports(), moves)
    assert (ending.code, ending.moved_tags) == (4, ("team/users:prod",))


class Person:
    def __init__(self, answer: bool | None) -> None:
        self.answer, self.asked = answer, 0

    def ask(self, question: str) -> bool | None:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(("answer", "error"), [(True, None), (False, NotApprovedError), (None, NotApprovedError)])
def test_a_person_decides(
    world: SmallWorld, tmp_path: Path, answer: bool | None, error: type[RollbackError] | None
) -> None:
    ports = dataclasses.replace(world.ports(), approver=Person(answer))
    request = world.run_to("what-runs", tmp_path / "r").get(Request)
    if error is None:
        retag.approved(request, look(world), ports)
    else:
        with pytest.raises(error):
            retag.approved(request, look(world), ports)
    retag.approved(msgspec.structs.replace(request, yes=True), look(world), ports)
    assert ports.approver.asked == 1  # type: ignore[attr-defined]


def test_which_cluster_must_be_certain(world: SmallWorld, tmp_path: Path) -> None:
    world.cluster.known_contexts = ("a", "b")
    request = world.run_to("what-runs", tmp_path / "r").get(Request)
    ports = dataclasses.replace(world.ports(), approver=Person(None))
    with pytest.raises(UsageError, match=r"set environments\.prod\.context"):
        retag.approved(msgspec.structs.replace(request, yes=True), look(world), ports)
