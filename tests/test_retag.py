"""`run --retag`: in the plan and its hash, after verify, each tag compared before it is moved; and what people read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_lib.core.errors import FailedError, RefusedError
from rollback_lib.core.plan import text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.journal import Mark
from rollback_lib.operations import run as operation
from tests.fakes import FakeProgress
from tests.pipeline.test_loop import BAD, GOOD, World

NEWER = "sha256:" + "c" * 64
BOTH = ("team/cart:prod", "team/user:prod")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def incident(world: World) -> str:
    return (world.folder / "run/report/incident.md").read_text()


def test_the_tags_name_the_restored_images_and_nothing_warns_of_them_any_more(world: World) -> None:
    outcome = operation.execute(world.run(retag=True), world.ports())
    assert outcome.ending.code == 0, outcome.ending
    assert [world.registry.digests[t] for t in BOTH] == [GOOD, GOOD]
    assert outcome.ending.moved_tags == BOTH
    assert "2 objects were changed and 2 tags were moved; traffic is open." in outcome.text
    assert "brings it back" not in outcome.text + incident(world)
    assert "team/cart:prod pointed at sha256:aaaaaaaaaaaa" in incident(world)


def test_without_being_asked_no_tag_moves(world: World) -> None:
    operation.execute(world.run(), world.ports())
    assert [world.registry.digests[t] for t in BOTH] == [BAD, BAD]


def test_the_plan_shows_from_and_to_and_another_hash(world: World) -> None:
    plain, asked = world.run("plain"), world.run("asked", retag=True)
    for run in (plain, asked):
        operation.plan(run, world.ports())
    plan = asked.get(Plan)
    assert [(t.reference, t.from_, t.release, t.to) for t in plan.retag] == [(t, BAD, "v2", GOOD) for t in BOTH]
    assert plan.hash != plain.get(Plan).hash
    said = text.text(plan)
    assert "  - team/cart:prod: bbbbbbbbbbbb (v2) → aaaaaaaaaaaa" in said
    assert "is still" not in said
    assert "2 to update, 2 tags to move" in said
    assert ":prod in 2 repositories is still v2" in text.text(plain.get(Plan))
    assert world.registry.digests["team/cart:prod"] == BAD


def test_another_goal_of_a_tag_is_another_plan(world: World) -> None:
    first, second = world.run("first", retag=True), world.run("second", retag=True)
    operation.plan(first, world.ports())
    world.registry.digests["team/cart:prod"] = NEWER
    operation.plan(second, world.ports())
    assert first.get(Plan).hash != second.get(Plan).hash


def test_where_only_tags_are_wrong_they_still_need_a_yes(world: World) -> None:
    operation.execute(world.run(), world.ports())
    done = list(world.cluster.writes)
    refused = operation.execute(world.run("again", retag=True, yes=False), world.ports())
    assert refused.ending.code == 7
    outcome = operation.execute(world.run("third", retag=True), world.ports())
    assert outcome.ending.code == 0
    assert "2 tags were moved; traffic is open." in outcome.text
    assert world.cluster.writes == done
    last = operation.execute(world.run("last", retag=True, yes=False), world.ports())
    assert (last.ending.code, last.text.startswith("Nothing to do")) == (0, True)


def test_no_tag_moves_to_what_did_not_prove_itself(world: World) -> None:
    run = world.run(retag=True)
    for stage in ("resolve", "images", "rewrite", "preflight", "approve", "apply"):
        operation.one(run, world.ports(), stage)
    world.cluster.objects["Deployment", "cart"]["status"]["readyReplicas"] = 0
    world.cluster.objects["Pod", "cart-pod"]["status"]["conditions"] = []
    assert operation.one(run, world.ports(), "verify").ending.code == 4
    assert operation.one(run, world.ports(), "retag").ending.code == 4
    assert [world.registry.digests[t] for t in BOTH] == [BAD, BAD]


def test_a_stage_of_its_own_without_verify_moves_nothing(world: World) -> None:
    run = world.run(retag=True)
    for stage in ("resolve", "images", "rewrite", "preflight", "approve"):
        operation.one(run, world.ports(), stage)
    outcome = operation.one(run, world.ports(), "retag")
    assert outcome.ending.code == 2
    assert "rollback stage verify" in outcome.ending.error
    assert world.registry.digests["team/cart:prod"] == BAD


def test_a_dry_run_moves_nothing(world: World) -> None:
    run = world.run(retag=True, dry_run=True)
    for stage in operation.STAGES:
        operation.one(run, world.ports(), stage)
    assert world.registry.digests["team/cart:prod"] == BAD


def test_a_refused_write_does_not_hide_that_the_rollback_is_good(world: World) -> None:
    world.registry.refuses["team/cart:prod"] = RefusedError("team/cart:prod was not moved: 403, may not push.")
    outcome = operation.execute(world.run(retag=True), world.ports())
    assert (outcome.ending.code, outcome.ending.stage) == (4, "reopen")
    assert outcome.text.startswith("prod runs v1, 2 of 2 ready. But tags were to be moved, and not all were (4): ")
    assert "403, may not push" in outcome.text
    assert "`rollback retag` moves them." in outcome.text
    assert ":prod in team/cart is still v2: the next ordinary deploy brings it back." in outcome.text
    assert world.registry.digests["team/user:prod"] == GOOD, "the others are moved all the same"
    assert "| :prod in team/cart is still v2" in incident(world)


def test_entered_again_only_the_tag_that_failed_is_tried(world: World) -> None:
    world.registry.refuses["team/cart:prod"] = RefusedError("503")
    run = world.run(retag=True)
    operation.execute(run, world.ports())
    world.registry.refuses = {"team/user:prod": RefusedError("must not be asked")}
    outcome = operation.execute(run, world.ports())
    assert (outcome.ending.code, set(outcome.ending.moved_tags)) == (0, set(BOTH))
    assert "brings it back" not in outcome.text


def test_a_tag_that_a_fresh_deploy_moved_is_left_and_said(world: World) -> None:
    class Deploying(FakeProgress):
        def stage(self, stage: str) -> None:
            if stage == "reopen":
                world.registry.digests["team/cart:prod"] = NEWER

    outcome = operation.execute(world.run(retag=True), world.ports(progress=Deploying()))
    assert outcome.ending.code == 0
    assert world.registry.digests["team/cart:prod"] == NEWER
    assert (outcome.ending.moved_tags, outcome.ending.left_tags) == (("team/user:prod",), ("team/cart:prod",))
    assert "team/cart:prod was moved by someone else meanwhile and left so" in outcome.text
    assert "brings it back" not in outcome.text
    assert "| team/cart:prod was moved by someone else" in incident(world)


def test_a_write_that_nobody_can_tell_is_unclear(world: World) -> None:
    world.registry.refuses["team/cart:prod"] = FailedError("whether team/cart:prod was moved is not known: 500")
    outcome = operation.execute(world.run(retag=True), world.ports())
    assert outcome.ending.code == 4
    assert "it is not certain whether this was done: team/cart:prod pointed at" in outcome.text
    assert "is still v2" not in outcome.text, "nobody knows"


def test_every_move_is_in_the_journal_before_and_after(world: World) -> None:
    run = world.run(retag=True)
    operation.execute(run, world.ports())
    events = [e for e in run.events() if e.key == "retag/team/cart:prod"]
    assert [(e.mark, e.before, e.after) for e in events] == [(Mark.ANNOUNCED, BAD, GOOD), (Mark.DONE, "", "")]


def test_an_offline_plan_moves_no_tag(world: World) -> None:
    run = world.run(retag=True, offline=True)
    operation.plan(run, world.ports())
    assert run.get(Plan).retag == ()
