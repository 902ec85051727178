from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollback_lib.core.jenkins import loop_guard
from rollback_lib.core.jenkins.loop_guard import KEPT, Attempt, History
from rollback_lib.core.run.journal import Ending

DAY = 86_400.0


def attempt(**values: Any) -> Attempt:
    given = {
        "request_id": "r-2", "run": "run-2", "at": "2026-03-02T12:00:00+00:00", "job": "shop/deploy", "build": 42,
        "left": "v1.3.0", "target": "v1.1.0", **values,
    }  # fmt: skip
    return Attempt(**given)


BEFORE = attempt(request_id="r-1", run="run-1", at="2026-03-02T09:00:00+00:00", build=41, left="v1.2.0", outcome="done")


def against(*history: Attempt, upstream_is_rollback: bool = False, limit: int = 2, **asked: Any) -> str:
    found = loop_guard.refusals(
        history, attempt(**asked), upstream_is_rollback=upstream_is_rollback, limit=limit, window=DAY
    )
    assert all(not refusal.code for refusal in found), "nothing of this can be accepted by a parameter"
    return "\n".join(refusal.text for refusal in found)


def test_a_first_one_and_one_after_a_good_one_may_go() -> None:
    assert against() == ""
    assert against(BEFORE) == ""


def test_what_a_rollback_started_is_not_rolled_back() -> None:
    assert "itself a rollback" in against(upstream_is_rollback=True)


@pytest.mark.parametrize("same", [{"request_id": "r-1"}, {"build": 41}])
def test_a_request_or_a_build_is_served_once(same: dict[str, Any]) -> None:
    assert "asked for already, as request r-1" in against(BEFORE, **same)


@pytest.mark.parametrize("outcome", ["done", "nothing", "failed", "begun"])
def test_only_so_many_in_a_time(outcome: str) -> None:
    one = msgspec.structs.replace(BEFORE, outcome=outcome)
    assert "1 automatic rollbacks since 2026-03-01T12:00+00:00, of 1" in against(one, limit=1)
    old = msgspec.structs.replace(one, at="2026-03-01T12:00:00+00:00")
    assert "automatic rollbacks since" not in against(old, limit=1), "exactly a window ago is over"


@pytest.mark.parametrize(("outcome", "said"), [("failed", "failed"), ("begun", "never said how it ended")])
@pytest.mark.parametrize("at", ["2026-03-02T09:00:00+00:00", "2025-01-01T00:00:00+00:00"])
def test_after_one_that_failed_or_vanished_only_a_person(outcome: str, said: str, at: str) -> None:
    assert said in against(msgspec.structs.replace(BEFORE, outcome=outcome, at=at))


def test_never_to_a_release_that_an_automatic_rollback_left() -> None:
    old = msgspec.structs.replace(BEFORE, at="2025-01-01T00:00:00+00:00")
    assert "v1.2.0 is the release that the automatic rollback run-1 went away from" in against(old, target="v1.2.0")


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (Ending(code=0, traffic="open", changed=("x",)), "done"),
        (Ending(code=0, traffic="open"), "done"),
        (Ending(code=7, traffic="open"), "nothing"),
        (Ending(code=3, traffic="open"), "nothing"),
        (Ending(code=4, traffic="open", changed=("x",)), "failed"),
        (Ending(code=70, traffic="open", unclear=("x",)), "failed"),
    ],
)
def test_how_it_ended_is_kept(ending: Ending, outcome: str) -> None:
    history = History(attempts=(BEFORE, attempt()))
    after = loop_guard.settled(history, "run-2", ending, automatic=True)
    assert [a.outcome for a in after.attempts] == ["done", outcome]


def test_a_person_s_good_run_clears_what_stands_open() -> None:
    failed = msgspec.structs.replace(BEFORE, outcome="failed")
    history = History(attempts=(failed,))
    good, nothing = Ending(code=0, traffic="open", changed=("x",)), Ending(code=0, traffic="open")
    assert loop_guard.settled(history, "by-hand", nothing, automatic=False) == history
    after = loop_guard.settled(history, "by-hand", good, automatic=False)
    assert [a.outcome for a in after.attempts] == ["cleared"]
    assert against(*after.attempts) == ""


def test_the_history_does_not_grow_without_end() -> None:
    history = History()
    for number in range(KEPT + 5):
        history = loop_guard.with_attempt(history, attempt(build=number))
    assert [a.build for a in history.attempts] == list(range(5, KEPT + 5))
