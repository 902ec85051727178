"""What the page of a build says at each moment, and what it goes on saying where the build dies (J2)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rollback_lib.core.traffic import slots
from rollback_lib.sandbox.playground import Playground
from tests.command_line import rollback
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
    assert re.fullmatch(r"Looks at prod since \d\d:\d\d \S+ Nothing was changed\.", looks.splitlines()[0])
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


def test_what_another_run_has_closed_is_not_said_to_be_open(play: Play, shop: Playground) -> None:  # J4
    live = json.loads(shop.must("get", "service", "user-service", "--output=json"))
    shut = slots.close(live, None, run="20260301-120000-prod-ab12", since="2026-03-01T12:00:00Z")
    marks = {name: shut["metadata"][name] for name in ("annotations", "labels")}
    change = {"metadata": marks, "spec": {"selector": shut["spec"]["selector"]}}
    shop.must("patch", "service", "user-service", "--type=merge", f"--patch={json.dumps(change)}")
    build = play({"RELEASE": "v9.9.9"})
    assert build.result == "FAILURE"
    assert "traffic is open" not in build.text + build.description
    assert "20260301-120000-prod-ab12" in build.description


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


def test_j15_a_good_run_says_each_thing_once_and_little_else(play: Play) -> None:
    build = play(BACK)
    assert build.result == "SUCCESS", build.text
    lines = build.text.splitlines()
    assert len(lines) <= 250, "besides [Pipeline]"
    assert "Only looked" not in build.text
    assert not [line for line in lines if re.match(r"(hash|go|ask|question|approved|name|description)( |$)", line)]
    (plan,) = [line for line in lines if re.match(r"  plan     [0-9a-f]{64}$", line)]
    assert sum(line.startswith("Done in ") for line in lines) == 1
    report = "http://jenkins.test/job/rollback/7/artifact/.rollback/current/report/report.html"
    done = build.description.splitlines()
    assert done[1:] == ["Why: checkout answers 500 (grace)", f"Report: {report}"]
    (question,) = build.questions
    assert f"Plan {plan.split()[1][:12]}: {report.replace('report.html', 'plan.txt')}" in question["message"]
    assert "Traffic stays open." in question["message"]
    assert "Cluster sandbox, namespace ecommerce." in question["message"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ISOLATE": "true"}, "✗ ISOLATE: nothing says what to close: environments.prod.isolation has mode 'none'"),
        ({"RELEASE": "--x"}, "✗ RELEASE: '--x' begins with '-', as options do"),
        ({"ENVIRONMENT": "moon"}, "✗ "),
    ],
)
def test_j6_j14_a_wrong_request_gets_a_page_in_its_own_words(
    play: Play, shop: Playground, asked: dict[str, str], said: str
) -> None:
    before = shop.specs()
    build = play({**BACK, **asked})
    assert build.result == "FAILURE"
    assert shop.specs() == before
    (name, value), lines = next(iter(asked.items())), build.description.splitlines()
    assert lines[0] == "The request is wrong (2). Nothing was changed."
    assert lines[1].startswith(said)
    assert value in lines[1] + lines[2]
    assert f"{name} {value}" in lines[-1]
    assert "REASON checkout answers 500" in lines[-1]
    assert (
        build.display_name
        == f"#7 → {({**BACK, **asked})['RELEASE']}{' moon' if name == 'ENVIRONMENT' else ''}, ended with 2"
    )
    kept = build.archived[".rollback/current/report/wrong-request.txt"].decode()
    assert lines[1] in kept.splitlines()
    assert not [path for path in build.archived if path.endswith(("run.json", "incident.md"))], "no run is invented"
    problem = [line for line in build.text.splitlines() if line.startswith("rollback: ")]
    assert len(problem) == len(set(problem)), "an error stands once"
    assert stages_run(build) == ["detect"]


def test_j14_a_refusal_has_its_reason_on_the_page_and_once_in_the_log(play: Play) -> None:
    build = play({"RELEASE": "v9.9.9", "REASON": "x" * 5000})
    assert build.description.splitlines()[:2] == [
        "Refused (3). Nothing was changed; traffic is open.",
        "✗ There is no tag v9.9.9 in this clone. The newest are v1.2.0, v1.1.0, v1.0.0. If the remote has it, "
        "`git fetch --tags` brings it: a clone may lack tags, a shallow one most.",
    ]
    assert build.text.count("There is no tag v9.9.9") == 1
    assert stages_run(build)[-2:] == ["resolve", "document"], "a long reason stops nothing"


def test_j14_who_holds_the_lock_stands_on_the_page(play: Play, shop: Playground) -> None:
    def somebody_deploys(command: str) -> None:
        if command == "stage approve":
            hold = ("guard", "--hold", "--release", "v1.1.0", "-e", "prod")
            done = rollback(*hold, folder=shop.repository, environ=shop.environment())
            assert done.code == 0, done

    build = play(BACK, before=somebody_deploys)
    lines = build.description.splitlines()
    assert lines[0].startswith("Locked (6). Nothing was changed")
    assert lines[1].startswith("✗ ")
    assert "v1.1.0" in lines[1]
    assert lines[2] == "Next, as ACTION: free the lock (if nobody works there any more)."


def test_a_failed_run_says_what_to_choose_next(play: Play, shop: Playground) -> None:
    def it_goes_wrong_again(command: str) -> None:
        if command == "stage verify":
            shop.must("set", "image", "deployment/user-service", "user-service=sanjodb/user-service:none")

    build = play({**BACK, "REASON": ""}, before=it_goes_wrong_again, abort_when="Verifying (verify)")
    ways = (
        "Next, as ACTION: resume (finishes it), undo (goes back to the state before it), free the lock (if nobody "
        "works there any more)."
    )
    assert ways in build.description.splitlines()
