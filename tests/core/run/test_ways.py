"""What leads on from each state: named in an order, and only what the table says goes."""

from __future__ import annotations

import pytest

from rollback_lib.core.run import lock, ways
from rollback_lib.core.run.lock import Claim, Held
from rollback_lib.core.run.ways import COMMANDS, TABLE, Does, Left

RUN = "20260301-0900-prod-a"
FIRST = {
    Left.FREE: None, Left.DEAD: "resume", Left.SHUT: "resume", Left.UNDOING: "resume", Left.LOST: "unlock",
    Left.DEPLOYING: "guard", Left.FOREIGN: "unlock", Left.UNTOUCHED: "resume", Left.ABANDONED: "run",
    Left.CLOSED: "reopen", Left.UNDONE: "run", Left.SUPERSEDED: None, Left.UNKNOWN: "run",
}  # fmt: skip


@pytest.mark.parametrize("left", Left)
def test_the_first_way_and_that_each_goes(left: Left) -> None:
    found = ways.ways(left, RUN, "prod")
    assert (found[0][0] if found else None) == FIRST[left]
    assert all(TABLE[left][way[0]] is Does.GOES for way in found if way[0] != "guard")
    assert all(way[-2:] == ("-e", "prod") for way in found)
    assert all(RUN in way for way in found if way[0] in ("resume", "undo", "guard"))


@pytest.mark.parametrize("left", Left)
def test_where_a_deploy_may_not_go_on_a_way_is_named_and_the_lock_s_command_frees_it(left: Left) -> None:
    assert set(TABLE[left]) == set(COMMANDS)
    if TABLE[left][ways.GUARD] is not Does.GOES:
        assert ways.ways(left, RUN)
        assert TABLE[left][ways.UNLOCK] is Does.GOES
        assert TABLE[left][ways.RUN] is Does.LOCKED


def test_nothing_is_named_that_needs_a_run_where_none_is_known() -> None:
    assert ways.ways(Left.CLOSED) == (("reopen",),)
    assert "undo" not in ways.text(ways.ways(Left.UNDOING, RUN)), "nobody is advised to undo an undo"


@pytest.mark.parametrize(
    ("claim", "more", "left"),
    [
        (Claim(holder=RUN), {}, Left.DEAD),
        (Claim(holder=RUN, nonce="alive"), {}, Left.DEAD),
        (Claim(holder=RUN), {"closed": True}, Left.SHUT),
        (Claim(holder=RUN, undoes="another"), {}, Left.UNDOING),
        (Claim(holder=RUN), {"kept": False, "closed": True}, Left.LOST),
        (Claim(holder="v1.3.0", kind=lock.DEPLOY), {}, Left.DEPLOYING),
        (None, {}, Left.FOREIGN),
    ],
)
def test_what_a_look_at_the_lock_says(claim: Claim | None, more: dict[str, bool], left: Left) -> None:
    held = Held(lease={"metadata": {}}, claim=claim)
    assert ways.of_lock(held, **more) is left
    assert ways.of_lock(None) is Left.FREE
    assert ways.of_lock(None, closed=True) is Left.CLOSED
