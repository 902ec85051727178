"""What the page says where a build's ACTION is no run, and how the question begins where it is one."""

from __future__ import annotations

import msgspec
import pytest

from rollback_lib.core.jenkins import actions, page
from rollback_lib.core.settings.action import Action
from tests.core.jenkins.test_page import facts, read
from tests.core.report import stories


def test_each_environment_of_each_application_has_a_lock_of_its_own() -> None:  # J16
    assert facts("planned")["lock"] == page.lock_of(stories.request().application, "prod")
    names = {page.lock_of(a, e) for a in ("shop", "bank") for e in ("prod", "stage")}
    assert len(names) == 4


@pytest.mark.parametrize("action", [Action.REOPEN, Action.FREE])
@pytest.mark.parametrize("language", ["en", "es"])
def test_what_is_no_run_has_a_page_too(action: Action, language: str) -> None:
    look = actions.Look(
        action=action, application="shop", environment="prod", where="prod (namespace shop at https://k)", at="",
        hash="h", holder="r1", whose="run r1 by ana", closed=("Service/web, closed by run r1",),
    )  # fmt: skip
    said = read(actions.asking(look, language))
    assert (said["go"], said["ask"], said["hash"]) == ("yes", "yes", "h")
    assert "r1" in said["question"]
    assert said["changing"] != said["approved"] != said["question"]
    nothing = msgspec.structs.replace(look, hash="", holder="", whose="", closed=(), unread=("Ingress: forbidden",))
    said = read(actions.asking(nothing, language))
    assert (said["go"], said["ask"]) == ("no", "no")
    assert said["description"].endswith("Ingress: forbidden"), "what could not be seen is said"


def test_the_question_says_what_a_yes_would_do() -> None:
    begins = {
        facts("planned", resumes=resumes, plan=plan)["question"].split(" ")[0]
        for resumes, plan in (
            (False, stories.plan()), (True, stories.plan()), (False, stories.plan(undoes="r0", undone_to="v2")),
        )
    }  # fmt: skip
    assert begins == {"Roll", "Go", "Undo"}
