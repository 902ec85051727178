"""Jenkinsfile.rollback on Jenkins's own engine; its steps really run the command on the sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.cli.console import TITLES
from rollback_lib.operations.run import STAGES
from rollback_lib.sandbox.playground import Playground
from tests.jenkins.conftest import Play
from tests.jenkins.controller import Build, Job

BACK = {"RELEASE": "v1.1.0", "REASON": "checkout answers 500"}
OURS = (
    "Set up",
    "Set up again",
    "The failed deploy",
    "Ask",
    "How it stands",
)  # what Jenkins needs beside the plan's own stages
GROUPS = "Prepare", "The plan", "Restore"
# J10: a build is kept as its blocks nest. The withEnv is the pipeline's `environment`, the first stage is Restore.
AROUND = ("withEnv", "stage", "lock", "node", "withCredentials", "stage")
LOOKING = STAGES[: STAGES.index("approve")]


def report(build: Build) -> Any:
    return json.loads(build.archived[".rollback/current/report/report.json"])


def stages_run(build: Build) -> list[str]:
    return [words.removeprefix("stage ") for words, _ in build.commands if words.startswith("stage ")]


def test_every_stage_of_the_plan_is_a_stage_of_jenkins_and_all_go_green(play: Play, shop: Playground) -> None:
    build = play(BACK)
    assert build.result == "SUCCESS", build.text
    services = shop.services()
    assert [s.is_release("v1.1.0") for s in services] == [True] * len(services)
    assert stages_run(build) == list(STAGES)
    theirs = [name for name in build.stages if name not in (*OURS, *GROUPS)]
    assert theirs == [TITLES[stage] for stage in STAGES]

    (question,) = build.questions
    assert (question["executors"], question["locks"], question["limited"]) == (0, 0, True)
    assert "v1.2.0 to v1.1.0" in question["message"]  # J1
    assert (question["id"], question["ok"], question["submitter"]) == ("Approve", "Roll back", None)
    assert report(build)["approved"]["by"] == "ada"
    assert report(build)["by"] == "grace"

    agents = dict(build.commands)
    assert agents["stage preflight"] != agents["stage approve"] != agents["stage document"]
    writing = {agent for words, agent in build.commands if words in ("stage approve", "stage apply", "stage verify")}
    assert len(writing) == 1
    assert build.held.count(("lock", "take")) == build.held.count(("lock", "release")) == 1
    assert {tuple(build.nesting[f"stage {stage}"]) for stage in ("approve", "apply", "reopen")} == {AROUND}

    assert build.display_name.startswith("#7 v1.2.0 → v1.1.0 prod, 10/10, ")
    assert ":prod in 10 repositories is still v1.2.0" in build.description  # C44: what the next deploy would undo
    names = {path.removeprefix(".rollback/current/") for path in build.archived}
    assert "Recording test results: .rollback/current/report/junit.xml" in build.text
    assert {"report/incident.md", "report/plan.txt", "report/junit.xml", "plan.json", "journal.jsonl"} <= names
    assert not [name for name in names if name.startswith(("manifests", "before"))]
    assert b"NEW_FLAG" in build.archived[".rollback/current/report/plan.txt"]


def test_the_question_says_from_what_to_what(play: Play) -> None:  # J1
    build = play(BACK, kill_at_question=True)
    assert "v1.2.0 to v1.1.0" in build.questions[0]["message"]


def test_nothing_more_nests_around_the_first_write(play: Play) -> None:  # J10
    build = play(BACK, lose_at="stage isolate")
    assert tuple(build.nesting["stage isolate"]) == AROUND


def test_no_run_is_left_on_an_agent(play: Play, job: Job) -> None:
    play({**BACK, "DRY_RUN": True})
    assert not list(job.workspaces.glob("*/.rollback/*"))


def test_a_dry_run_shows_the_plan_and_asks_nobody(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play({**BACK, "DRY_RUN": True})
    assert build.result == "SUCCESS", build.text
    assert shop.specs() == before
    assert not build.questions
    assert stages_run(build) == [*LOOKING, "document"]
    assert not [held for held in build.held if held[0] == "lock"]
    assert "only looked" in build.display_name


def test_a_refusal_ends_before_anybody_is_asked(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play({"RELEASE": "v9.9.9"})
    assert build.result == "FAILURE"
    assert shop.specs() == before
    assert not build.questions
    assert stages_run(build) == ["detect", "incident", "resolve", "document"]
    assert "v9.9.9" in build.text
    assert "Nothing was changed" in build.description
    assert ".rollback/current/report/incident.md" in build.archived


@pytest.mark.parametrize("deny", ["Rejected by ada", "Timeout has been exceeded"])
def test_without_a_yes_nothing_is_changed_and_the_record_says_so(play: Play, shop: Playground, deny: str) -> None:
    before = shop.specs()
    build = play(BACK, approve="", deny=deny)
    assert build.result == "ABORTED"
    assert shop.specs() == before
    assert "Not approved (7). Nothing was changed" in build.description
    assert report(build)["exit_code"] == 7
    assert stages_run(build) == [*LOOKING, "approve", "document"]
    assert report(build)["error"] == f"not approved: {deny}"  # J15: who, in Jenkins's words
    assert f"✗ not approved: {deny}" in build.description.splitlines()
    assert build.text.count("Deployment/user-service: update") == 1, "the plan is not printed again"


@pytest.mark.parametrize("stage", STAGES)
def test_what_fails_in_a_stage_ends_the_rest_and_is_written_down(play: Play, program: Path, stage: str) -> None:
    (program / "fails").write_text(f"stage {stage}")
    build = play(BACK)
    ran = stages_run(build)
    if stage == "document":  # never changes how a run ended
        assert build.result == "SUCCESS", build.text
        assert ran == list(STAGES)
        assert build.display_name.startswith("#7 v1.2.0 → v1.1.0 prod, 10/10, ")
    else:
        assert build.result == "FAILURE", build.text
        assert ran == [*STAGES[: STAGES.index(stage) + 1], "document"]
        assert TITLES[stage] in build.failed
        assert ".rollback/current/report/incident.md" in build.archived


def test_a_failure_before_the_question_is_not_written_down_as_a_denial(play: Play, program: Path) -> None:
    (program / "fails").write_text("jenkins admit")
    build = play({**BACK, "UPSTREAM_JOB": "shop/deploy"})
    assert build.result == "FAILURE"
    assert stages_run(build) == [*LOOKING, "document"]
    assert not build.questions


def test_a_build_that_is_stopped_while_it_writes_says_what_it_changed(play: Play, shop: Playground) -> None:
    def it_goes_wrong_again(command: str) -> None:
        if command == "stage verify":
            shop.must("set", "image", "deployment/user-service", "user-service=sanjodb/user-service:none")

    build = play(BACK, before=it_goes_wrong_again, abort_when="Verifying (verify)")
    assert build.result == "ABORTED"
    assert stages_run(build)[-2:] == ["verify", "document"]
    assert report(build)["exit_code"] == 4
    assert "10 objects were changed; traffic is open" in build.description
    assert build.held.count(("lock", "release")) == 1


def test_a_build_that_is_stopped_before_it_writes_has_changed_nothing(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play(BACK, abort_when="Whether its images exist (images)")
    assert build.result == "ABORTED"
    assert shop.specs() == before
    assert "Nothing was changed" in build.description


def test_a_first_build_without_parameters_changes_nothing_and_says_why(play: Play, shop: Playground) -> None:
    before = shop.specs()
    build = play(None)
    assert build.result == "FAILURE"
    assert shop.specs() == before
    assert "DRY_RUN: this build has no parameters" in build.text
    assert "Build with Parameters" in build.text
    assert "ended with 2" in build.text


def test_a_plan_that_went_stale_while_a_person_thought_is_refused(play: Play, shop: Playground) -> None:
    def somebody_deploys(command: str) -> None:
        if command == "stage approve":
            shop.must("set", "env", "deployment/user-service", "WHO=somebody")

    build = play(BACK, before=somebody_deploys)
    assert build.result == "FAILURE"
    assert not [s for s in shop.services() if s.is_release("v1.1.0")]
    assert report(build)["exit_code"] == 7


HOSTILE = (
    "$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "'; touch pwned; '", "%PATH%", "& touch pwned",
    "| touch pwned", "a\ntouch pwned", "${KUBECONFIG}", "$KUBECONFIG", "--yes", "x" * 10_240, "año 🚀 \u202e \x1b[2J",
    "../../etc", "${new File('pwned').createNewFile()}",
)  # fmt: skip


@pytest.mark.parametrize("unix", [True, False], ids=["sh", "cmd"])
def test_hostile_values_stay_text(play: Play, job: Job, shop: Playground, unix: bool, tmp_path: Path) -> None:
    job.unix = unix
    before = shop.specs()
    for name in ("RELEASE", "SERVICES", "ACCEPT", "ENVIRONMENT", "REQUEST_ID"):
        build = play({**BACK, name: "\n".join(HOSTILE)})
        assert build.result == "FAILURE", name
        assert "ended with 2" in build.text, name
    for value in HOSTILE[:3] if unix else HOSTILE[4:7]:
        assert "ended with 2" in play({"RELEASE": value}).text, value
    assert not list(tmp_path.rglob("pwned"))
    assert not list(shop.folder.rglob("pwned"))
    assert shop.specs() == before


@pytest.mark.parametrize("unix", [True, False], ids=["sh", "cmd"])
def test_a_reason_is_kept_as_it_was_typed(play: Play, job: Job, unix: bool, tmp_path: Path) -> None:
    job.unix = unix
    reason = "\n".join(value for value in HOSTILE if len(value) < 100)
    build = play({"RELEASE": "v1.1.0", "REASON": reason, "DRY_RUN": True})
    assert build.result == "SUCCESS", build.text
    shown = reason.strip().replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")  # what steers a terminal is escaped
    assert report(build)["reason"] == shown
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_that_cannot_say_it_changes_no_ending(play: Play, job: Job, encoding: str) -> None:  # C37
    said = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    job.agent_environment = {**job.agent_environment, **said}
    build = play({"RELEASE": "v1.1.0", "REASON": "año 🚀", "DRY_RUN": True})
    assert build.result == "SUCCESS", build.text
    assert report(build)["reason"] == "año 🚀"
    assert "→" in build.display_name


def test_no_line_of_a_secret_reaches_log_or_artifacts(play: Play, job: Job, tmp_path: Path) -> None:  # C38
    """Jenkins masks single lines only: what is not printed needs no mask."""
    secret = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"
    password = "p@ss/w:rd%\nsecond-line-of-it"
    kubeconfig = tmp_path / "with-key"
    text = Path(job.credentials["rollback-kubeconfig"]).read_text()
    kubeconfig.write_text(text + "\n# " + secret.replace("\n", "\n# ") + "\n")
    webhook = "http://127.0.0.1:9/T0/hook-secret"
    job.credentials = {
        "rollback-kubeconfig": str(kubeconfig), "registry": ("robot$ci", password), "webhook": webhook,
    }  # fmt: skip
    job.agent_environment = {**job.agent_environment}
    before = job.file.read_text(encoding="utf-8")
    job.file = tmp_path / "Jenkinsfile.rollback"
    for name, given in (("REGISTRY", "registry"), ("WEBHOOK", "webhook")):
        before = before.replace(f"ROLLBACK_{name}_ID = ''", f"ROLLBACK_{name}_ID = '{given}'")
    job.file.write_text(before, "utf-8")
    build = play({**BACK, "DRY_RUN": True})
    everything = build.text.encode() + b"".join(build.archived.values())
    for line in (*secret.splitlines()[1:3], *password.splitlines(), "hook-secret"):
        assert line.encode() not in everything
