"""When Jenkins evaluates what, and what it gives back: the rules of RULES.md beside the validator's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jenkins import served
from tests.jenkins.conftest import defaults
from tests.jenkins.controller import Answers, Build, Job
from tests.jenkins.engine import Engine

Run = Callable[..., Build]
FIRST = "stage('First') { steps { script { env.LATER = 'set' } } }"
WAITS = "options { timeout(time: 1, unit: 'HOURS') }"


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Run:
    """One build of these stages; ``parameters=None`` is a job's first."""

    def ran(
        stages: str, parameters: dict[str, Any] | None = None, post: str = "", functions: str = "", **answers: Any
    ) -> Build:
        file = tmp_path / "Jenkinsfile"
        top = "agent none\nparameters { string(name: 'P', defaultValue: 'p') }\nenvironment { TOP = 'top' }"
        file.write_text(f"pipeline {{\n{top}\nstages {{\n{stages}\n}}\n{post}\n}}\n{functions}\n", encoding="utf-8")
        job = Job(file, tmp_path / "workspaces", tmp_path, {"PATH": "/usr/bin:/bin"}, defaults={"P": "p"})
        build = Build(job, parameters, Answers(**answers)).run(engine)
        assert "rules" not in build.end, build.end
        return build

    return ran


def given(build: Build, block: str) -> list[Any]:
    """What each of these blocks was given, without its frame's name."""
    return [list(found.values()) for name, found in build.entered if name == block]


def test_an_input_directive_is_made_before_any_stage_and_any_environment(run: Run) -> None:  # J1
    asks = 'input { message "${env.LATER} ${env.TOP} ${params.P}"; ok "${env.LATER}" }'
    build = run(f"{FIRST}\nstage('Ask') {{ {WAITS}\n{asks}\nsteps {{ echo 'x' }} }}", {"P": "given"})
    (question,) = build.questions
    assert (question["message"], question["ok"]) == ("null null given", "null")


def test_an_input_step_is_made_where_it_stands(run: Run) -> None:
    asks = "steps { script { env.WHO = input(message: env.LATER, submitterParameter: 'WHO') } }"
    build = run(f"{FIRST}\nstage('Ask') {{ {WAITS}\n{asks} }}")
    assert build.questions[0]["message"] == "set"


@pytest.mark.parametrize(
    ("option", "block", "was"),
    [
        ('lock(resource: "deploy-${env.LATER}")', "lock", ["deploy-null"]),
        ('lock("deploy-${env.TOP}")', "lock", ["deploy-null"]),
        ("timeout(time: env.LATER ? 1 : 2, unit: 'HOURS')", "timeout", [2, "HOURS"]),
    ],
)
def test_options_are_made_before_any_stage(run: Run, option: str, block: str, was: list[Any]) -> None:
    build = run(f"{FIRST}\nstage('Next') {{ options {{ {option} }}\nsteps {{ echo 'x' }} }}")
    assert given(build, block) == [was]


def test_the_first_build_has_no_parameters_yet_where_options_are_made(run: Run) -> None:
    stages = 'stage(\'One\') { options { lock("deploy-${params.P}") }\nsteps { echo "in steps: ${params.P}" } }'
    first, second = run(stages, None), run(stages, {"P": "p"})
    assert given(first, "lock") == [["deploy-null"]]
    assert given(second, "lock") == [["deploy-p"]]
    assert "in steps: p" in first.text


def test_environment_agent_and_when_are_made_where_their_stage_begins(run: Run) -> None:
    stage = (
        'stage(\'Next\') { agent { label "on-${env.LATER}" }\nenvironment { OWN = "${env.LATER}-${env.TOP}" }\n'
        "when { expression { env.LATER == 'set' } }\nsteps { echo \"own: ${env.OWN}\" } }"
    )
    build = run(f"{FIRST}\n{stage}")
    assert given(build, "node") == [["on-set"]]
    assert "own: set-top" in build.text


def test_when_does_not_see_the_environment_of_its_own_stage(run: Run) -> None:
    build = run(
        "stage('One') { environment { OWN = 'o' }\nwhen { expression { env.OWN } }\nsteps { echo 'entered' } }\n"
        "stage('Two') { steps { echo 'two' } }"
    )
    assert build.skipped == ["One"]


@pytest.mark.parametrize("place", ["beforeAgent true; ", "beforeInput true; ", "beforeOptions true; ", ""])
def test_when_is_asked_once_at_the_earliest_place_that_it_names(run: Run, place: str) -> None:
    head = f"agent any; options {{ lock('x'); timeout(1) }}\n when {{ {place}expression {{ false }} }}"
    build = run(f"stage('One') {{ {head}\nsteps {{ echo 'entered' }} }}\nstage('Two') {{ steps {{ echo 'two' }} }}")
    assert build.skipped == ["One"]
    assert bool(given(build, "node")) is (place == "")
    assert bool(given(build, "lock")) is ("Options" not in place)


@pytest.mark.parametrize(
    ("asks", "came"),
    [
        ("input(message: 'x')", "null"),
        ("input(message: 'x', submitterParameter: 'WHO')", "ada"),
        ("input(message: 'x', parameters: [string(name: 'A', defaultValue: 'a')])", "a"),
        ("input(message: 'x', submitterParameter: 'W', parameters: [string(name: 'A', defaultValue: 'a')]).W", "ada"),
    ],
)  # fmt: skip
def test_one_answer_comes_as_itself_and_several_as_a_map(run: Run, asks: str, came: str) -> None:
    build = run(f"stage('Ask') {{ {WAITS}\nsteps {{ script {{ def said = {asks}; echo \"came: ${{said}}\" }} }} }}")
    assert f"came: {came}" in build.text


def test_what_a_directive_was_answered_is_in_the_environment(run: Run) -> None:
    head = "input { message 'x'; submitterParameter 'WHO'; parameters { string(name: 'A', defaultValue: 'a') } }"
    stage = f'agent {{ label "on-${{env.A}}" }}\n{WAITS}\n{head}\nsteps {{ echo "by ${{env.WHO}}" }}'
    build = run(f"stage('Ask') {{ {stage} }}")
    assert "by ada" in build.text
    assert given(build, "node") == [["on-a"]]


@pytest.mark.parametrize(
    ("asks", "own_post"), [("input { message 'x' }\nsteps { echo 'x' }", False), ("steps { input 'x' }", True)]
)
def test_a_no_to_a_directive_ends_the_stage_before_its_post(run: Run, asks: str, own_post: bool) -> None:
    stage = f"stage('Ask') {{ {WAITS}\n{asks}\npost {{ always {{ echo 'post of the stage' }} }} }}"
    build = run(stage, post="post { always { echo 'post of all' } }", approve="")
    assert build.result == "ABORTED"
    assert ("post of the stage" in build.text) is own_post
    assert "post of all" in build.text


@pytest.mark.parametrize("dies", [{"kill_when": "half"}, {"kill_at_question": True}])
def test_nothing_of_a_killed_build_runs_any_more(run: Run, dies: dict[str, Any]) -> None:
    work = "try { sh 'echo begun; echo half; sleep 5' } catch (gone) { echo 'caught' } finally { echo 'at last' }"
    stages = (
        f"stage('Work') {{ agent any; steps {{ script {{ {work if 'kill_when' in dies else 'echo 1'} }} }} }}\n"
        f"stage('Ask') {{ {WAITS}\nsteps {{ script {{ try {{ input 'x' }} finally {{ echo 'at last' }} }} }} }}"
    )
    build = run(stages, post="post { always { echo 'post of all' } }", **dies)
    assert (build.killed, build.result) == (True, "ABORTED")
    assert not {"caught", "at last", "post of all"} & set(build.log)


def test_after_a_killed_build_the_next_one_runs(run: Run) -> None:
    asks = f"stage('Ask') {{ {WAITS}\nsteps {{ input 'x' }} }}"
    assert run(asks, kill_at_question=True).killed
    assert run(asks).result == "SUCCESS"


def test_an_agent_that_is_lost_takes_its_workspace_and_its_steps_with_it(run: Run) -> None:
    stages = (
        "stage('Work') { agent any; steps { sh(label: 'one', script: 'touch kept'); sh(label: 'two', script: 'ls') }\n"
    )
    build = run(stages + "post { always { stash name: 'x', includes: '**' } } }", lose_at="two")
    assert build.result == "FAILURE"
    assert not build.stashes
    assert not list(Path(build.job.workspaces).rglob("kept"))


def test_the_stages_behind_one_that_failed_are_there_and_count_as_failed(run: Run) -> None:  # J8
    build = run(
        "stage('One') { when { expression { false } }\nsteps { echo 'x' } }\n"
        "stage('Two') { steps { error 'broken' } }\n"
        "stage('Three') { stages { stage('In') { steps { echo 'never' } } } }"
    )
    assert (build.skipped, build.passed_over) == (["One"], ["Three", "In"])
    assert "never" not in build.log
    found = {stage["name"]: stage["status"] for stage in served.described(build)}
    assert found == {"One": "SUCCESS", "Two": "FAILED", "Three": "FAILED", "In": "FAILED"}


def test_the_console_has_notes_and_carriage_returns(run: Run) -> None:  # J7
    text = served.console(run("stage('One') { steps { echo 'hello' } }"))
    assert text.endswith(b"hello\r\n")
    assert b"\x1b[8mha:////" in text
    assert b"\x1b[0m[Pipeline] { (One)\r\n" in text


def test_a_choice_is_its_first_where_nobody_chooses_and_none_but_them(run: Run, tmp_path: Path) -> None:
    assert defaults()["ACTION"] == "roll back"
    job = Job(tmp_path / "Jenkinsfile", tmp_path, tmp_path, {}, choices={"ACTION": ("roll back", "resume")})
    with pytest.raises(AssertionError, match="Illegal choice for parameter ACTION: undo"):
        Build(job, {"ACTION": "undo"}, Answers()).run(Engine())


def test_around_a_step_stand_the_blocks_that_it_was_called_in_and_no_function(run: Run) -> None:  # J10
    writes = "def write() { lock('x') { node('n') { sh(label: 'deep', script: 'true') } } }"
    build = run("stage('One') { options { timeout(1) }\nsteps { write() } }", functions=writes)
    assert build.nesting["deep"] == ["withEnv", "stage", "timeout", "lock", "node"]
