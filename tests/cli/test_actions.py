"""ACTION of the job: the ways on after a run that stopped, as the stages of a build call them (J3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback_lib.core.jenkins import job
from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import WORKER, Desk
from tests.command_line import Ended
from tests.core.jenkins.test_page import read

pytestmark = pytest.mark.long

RUN = ("run", "--to", GOOD, "--yes", "--accept", WORKER, "--output", "json")
LOOKING = ("detect", "incident", "resolve", "images", "rewrite", "preflight")
UNDER_THE_LOCK = ("approve", "isolate", "apply", "verify", "reopen")


class Builder:
    """One build of the job: its parameters, and what it has on its agent."""

    def __init__(self, desk: Desk, action: str, **parameters: str) -> None:
        self._desk = desk
        self._given = {p.name: p.default or next(iter(p.choices), "") for p in job.parameters()}
        self._given |= {"ACTION": action, "ROLLBACK_PARAMETERS": "jenkins", "BUILD_USER_ID": "grace", **parameters}
        desk.forget_runs()  # another agent than the run's

    def words(self, *words: str, **more: str) -> Ended:
        return self._desk.rollback(*words, **self._given, **more)

    def stages(self, names: tuple[str, ...], **more: str) -> list[int]:
        codes = []
        for name in names:
            codes.append(self.words("stage", name, **more).code)
            if codes[-1]:
                break
        return codes

    def page(self, moment: str = "planned") -> dict[str, str]:
        self.words("jenkins", "page", "--moment", moment)
        text = (self._desk._runs / "current/report/jenkins.txt").read_text(encoding="utf-8")
        return read(text)

    def yes(self, facts: dict[str, str]) -> dict[str, str]:
        return {"ROLLBACK_APPROVED_HASH": facts["hash"], "ROLLBACK_APPROVED_BY": "ada"}


def stopped(desk: Desk, service: str = "user-service") -> str:
    """A run that failed half-way; its id."""
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", service), "500", times=None
    )
    assert desk.rollback(*RUN).code == 4
    desk.playground.cluster.faults.clear()
    return desk.runs()[-1].name


def versions(desk: Desk) -> set[str]:
    return {s.version for s in desk.playground.services()}


def left(desk: Desk) -> list[str]:
    found = desk.playground.must("get", "leases,configmaps", "--output=name").split()
    return [n for n in found if n.startswith(("lease", "configmap/rollback-run-"))]


def report(desk: Desk) -> Any:
    return json.loads((desk._runs / "current/report/report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("named", [True, False])
def test_resume_finishes_the_run_that_stopped_and_asks_first(desk: Desk, named: bool) -> None:
    run = stopped(desk)
    build = Builder(desk, "resume", **({"RUN": run} if named else {}))
    assert build.stages(LOOKING) == [0] * 6
    facts = build.page()
    assert (facts["go"], facts["ask"]) == ("yes", "yes")
    assert facts["question"].startswith(f"Go on with run {run}, which stopped in apply with ")
    assert f"from {BAD} to {GOOD}?" in facts["question"]
    assert versions(desk) != {GOOD}
    assert build.stages(UNDER_THE_LOCK, **build.yes(facts)) == [0] * 5
    assert build.stages(("document",)) == [0]
    assert versions(desk) == {GOOD}
    assert left(desk) == []
    approved = report(desk)["approved"]
    assert (approved["by"], "it began with the yes of" in approved["how"]) == ("ada", True), approved
    assert build.page("ended")["description"].startswith("Done in ")


def test_resume_without_a_yes_for_this_plan_changes_nothing(desk: Desk) -> None:
    stopped(desk)
    before = desk.objects()
    build = Builder(desk, "resume")
    assert build.stages(LOOKING) == [0] * 6
    assert build.stages(UNDER_THE_LOCK) == [4], "the yes of the run that stopped is not the yes to going on"
    assert build.stages(UNDER_THE_LOCK, ROLLBACK_APPROVED_HASH="0" * 64, ROLLBACK_APPROVED_BY="ada") == [4]
    assert desk.objects() == before


def test_undo_goes_back_by_a_plan_and_a_yes_of_its_own(desk: Desk) -> None:
    run = stopped(desk)
    build = Builder(desk, "undo")
    assert build.stages(LOOKING) == [0] * 6
    facts = build.page()
    assert facts["question"].startswith(f"Undo run {run} in prod: from ")
    assert build.stages(UNDER_THE_LOCK, **build.yes(facts)) == [0] * 5
    assert build.stages(("document",)) == [0]
    assert versions(desk) == {BAD}
    assert left(desk) == []
    assert report(desk)["approved"]["by"] == "ada"


@pytest.mark.parametrize(
    ("action", "given", "code", "says"),
    [
        ("resume", {}, 3, "nothing to resume"),
        ("undo", {}, 3, "nothing to undo"),
        ("resume", {"RUN": "20260101-000000-prod-ab12"}, 3, "neither here nor in the cluster"),
        ("undo", {"RUN": "20260101-000000-prod-ab12"}, 3, "neither here nor in the cluster"),
        ("roll back", {"RUN": "20260101-000000-prod-ab12"}, 2, "neither: choose the ACTION"),
        ("undo", {"RUN": "../../etc"}, 2, "cannot be a run"),
        ("undo", {"RUN": "--yes"}, 2, "begins with '-'"),
        ("undo it", {}, 2, "not one of the choices"),
        ("free the lock", {}, 2, "has no stages"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_the_first_stage(
    desk: Desk, action: str, given: dict[str, str], code: int, says: str
) -> None:
    build = Builder(desk, action, **given)
    ended = build.words("stage", "detect")
    assert (ended.code, says in ended.err) == (code, True), ended
    if code == 3:
        assert build.page()["name"] == f"{action}, ended with 3"
        assert says in build.page()["description"]


@pytest.mark.parametrize("action", ["roll back", "resume"])
def test_whoever_else_has_the_lock_is_told_before_anybody_is_asked(desk: Desk, action: str) -> None:
    run = stopped(desk)
    given = {"RELEASE": GOOD} if action == "roll back" else {"RUN": run}
    if action == "resume":  # another one has taken its place since
        desk.rollback("unlock", "--force", "--yes")
        assert desk.rollback("guard", "--release", "v1.3.0", "--hold").code == 0
    build = Builder(desk, action, **given)
    codes = build.stages(LOOKING)
    assert codes[-1] == 6
    assert build.page().get("ask") != "yes"


def test_free_the_lock_frees_the_one_that_was_shown(desk: Desk) -> None:
    run = stopped(desk)
    build = Builder(desk, "free the lock")
    assert build.words("jenkins", "look").code == 0
    facts = build.page()
    assert (facts["go"], facts["ask"]) == ("yes", "yes")
    assert f"run {run} by " in facts["question"]
    assert build.words("jenkins", "act").code == 7, "nobody has said yes"
    assert build.words("jenkins", "act", ROLLBACK_DENIED="denied").code == 7
    assert desk.rollback("unlock").code == 6
    ended = build.words("jenkins", "act", **build.yes(facts))
    assert ended.code == 0, ended
    assert desk.rollback("unlock").out == "ecommerce is not locked.\n"
    record = json.loads((desk._runs / "current/report/action.json").read_text(encoding="utf-8"))
    assert (record["look"]["holder"], record["by"], record["approved_by"]) == (run, "grace", "ada")
    assert build.page()["name"] == "free the lock prod, done"


def test_free_the_lock_does_not_free_another_one(desk: Desk) -> None:
    stopped(desk)
    build = Builder(desk, "free the lock")
    assert build.words("jenkins", "look").code == 0
    facts = build.page()
    desk.rollback("unlock", "--force", "--yes")
    assert build.words("jenkins", "act", **build.yes(facts)).code == 7, "it is free by now"
    assert desk.rollback("guard", "--release", "v1.3.0", "--hold").code == 0
    ended = build.words("jenkins", "act", **build.yes(facts))
    assert ended.code == 6, ended
    assert "deploy v1.3.0" in ended.err
    assert desk.rollback("unlock").code == 6, "the other one has it still"
    build.words("jenkins", "look")
    other = {**build.yes(facts), "ROLLBACK_APPROVED_HASH": facts["hash"]}
    assert build.words("jenkins", "act", **other).code == 7, "the yes was to freeing another one"


def test_nothing_to_free_and_nothing_to_open_asks_nobody(desk: Desk) -> None:
    for action in ("free the lock", "reopen traffic"):
        build = Builder(desk, action)
        assert build.words("jenkins", "look").code == 0
        facts = build.page()
        assert (facts["go"], facts["ask"]) == ("no", "no"), action


def test_reopen_traffic_opens_what_was_shown(desk: Desk) -> None:
    desk.settings("    isolation: {mode: service, targets: [user-service]}\n")
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "cloud-config"), "500", times=None
    )
    assert desk.rollback(*RUN, "--isolate").code == 5
    desk.playground.cluster.faults.clear()
    build = Builder(desk, "reopen traffic")
    assert build.words("jenkins", "look").code == 0
    facts = build.page()
    assert "closed since" in facts["question"]
    assert build.words("jenkins", "act", ROLLBACK_APPROVED_HASH="0" * 64, ROLLBACK_APPROVED_BY="ada").code == 7
    ended = build.words("jenkins", "act", **build.yes(facts))
    assert ended.code == 0, ended
    assert "traffic is open" in build.page()["description"]
    assert build.words("jenkins", "act", **build.yes(facts)).code == 7, "it is open by now"


def test_a_run_that_another_one_came_before_is_planned_again(desk: Desk) -> None:
    """Approved, then it waited while another run did the same: its yes was to changing what is changed by now (J16)."""
    build = Builder(desk, "roll back", RELEASE=GOOD, ACCEPT=WORKER)
    assert build.stages(LOOKING) == [0] * 6
    facts = build.page()
    aside = desk._runs.with_name("kept")
    desk._runs.rename(aside)  # the other run is of another agent
    assert desk.rollback(*RUN).code == 0
    desk.forget_runs()
    aside.rename(desk._runs)
    before = desk.objects()
    assert build.stages(UNDER_THE_LOCK, **build.yes(facts)) == [0, 7]
    assert desk.objects() == before
    assert left(desk) == []
