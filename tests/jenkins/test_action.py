"""ACTION, as a whole build does it: what is asked, what is done after a yes, and what the page says (J3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollback_lib.sandbox.playground import Playground
from tests.command_line import Ended, rollback
from tests.jenkins.conftest import Play
from tests.jenkins.controller import Build
from tests.jenkins.test_pipeline import BACK, report, stages_run

HELD = ("guard", "--release", "v1.3.0", "--hold")


def on_another_machine(shop: Playground, *words: str) -> Ended:
    return rollback(*words, folder=shop.repository, environ=shop.environment())


def record(build: Build) -> dict[str, object]:
    found: dict[str, object] = json.loads(build.archived[".rollback/current/report/action.json"])
    return found


def test_whoever_has_the_lock_is_told_before_anybody_is_asked(play: Play, shop: Playground) -> None:
    assert on_another_machine(shop, *HELD).code == 0
    build = play(BACK)
    assert (build.result, build.questions) == ("FAILURE", [])
    assert report(build)["exit_code"] == 6
    assert "is locked by deploy v1.3.0" in build.text


def test_free_the_lock_asks_about_the_holder_and_frees_it(play: Play, shop: Playground) -> None:
    assert on_another_machine(shop, *HELD).code == 0
    build = play({"ACTION": "free the lock"})
    assert build.result == "SUCCESS", build.text
    (question,) = build.questions
    assert "It is held by deploy v1.3.0" in question["message"]
    assert (question["executors"], question["locks"], question["limited"]) == (0, 0, True)
    assert on_another_machine(shop, "unlock").code == 0
    assert stages_run(build) == []
    assert build.display_name == "#7 free the lock prod, done"
    assert record(build)["approved_by"] == "ada"
    begun = [said for _, said in build.pages if "how it ended is not known" in said]
    assert begun, "before it was done, the page said that it had begun (J2)"


@pytest.mark.parametrize("who", ["nobody says yes", "another one has it by then"])
def test_free_the_lock_leaves_it_where_that_was_not_asked(play: Play, shop: Playground, who: str) -> None:
    assert on_another_machine(shop, *HELD).code == 0

    def another() -> None:
        assert on_another_machine(shop, "guard", "--release", "v1.3.0", "--done").code == 0
        assert on_another_machine(shop, "guard", "--release", "v1.4.0", "--hold").code == 0

    build = play({"ACTION": "free the lock"}, **({"approve": ""} if "nobody" in who else {"at_question": another}))
    code = 7 if "nobody" in who else 6
    assert build.result == ("ABORTED" if code == 7 else "FAILURE"), build.text
    assert on_another_machine(shop, "unlock").code == 6
    assert record(build)["code"] == code
    assert build.display_name == f"#7 free the lock prod, ended with {code}"


def test_with_nothing_to_open_nobody_is_asked(play: Play) -> None:
    build = play({"ACTION": "reopen traffic"})
    assert (build.result, build.questions) == ("SUCCESS", []), build.text
    assert build.display_name == "#7 reopen traffic prod, nothing to do"


def test_resume_finishes_what_an_earlier_build_left(play: Play, shop: Playground, program: Path) -> None:
    first = play(BACK, abort_when="wave 2 of 3")
    assert report(first)["exit_code"] == 4, first.text
    build = play({"ACTION": "resume"}, 8)
    assert build.result == "SUCCESS", build.text
    assert [s.is_release("v1.1.0") for s in shop.services()] == [True] * len(shop.services())
    assert f"Go on with run {report(first)['run']}" in build.questions[0]["message"]
    assert report(build)["run"] == report(first)["run"]
    assert build.display_name.startswith("#8 v1.2.0 → v1.1.0 prod, 10/10, ")
