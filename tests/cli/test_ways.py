"""The table of `core.run.ways`, cell by cell: each state is brought about, and each command does what stands there.

What `status` and the last line name as the way on is then followed: it ends in a state in which `guard` says go.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from rollback_lib.core.run import lock, ways
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.run.ways import COMMANDS, TABLE, Does, Left
from rollback_lib.sandbox.shop import GOOD, NAMESPACE
from tests.cli.desk import Desk
from tests.command_line import Ended

pytestmark = pytest.mark.long
TO: Final = ("--to", GOOD, "--yes", "--output", "json")
CODES: Final = {Does.GOES: 0, Does.NOTHING: 0, Does.WRONG: 2, Does.REFUSES: 3, Does.LOCKED: 6}


def ran(ended: Ended, code: int = 0) -> Ended:
    assert ended.code == code, ended
    return ended


def newest(desk: Desk) -> str:
    return str(json.loads((desk.runs()[-1] / "run.json").read_text())["run"])


def fails(desk: Desk, service: str, *arguments: str) -> Ended:
    """A command that ends before it can change this service."""
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", service), "500", times=None
    )
    ended = desk.rollback(*arguments)
    desk.playground.cluster.faults.clear()
    assert ended.code in (4, 5), ended
    return ended


def free(desk: Desk) -> str:
    ran(desk.rollback("run", *TO))
    return newest(desk)


def dead(desk: Desk) -> str:
    fails(desk, "user-service", "run", *TO)
    return newest(desk)


def shut(desk: Desk) -> str:
    fails(desk, "cloud-config", "run", *TO, "--isolate")
    return newest(desk)


def undoing(desk: Desk) -> str:
    fails(desk, "cloud-config", "undo", dead(desk), "--yes", "--output", "json")
    return newest(desk)


def lost(desk: Desk) -> str:
    run = dead(desk)
    desk.forget_runs()
    desk.playground.must("delete", "configmap", f"rollback-run-{run}")
    return run


def deploying(desk: Desk) -> str:
    run = abandoned(desk)
    ran(desk.rollback("guard", "--release", "v1.3.0", "--hold"))
    return run


def foreign(desk: Desk) -> str:
    run = abandoned(desk)
    lease = lock.lease("ecommerce", Claim(holder="another"), datetime.now(UTC))
    lease["metadata"].pop("annotations")
    desk.playground.kubectl("create", "--filename=-", given=json.dumps(lease))
    return run


def untouched(desk: Desk) -> str:
    place = str(desk.playground.repository / ".rollback" / "staged")
    for stage in ("detect", "incident", "resolve", "images", "rewrite", "preflight", "approve", "isolate"):
        ran(desk.rollback("stage", stage, *TO, "--run-dir", place))
    run = newest(desk)
    ran(desk.rollback("unlock", "--force", "--yes"))
    return run


def abandoned(desk: Desk) -> str:
    run = dead(desk)
    ran(desk.rollback("unlock", "--force", "--yes"))
    return run


def closed(desk: Desk) -> str:
    run = shut(desk)
    ran(desk.rollback("unlock", "--force", "--yes"))
    return run


def undone(desk: Desk) -> str:
    run = dead(desk)
    ran(desk.rollback("undo", run, "--yes"))
    return run


def superseded(desk: Desk) -> str:
    run = abandoned(desk)
    ran(desk.rollback("run", *TO))
    return run


def unknown(desk: Desk) -> str:
    place = desk.playground.repository / ".rollback" / "brought"
    for stage in ("detect", "incident", "resolve", "images", "rewrite", "preflight", "approve"):
        ran(desk.rollback("stage", stage, *TO, "--run-dir", str(place)))
    request = json.loads((place / "run.json").read_text())
    (place / "run.json").write_text(json.dumps(request | {"repository": "/home/ana/shop"}))
    return str(request["run"])


MAKE: Final[dict[Left, Callable[[Desk], str]]] = {
    Left.FREE: free, Left.DEAD: dead, Left.SHUT: shut, Left.UNDOING: undoing, Left.LOST: lost,
    Left.DEPLOYING: deploying, Left.FOREIGN: foreign, Left.UNTOUCHED: untouched, Left.ABANDONED: abandoned,
    Left.CLOSED: closed, Left.UNDONE: undone, Left.SUPERSEDED: superseded, Left.UNKNOWN: unknown,
}  # fmt: skip


class Kept:
    """The shop and the run directories, to be put back before each command."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runs = desk, desk._runs
        self.aside = desk.playground.repository.parent / "kept-runs"
        self.state = desk.playground.keep_state()
        shutil.rmtree(self.aside, ignore_errors=True)
        if self.runs.exists():
            shutil.copytree(self.runs, self.aside)

    def put_back(self) -> None:
        self.desk.playground.put_back(self.state)
        self.desk.forget_runs()
        if self.aside.exists():
            shutil.copytree(self.aside, self.runs)


def place_of(desk: Desk, run: str) -> str:
    found = [p for p in desk.runs() if json.loads((p / "run.json").read_text())["run"] == run]
    return str(found[0] if found else desk._runs / run)


def written(desk: Desk, run: str, command: str) -> tuple[str, ...]:
    return {
        ways.RUN: ("run", *TO), ways.AGAIN: ("run", *TO, "--run-dir", place_of(desk, run)),
        ways.RESUME: ("resume", run), ways.UNDO: ("undo", run, "--yes"), ways.REOPEN: ("reopen", "--yes"),
        ways.UNLOCK: ("unlock", "--force", "--yes"), ways.GUARD: ("guard", "--release", "v1.4.0"),
        ways.STATUS: ("status",),
    }[command]  # fmt: skip


def isolates(desk: Desk) -> None:
    isolation = f"    namespace: {NAMESPACE}\n    isolation: {{mode: service, targets: [user-service]}}\n"
    file = desk.playground.repository / "rollback.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(f"    namespace: {NAMESPACE}\n", isolation), encoding="utf-8")


def test_every_state_and_every_command_stands_in_the_table() -> None:
    assert set(TABLE) == set(Left) == set(MAKE)
    assert all(set(row) == set(COMMANDS) for row in TABLE.values())


@pytest.mark.parametrize("left", Left, ids=str)
def test_each_command_does_what_the_table_says(desk: Desk, left: Left) -> None:
    isolates(desk)
    run = MAKE[left](desk)
    kept, wrong = Kept(desk), list[str]()
    for command in COMMANDS:
        kept.put_back()
        before, does = desk.objects(), TABLE[left][command]
        ended = desk.rollback(*written(desk, run, command))
        if ended.code != CODES[does]:
            wrong.append(f"{command}: {ended.code}, not {does}: {(ended.out + ended.err)[-700:]}")
        elif does is not Does.GOES and desk.objects() != before:
            wrong.append(f"{command}: {does}, and it changed objects")
        elif does in (Does.REFUSES, Does.LOCKED) and "rollback " not in ended.out + ended.err:
            wrong.append(f"{command}: {does}, and it names no way on: {ended}")
    assert not wrong, "\n\n".join(wrong)


def go(desk: Desk) -> bool:
    status = ran(desk.rollback("status", "--output", "json")).json
    return desk.rollback("guard", "--release", "v1.4.0").code == 0 and status["traffic"] == "open"


@pytest.mark.parametrize("left", Left, ids=str)
def test_each_way_that_is_named_ends_where_a_deploy_can_go_on(desk: Desk, left: Left) -> None:
    isolates(desk)
    run = MAKE[left](desk)
    named = ran(desk.rollback("status", "--output", "json")).json["next"]
    holder = "v1.3.0" if left is Left.DEPLOYING else "" if left is Left.FOREIGN else run
    known: Any = [list(way) for way in ways.ways(left, holder, "prod")]
    assert named == known or go(desk), f"status names {named}"
    kept = Kept(desk)
    for way in known:
        kept.put_back()
        follow(desk, way)
        assert go(desk), way


def test_after_an_undo_that_died_and_was_resumed_nothing_is_left_to_resume(desk: Desk) -> None:
    run = undoing(desk)
    ran(desk.rollback("resume", run))
    before = desk.objects()
    assert ran(desk.rollback("resume")).out == "Nothing to resume: no run is unfinished.\n"
    assert desk.objects() == before
    assert go(desk)


def follow(desk: Desk, way: list[str]) -> None:
    """The way, and what `status` names as long as it is none on which a deploy can go on."""
    for _ in range(3):
        more = {"run": TO, "resume": (), "guard": ()}.get(way[0], ("--yes",))
        ran(desk.rollback(*way, *more))
        if go(desk):
            return
        way = ran(desk.rollback("status", "--output", "json")).json["next"][0]
