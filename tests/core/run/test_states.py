"""A run that is entered again: it goes on while its claim stands and nothing came after it."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.run import lock
from rollback_lib.core.run.journal import LOCK_RELEASED, LOCK_TAKEN, Event, Mark
from rollback_lib.core.run.lock import Claim, Held
from rollback_lib.core.run.states import Circumstances, Is, Standing, has_begun, refusal, standing

RUN = "20260301-0900-prod-a"
OTHER = "20260301-1000-prod-b"
CART, USER = "apply/deployment/cart", "apply/deployment/user"


def journal(*happened: tuple[Mark, str]) -> list[Event]:
    return [
        Event(seq=n, at="2026-03-01T09:00:00+00:00", mark=mark, stage="apply", key=key, what=key)
        for n, (mark, key) in enumerate(happened)
    ]


ANNOUNCED = ((Mark.ANNOUNCED, LOCK_TAKEN),)
TAKEN = (*ANNOUNCED, (Mark.DONE, LOCK_TAKEN))
HALF = (*TAKEN, (Mark.ANNOUNCED, CART), (Mark.DONE, CART))
WHOLE = (*HALF, (Mark.ANNOUNCED, USER), (Mark.DONE, USER))
GIVING = (*WHOLE, (Mark.ANNOUNCED, LOCK_RELEASED))
GIVEN = (*GIVING, (Mark.DONE, LOCK_RELEASED))
LET_GO = (*TAKEN, (Mark.ANNOUNCED, LOCK_RELEASED), (Mark.DONE, LOCK_RELEASED))
UNDONE = (*HALF, (Mark.DONE, LOCK_RELEASED))
REFUSED = (*ANNOUNCED, (Mark.NOT_DONE, LOCK_TAKEN))

MINE = Held(lease={"metadata": {}}, claim=Claim(holder=RUN))
THEIRS = Held(lease={"metadata": {}}, claim=Claim(holder=OTHER))
DEPLOY = Held(lease={"metadata": {}}, claim=Claim(holder="v1.3.0", kind=lock.DEPLOY))
FOREIGN = Held(lease={"metadata": {}})


def objects(cart: Is, user: Is) -> tuple[tuple[str, Is], ...]:
    return (CART, cart), (USER, user)


BEFORE, MIXED, AFTER = objects(Is.BEFORE, Is.BEFORE), objects(Is.AFTER, Is.BEFORE), objects(Is.AFTER, Is.AFTER)
DEPLOYED = objects(Is.OTHER, Is.OTHER)

CASES: dict[str, tuple[Any, dict[str, Any], Standing]] = {
    "not begun": ((), {}, Standing.NEW),
    "approved here and not begun": ((), {"approved": True}, Standing.NEW),
    "approved, not begun, known by its copy": ((), {"approved": True, "own": False, "copy": True}, Standing.NEW),
    "approved, not begun, brought here": ((), {"approved": True, "own": False}, Standing.UNKNOWN),
    "not approved, brought here: it will be asked": ((), {"own": False}, Standing.NEW),
    "approved, and a run came after": ((), {"approved": True, "later": (OTHER,)}, Standing.OUTDATED),
    "approved, and a deploy came after": ((), {"approved": True, "objects": DEPLOYED}, Standing.OUTDATED),
    "not approved, and a deploy came after: preflight says so": ((), {"objects": DEPLOYED}, Standing.NEW),
    "its lock was refused": (REFUSED, {"objects": BEFORE}, Standing.NEW),
    "it let go of a lock for nothing": (LET_GO, {"objects": BEFORE}, Standing.NEW),
    "killed while it took the lock": (ANNOUNCED, {"objects": BEFORE}, Standing.UNTOUCHED),
    "the same, from its copy": (ANNOUNCED, {"objects": BEFORE, "copy": True, "own": False}, Standing.UNTOUCHED),
    "the same, brought here": (ANNOUNCED, {"objects": BEFORE, "own": False}, Standing.UNKNOWN),
    "holds, nothing changed": (TAKEN, {"held": MINE, "objects": BEFORE}, Standing.HOLDS),
    "holds, half done": (HALF, {"held": MINE, "objects": MIXED}, Standing.HOLDS),
    "holds, more done than its copy knows": (ANNOUNCED, {"held": MINE, "objects": MIXED}, Standing.HOLDS),
    "holds, its object was put back": (HALF, {"held": MINE, "objects": BEFORE}, Standing.OUTDATED),
    "holds, and a deploy came after": (HALF, {"held": MINE, "objects": DEPLOYED}, Standing.OUTDATED),
    "unlocked, nothing changed": (TAKEN, {"objects": BEFORE, "copy": True}, Standing.UNTOUCHED),
    "unlocked, nothing changed, copy gone": (TAKEN, {"objects": BEFORE}, Standing.UNKNOWN),
    "unlocked, nothing changed, redeployed": (TAKEN, {"objects": DEPLOYED, "copy": True}, Standing.OUTDATED),
    "unlocked, nothing changed, a run came after":
        (TAKEN, {"objects": BEFORE, "copy": True, "later": (OTHER,)}, Standing.OUTDATED),
    "unlocked, half done": (HALF, {"objects": MIXED, "copy": True}, Standing.ABANDONED),
    "unlocked, half done, from its copy": (ANNOUNCED, {"objects": MIXED, "copy": True}, Standing.ABANDONED),
    "unlocked, half done, put back": (HALF, {"objects": BEFORE, "copy": True}, Standing.ABANDONED),
    "another run has its lock": (HALF, {"objects": MIXED, "held": THEIRS}, Standing.ABANDONED),
    "a deploy has its lock": (HALF, {"objects": MIXED, "held": DEPLOY}, Standing.ABANDONED),
    "another program has its lock": (HALF, {"objects": MIXED, "held": FOREIGN}, Standing.ABANDONED),
    "another run has the lock, nothing changed": (TAKEN, {"objects": BEFORE, "held": THEIRS, "copy": True},
        Standing.UNTOUCHED),
    "half done, and a run came after": (HALF, {"objects": AFTER, "later": (OTHER,)}, Standing.OUTDATED),
    "killed while it gave the lock back": (GIVING, {"objects": AFTER}, Standing.OVER),
    "given back and killed, from its copy": (WHOLE, {"objects": AFTER, "copy": True}, Standing.OVER),
    "unlocked, all changed, traffic closed": (WHOLE, {"objects": AFTER, "closed": True}, Standing.ABANDONED),
    "given back": (GIVEN, {"objects": AFTER}, Standing.OVER),
    "undone by another run": (UNDONE, {"objects": BEFORE}, Standing.ABANDONED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_a_run_stands(case: str) -> None:
    happened, seen, expected = CASES[case]
    approved = seen.get("approved", False)
    found = Circumstances(**{k: v for k, v in seen.items() if k != "approved"})
    stands = standing(RUN, journal(*happened), found, approved=approved)
    assert stands is expected
    refused = refusal(stands, RUN, journal(*happened), found)
    assert (refused is not None) == (expected in (Standing.ABANDONED, Standing.OUTDATED, Standing.UNKNOWN))


def test_a_refusal_names_the_ways_on() -> None:
    events = journal(*HALF, (Mark.ANNOUNCED, "close/service/cart/1"), (Mark.DONE, "close/service/cart/1"))
    found = refusal(Standing.ABANDONED, RUN, events, Circumstances(objects=MIXED))
    assert found is not None
    assert found.code == "", "nothing makes it right"
    for way in ("`rollback reopen`", f"`rollback undo {RUN}`", "`rollback run`"):
        assert way in str(found)
    untouched = refusal(Standing.OUTDATED, RUN, journal(*TAKEN), Circumstances(later=(OTHER,)))
    assert "undo" not in str(untouched), "there is nothing to undo"
    assert OTHER in str(untouched)


def test_a_run_that_has_the_lock_still_is_replaced_by_one_that_takes_it_over() -> None:
    found = refusal(Standing.OUTDATED, RUN, journal(*HALF), Circumstances(held=MINE, objects=DEPLOYED))
    assert "`rollback run --take-over`" in str(found)
    assert "--take-over" not in str(refusal(Standing.OUTDATED, RUN, journal(*HALF), Circumstances(objects=DEPLOYED)))


def test_a_run_of_which_only_tags_are_left_goes_on_unless_somebody_came_after_it() -> None:
    only = {"tags": True, "copy": True}
    assert standing(RUN, journal(*GIVEN), Circumstances(objects=AFTER, **only)) is Standing.OVER
    for after in ({"objects": DEPLOYED}, {"objects": AFTER, "later": (OTHER,)}):
        seen = Circumstances(**only, **after)
        assert standing(RUN, journal(*GIVEN), seen) is Standing.OUTDATED
        assert "`rollback retag`" in str(refusal(Standing.OUTDATED, RUN, journal(*GIVEN), seen))


def test_an_unknown_run_is_accepted_by_its_own_name_only() -> None:
    found = refusal(Standing.UNKNOWN, RUN, (), Circumstances(own=False))
    assert found is not None
    assert found.code == f"unknown-run:{RUN}"
    assert refusal(Standing.UNKNOWN, RUN, (), Circumstances(own=False), (found.code,)) is None
    assert refusal(Standing.UNKNOWN, RUN, (), Circumstances(own=False), (f"unknown-run:{OTHER}",)) is not None
    assert refusal(Standing.ABANDONED, RUN, (), Circumstances(), (found.code,)) is not None


def test_a_run_has_begun_once_its_lock_may_be_there() -> None:
    assert [has_begun(journal(*h)) for h in ((), REFUSED, ANNOUNCED, TAKEN, LET_GO)] == [False, False, True, True, True]
