"""`resume` and `stage` of a run that is over: refused, with what to do instead; with the real commands."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import BAD
from tests.cli.desk import Desk
from tests.command_line import Ended

RUN = ("run", "--to", "v1.1.0", "--yes", "--output", "json")
pytestmark = pytest.mark.long


def dies_half_way(desk: Desk) -> str:
    """A run that has changed two services and cannot change the third; its id."""
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), "500", times=None
    )
    ended = desk.rollback(*RUN)
    assert ended.code == 4, ended
    desk.playground.cluster.faults.clear()
    return str(json.loads((desk.runs()[-1] / "run.json").read_text())["run"])


def unlocks(desk: Desk) -> Ended:
    ended = desk.rollback("unlock", "--force", "--yes")
    assert ended.code == 0, ended
    return ended


def is_refused(desk: Desk, run: str, *command: str) -> str:
    before, mark = desk.objects(), len(desk.playground.cluster.requests)
    ended = desk.rollback(*command)
    assert ended.code == 3, ended
    said = " ".join((ended.out + ended.err).split())
    assert run in said
    assert desk.objects() == before
    assert [e for e in list(desk.playground.cluster.requests)[mark:] if e.is_write and "dryRun" not in e.query] == []
    return said


@pytest.mark.parametrize("where", ["in a fresh clone", "where it began"])
def test_a_run_that_others_came_after_is_not_revived(desk: Desk, where: str) -> None:
    run = dies_half_way(desk)
    unlocks(desk)
    desk.playground.deploy(BAD)
    assert desk.rollback(*RUN).code == 0
    desk.playground.deploy(BAD)
    if "fresh" in where:
        desk.forget_runs()
        said = is_refused(desk, run, "resume")
    else:
        said = is_refused(desk, run, "resume", run)
    assert "came after it" in said
    assert f"rollback undo {run}" in said or "fresh" in where
    again = desk.rollback(*RUN)
    assert again.code == 0, again


def test_a_run_whose_lock_was_taken_away_is_not_revived_and_a_new_one_goes_on(desk: Desk) -> None:
    run = dies_half_way(desk)
    assert f"rollback undo {run}" in " ".join(unlocks(desk).out.split())
    for command in (
        ("resume",),
        ("resume", run),
        ("resume", run, "--take-over"),
        ("resume", "--accept", f"unknown-run:{run}"),
    ):
        said = is_refused(desk, run, *command)
        assert "its lock was taken away" in said
        assert f"rollback undo {run}" in said
    desk.forget_runs()
    is_refused(desk, run, "resume")
    again = desk.rollback(*RUN)
    assert again.code == 0, again


def test_a_stage_that_would_write_is_refused_as_well(desk: Desk) -> None:
    run = dies_half_way(desk)
    place = str(desk.runs()[-1])
    unlocks(desk)
    for stage in ("isolate", "apply", "verify", "reopen"):
        is_refused(desk, run, "stage", stage, "--run-dir", place)
    is_refused(desk, run, "run", "--to", "v1.1.0", "--yes", "--run-dir", place)


def test_it_can_still_be_undone(desk: Desk) -> None:
    run = dies_half_way(desk)
    unlocks(desk)
    is_refused(desk, run, "resume")
    ended = desk.rollback("undo", run, "--yes")
    assert ended.code == 0, ended
    is_refused(desk, run, "resume", run)


def test_a_deploy_that_did_not_ask_for_the_lock_is_not_overwritten(desk: Desk) -> None:
    run = dies_half_way(desk)
    desk.playground.deploy(BAD)
    said = is_refused(desk, run, "resume")
    assert "deployed after it" in said
    taken = desk.rollback(*RUN, "--take-over")
    assert taken.code == 0, taken


def brought(desk: Desk, how: str) -> str:
    """A run that is approved and has not begun, in a directory that somebody brought here; its id."""
    place = desk.playground.repository / ".rollback" / "brought"
    for stage in ("detect", "incident", "resolve", "images", "rewrite", "preflight", "approve"):
        ended = desk.rollback("stage", stage, "--to", "v1.1.0", "--yes", "--run-dir", str(place))
        assert ended.code == 0, ended
    if how == "committed":
        desk._git("add", "--force", "--", ".rollback/brought")
    if how == "carried":
        request = json.loads((place / "run.json").read_text())
        (place / "run.json").write_text(json.dumps(request | {"repository": "/home/ana/shop"}))
    return str(json.loads((place / "run.json").read_text())["run"])


@pytest.mark.parametrize("how", ["committed", "carried"])
def test_an_approval_that_somebody_brought_here_does_not_count(desk: Desk, how: str) -> None:
    run = brought(desk, how)
    try:
        said = is_refused(desk, run, "resume")
        assert f"--accept unknown-run:{run}" in said
        is_refused(desk, run, "resume", "--yes")
        ended = desk.rollback("resume", "--accept", f"unknown-run:{run}", "--output", "json")
        assert ended.code == 0, ended
    finally:
        desk._git("rm", "-r", "--force", "--cached", "--quiet", "--ignore-unmatch", "--", ".rollback")


def test_an_approval_of_this_machine_counts(desk: Desk) -> None:
    brought(desk, "made here")
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
