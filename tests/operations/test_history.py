"""history and quarantine: what people see of the ledger, at 80 columns, and what they mark by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.core.errors import CheckError, RefusedError
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.readouts import history as core_history
from rollback_lib.core.readouts.history import History, Release
from rollback_lib.core.run.journal import Mark
from rollback_lib.operations import history, quarantine, running
from rollback_lib.operations import status as status_operation
from tests.test_ledger_runs import Closed, World, digest, failed


@pytest.fixture
def world(tmp_path: Path) -> World:
    """v1 and v2 recorded, v3 bad and gone back from."""
    made = failed(tmp_path)
    made.record("v3")
    made.run(reason="500s")
    return made


def look(world: World) -> History:
    return history.look(world.session())


def states(found: History) -> dict[str, str]:
    return {r.release: r.state for r in found.releases}


def row(found: History, release: str) -> Release:
    return next(r for r in found.releases if r.release == release)


def mark(world: World, release: str, **more: Any) -> quarantine.Done:
    return quarantine.mark(quarantine.Options(world.settings, "prod", release, **more), world.ports())


def test_every_release_has_its_state(world: World) -> None:
    world.git.releases["v0"] = {}
    assert states(look(world)) == {"v3": "quarantined", "v2": "current", "v1": "good", "v0": "unproven"}


def test_the_text_fits_80_columns_and_says_what_going_back_means(world: World) -> None:
    world.git.releases["release/" + "long-" * 20] = {}
    said = core_history.text(look(world))
    assert all(len(line) <= 80 or " " not in line.strip() for line in said.splitlines()), said
    words = " ".join(said.split())
    assert words.startswith("shop prod: v2 (what runs: the digests of its ledger record)")
    assert "quarantined v3 recorded" in words
    assert "500s, 2026-03-01" in words
    assert (
        "going back: images are there; configuration of 2 objects changes (Deployment/cart, Deployment/user)" in words
    )


def test_an_image_that_is_gone_is_seen_before_anybody_needs_it(world: World) -> None:
    answer = world.registry._answer
    lost = f"team/cart@{digest('cartv1')}"
    world.registry._answer = lambda r: msgspec.structs.replace(  # type: ignore[method-assign]
        answer(r), **({"state": "absent", "digest": ""} if r == lost else {})
    )
    found = row(look(world), "v1")
    assert found.gone == (lost,)
    assert "1 images are GONE" in core_history.going_back(found)


def test_a_tag_that_moved_since_is_seen(world: World) -> None:
    commit = world.git.commit
    world.git.commit = lambda r: "f" * 40 if r == "v1" else commit(r)  # type: ignore[method-assign]
    assert row(look(world), "v1").moved_tag
    assert "--accept moved-tag:v1" in core_history.going_back(row(look(world), "v1"))


def test_an_edited_record_is_named(world: World) -> None:
    (name,) = [n for _, n in world.records.kept if '"release":"v1"' in str(world.records.kept["ConfigMap", n]["data"])
               and n.startswith("rollback-ledger")]  # fmt: skip
    world.records.kept["ConfigMap", name]["data"]["record"] += " "
    found = look(world)
    assert states(found)["v1"] == "unproven"
    assert name in found.problems[0]
    assert name in core_history.text(found)


def test_without_the_right_to_read_it_says_so(world: World) -> None:
    world.records = Closed()
    found = look(world)
    assert "cannot list configmaps" in found.problems[0]
    assert states(found)["v2"] == "current", "the registry tells what the ledger does not"


@pytest.mark.parametrize("ledger", ["readable", "not readable", "empty"])
def test_d10_status_history_and_verify_agree_on_what_runs(world: World, ledger: str) -> None:
    if ledger == "not readable":
        world.records = Closed()
    elif ledger == "empty":
        world.records = type(world.records)()
    session = world.session()
    found = [
        history.look(session).current.release,
        status_operation.look(session).current.release,
        running.named(session)[0],
    ]
    assert found == ["v2", "v2", "v2"]


def test_d10_what_runs_and_is_no_release_is_said_by_all_of_them(world: World) -> None:
    world.records = type(world.records)()
    world.deploy("v3", bits="of no release")  # else the marks of the rollback tell
    world.registry._answer = lambda r: Answer(r, "absent")  # type: ignore[method-assign]
    session = world.session()
    assert history.look(session).current.release == status_operation.look(session).current.release == "unknown"
    release, why = running.named(session)
    assert (release, bool(why)) == ("", True)


def test_one_list_and_one_question_to_the_registry(world: World) -> None:
    asked: list[str] = []
    listing, looking = world.records.list, world.registry.look_up
    world.records.list = lambda *a: (asked.append("list"), listing(*a))[1]  # type: ignore[method-assign,func-returns-value]
    world.registry.look_up = lambda *a, **k: (asked.append("registry"), looking(*a, **k))[1]  # type: ignore[method-assign,func-returns-value]
    look(world)
    assert sorted(asked) == ["list", "registry"]


def test_services_of_different_releases_are_told_as_mixed(world: World) -> None:
    world.run(to="v1", service=["cart"])
    found = look(world)
    assert (found.current.release, found.services) == ("mixed", (("cart", "v1"), ("user", "v2")))
    assert "mixed (cart v1, user v2)" in core_history.text(found)


def test_status_tells_mixed_services_too(world: World) -> None:
    from rollback_lib.core.readouts import status as core_status

    world.run(to="v1", service=["cart"])

    found = status_operation.look(world.session())
    assert found.current.release == "mixed"
    said = core_status.text(found)
    assert said.startswith("shop prod: mixed, 2 of 2 workloads ready")
    assert "cart v1, user v2" in said


def test_status_names_what_runs_although_its_image_is_gone_from_the_registry(world: World) -> None:
    world.registry._answer = lambda r: core_history.Answer(r, "absent", text="404")  # type: ignore[method-assign]
    found = status_operation.look(world.session())
    assert found.current.release == "v2"


def test_past_runs_are_told_newest_first(world: World, tmp_path: Path) -> None:
    looked, failed = world.request(dry_run=True), world.request(to="v1")
    failed.append(Mark.STAGE_FAILED, "resolve", error="x", code=3)
    done = world.request(to="v2")
    found = history.past_runs(world.session(runs=[looked, failed, done]))
    assert [(r.run, r.code) for r in found.runs] == [(failed.root.name, 3), (done.root.name, 0)]
    assert "refused (0 objects changed)" in core_history.text(found, runs=True)
    assert "none" in core_history.text(history.past_runs(world.session()), runs=True)


def test_a_quarantine_by_hand_holds_until_it_is_lifted(world: World) -> None:
    world.deploy("v4")
    world.record("v4")
    done = mark(world, "v4", reason="slow queries")
    assert done.marks[0].digests == tuple(sorted([digest("cartv4"), digest("userv4")]))
    assert "--accept quarantined" in world.run(to="v4").ending.error
    assert mark(world, "v4", lift=True).changed
    assert not mark(world, "v4", lift=True).changed
    assert world.ledger().quarantine("v4") is None


def test_a_quarantine_by_hand_spares_what_good_releases_share(world: World) -> None:
    world.deploy("v4", bits="v2")
    world.record("v4")
    assert mark(world, "v4").marks[0].digests == ()


def test_lifting_frees_the_release_under_every_name_of_its_commit(world: World) -> None:
    commit = world.git.commit("v3")
    world.git.releases["v3-again"] = {}
    real = world.git.commit
    world.git.commit = lambda r: commit if r == "v3-again" else real(r)  # type: ignore[method-assign]
    assert mark(world, "v3-again", lift=True).changed
    assert world.ledger().quarantines == ()


def test_a_mark_without_a_release_is_lifted_by_its_run(world: World) -> None:
    world.deploy("v5")
    world.run()
    (unnamed,) = [q for q in world.ledger().quarantines if not q.release]
    assert "release unknown" in core_history.text(look(world))
    assert mark(world, unnamed.run, lift=True).changed


def test_what_is_no_release_cannot_be_quarantined(world: World) -> None:
    with pytest.raises(RefusedError, match="There is no tag v9"):
        mark(world, "v9")
    world.records = Closed()
    with pytest.raises(RefusedError, match="cannot list configmaps"):
        mark(world, "v2")


def test_a_lifted_release_can_be_recorded_again(world: World) -> None:
    world.deploy("v3")
    with pytest.raises(CheckError, match="quarantine v3 --lift"):
        world.record("v3")
    mark(world, "v3", lift=True)
    world.record("v3")
    assert states(look(world))["v3"] == "current"
