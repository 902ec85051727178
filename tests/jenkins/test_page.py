"""What the page of a build says at each moment, and what it goes on saying where the build dies (J2)."""

from __future__ import annotations

import re
from pathlib import Path

from rollback_lib.sandbox.playground import Playground
from tests.jenkins.conftest import ROOT, Play
from tests.jenkins.controller import Build, Job
from tests.jenkins.test_pipeline import BACK, stages_run

CHANGING = r"Is changing prod since \d\d:\d\d \S+; how it ended is not known\."


def settles(build: Build) -> list[str]:
    return [words for words, _ in build.commands if words in ("jenkins settle", "stage document")]


def test_the_page_says_what_is_true_before_it_is_true(play: Play) -> None:
    build = play(BACK)
    assert build.result == "SUCCESS", build.text
    looks, waits, approved, changing, done = [said for _, said in build.pages]
    assert re.fullmatch(r"Looks at prod since \d\d:\d\d \S+ Nothing was changed\.", looks)
    assert re.match(r"Waits for approval until \d\d:\d\d \S+; whoever may build this job can say yes\.", waits)
    assert approved.startswith("Approved; waits for an agent and for the lock. Nothing was changed yet.")
    assert re.match(CHANGING, changing)
    assert done.startswith("Done in ")
    commands = [words for words, _ in build.commands]
    before_it = commands.index("jenkins page --moment changes")
    assert commands[before_it : before_it + 2] == ["jenkins page --moment changes", "stage isolate"]
    assert [said for _, said in build.pages if "traffic is open" in said] == [done]  # once it was looked at


def test_a_build_that_is_killed_while_it_writes_does_not_say_that_nothing_was_changed(
    play: Play, shop: Playground
) -> None:
    before = shop.specs()
    build = play(BACK, kill_when="wave 2 of 3")
    assert build.killed
    assert re.match(CHANGING, build.description)
    assert build.display_name == "#7 v1.2.0 → v1.1.0 prod, is changing"
    assert stages_run(build)[-1] == "apply"
    assert shop.specs() != before, "killed too early to be a test"


def test_a_build_that_is_killed_at_the_question_says_until_when_it_waited(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play(BACK, kill_at_question=True)
    assert re.match(r"Waits for approval until .* Nothing was changed\.", build.description)
    assert build.display_name == "#7 v1.2.0 → v1.1.0 prod, waits for approval"
    assert shop.specs() == before


def test_an_agent_that_is_lost_after_the_first_write_leaves_it_open_how_it_ended(play: Play) -> None:
    """The run that the build kept is older than its writes: it would say that nothing was changed."""
    build = play(BACK, lose_at="stage apply")
    assert build.result == "FAILURE", build.text
    assert re.match(CHANGING, build.description)
    assert not settles(build), "a record would be made of what is not known"
    assert build.held.count(("lock", "take")) == build.held.count(("lock", "release")) == 1


def test_an_agent_that_is_lost_before_the_first_write_changed_nothing(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play(BACK, lose_at="stage approve")
    assert build.result == "FAILURE", build.text
    assert "Nothing was changed; traffic is open" in build.description
    assert settles(build) == ["stage document", "jenkins settle"]
    assert shop.specs() == before


def test_without_a_page_that_says_so_nothing_is_changed(play: Play, shop: Playground, program: Path) -> None:
    before = shop.specs()
    (program / "fails").write_text("jenkins page --moment changes")
    build = play(BACK)
    assert build.result == "FAILURE", build.text
    assert stages_run(build)[-2:] == ["approve", "document"]
    assert "Nothing was changed" in build.description
    assert shop.specs() == before


def test_who_may_say_yes_stands_in_the_question_and_on_the_page(play: Play, job: Job, tmp_path: Path) -> None:
    text = job.file.read_text(encoding="utf-8")
    job.file = tmp_path / "Jenkinsfile.rollback"
    job.file.write_text(text.replace("ROLLBACK_APPROVERS = ''", "ROLLBACK_APPROVERS = 'ops,ana'"), encoding="utf-8")
    build = play(BACK, approve="", deny="Timeout has been exceeded")
    assert build.questions[0]["submitter"] == "ops,ana"
    assert any("; ops,ana can say yes." in said for _, said in build.pages)


def test_the_page_promises_as_long_as_the_question_waits() -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    (minutes,) = re.findall(r"ROLLBACK_ASK_MINUTES = '(\d+)'", text)
    ask = text[text.index("stage('Ask')") : text.index("stage('Restore')")]
    (number, unit) = re.findall(r"timeout\(time: (\d+), unit: '(\w+)'\)", ask)[0]
    assert int(minutes) == int(number) * {"MINUTES": 1, "HOURS": 60}[unit]
