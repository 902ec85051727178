"""The facts of a build's page at each moment, in both languages; what is said of traffic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from rollback_lib.cli.jenkins import page as command
from rollback_lib.core.jenkins import page
from rollback_lib.core.jenkins.page import Moment
from rollback_lib.core.plan.model import PlannedObject, PlannedService, freeze
from rollback_lib.core.report.observation import Closed, Looked
from rollback_lib.core.run.journal import Mark, ending
from rollback_lib.core.settings.local_time import zone
from rollback_lib.operations import jenkins_page as operation
from rollback_lib.wiring import run_directories
from tests.core.report import stories

NIGHT = datetime(2026, 7, 1, 21, 41, tzinfo=UTC)


def facts(moment: Moment, language: str = "en", approval: str = "required", **given: Any) -> dict[str, str]:
    settings = msgspec.structs.replace(stories.request().settings, language=language)
    place = msgspec.structs.replace(settings.environments["prod"], approval=approval)
    request = stories.request(
        settings=msgspec.structs.replace(settings, environments={"prod": place}), **given.pop("request", {})
    )
    plan = given.pop("plan", stories.plan())
    how = given.pop("ending", ending(stories.events()[:2]))
    local = NIGHT.astimezone(zone("Europe/Madrid"))
    text = page.text(
        request, plan, how, None, "Only looked.", 3, moment, now=local, wait=timedelta(minutes=60), **given
    )
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_each_moment_in_the_language_of_the_team_and_in_its_time() -> None:
    said = {moment: facts(moment) for moment in get_args(Moment)}
    assert said["looks"]["description"] == "Looks at prod since 23:41 CEST. Nothing was changed."
    assert said["planned"]["description"].startswith("Waits for approval until 00:41 CEST; whoever may build this job")
    assert said["planned"]["approved"].startswith("Approved; waits for an agent and for the lock.")
    assert said["changes"]["description"].startswith("Is changing prod since 23:41 CEST; how it ended is not known.")
    assert said["ended"]["description"] == "Only looked."
    spanish = {moment: facts(moment, "es") for moment in get_args(Moment)}
    assert spanish["looks"]["description"] == "Mira prod desde las 23:41 CEST. No se ha cambiado nada."
    assert spanish["planned"]["name"] == "v2 → v1 prod, espera la aprobación"
    assert spanish["planned"]["description"].startswith("Espera la aprobación hasta las 00:41 CEST; puede darla quien")
    assert spanish["changes"]["description"].startswith("Cambiando prod desde las 23:41 CEST; no se sabe cómo terminó.")


def test_where_nobody_is_asked_nobody_is_waited_for() -> None:
    said = facts("planned", approval="auto")
    assert (said["go"], said["ask"]) == ("yes", "no")
    assert said["description"].startswith("Nobody has to approve it; waits for an agent and for the lock.")


@pytest.mark.parametrize("ended", [{"request": {"dry_run": True}}, {"ending": ending(stories.events(failed=True))}])
def test_where_nothing_comes_after_the_plan_the_run_s_own_ending_is_said(ended: dict[str, Any]) -> None:
    said = facts("planned", **ended)
    assert (said["go"], said["ask"], said["description"]) == ("no", "no", "Only looked.")


def test_a_plan_that_changes_nothing_is_not_said_to_change_anything() -> None:
    said = facts("changes", plan=stories.plan(services=()))
    assert said["description"].startswith("Verifies prod since 23:41 CEST: there is nothing to change.")


def test_who_may_say_yes_is_named() -> None:
    assert "; ops, ana can say yes." in facts("planned", approvers="ops, ana")["description"]


def test_before_there_is_a_plan_nothing_goes_on_and_nobody_is_asked() -> None:
    said = facts("looks", plan=None)
    assert (said["go"], said["ask"], said["name"]) == ("no", "no", "→ v1 prod, looks")


def test_the_command_knows_the_moments_that_the_page_knows() -> None:
    (option,) = [p for p in command.params if p.name == "moment"]
    assert option.type.choices == get_args(Moment)  # type: ignore[attr-defined]


ANOTHERS = Looked(why="", closed=(Closed(kind="Service", name="gateway", run="dead"),))


@pytest.mark.parametrize(
    ("seen", "journal", "said"),
    [
        (None, [], "traffic is unknown: it was not looked at"),
        (None, [(Mark.DONE, "apply/deployment/cart")], "traffic is unknown"),
        (None, [(Mark.DONE, "close/service/gateway/1"), (Mark.DONE, "open/service/gateway/1")], "traffic is unknown"),
        (None, [(Mark.DONE, "close/service/gateway/1")], "TRAFFIC IS CLOSED, and"),
        (Looked(why=""), [(Mark.DONE, "apply/deployment/cart")], "traffic is open"),
        (ANOTHERS, [(Mark.DONE, "apply/deployment/cart")], "TRAFFIC IS CLOSED by run dead, and"),
    ],
)
def test_the_page_says_of_traffic_what_was_seen(
    tmp_path: Path, seen: Looked | None, journal: list[tuple[Mark, str]], said: str
) -> None:
    run = run_directories(tmp_path).new(stories.request(), str(tmp_path / "run"))
    if seen:
        run.put(seen)
    for mark, key in journal:
        run.append(mark, "apply", key=key, what=key)
    assert said in operation.write(run, NIGHT)


def test_the_question_says_how_many_will_run_and_the_hash_holds_it() -> None:
    plans = []
    for replicas in (None, (5, 1), (None, 1)):
        web = PlannedObject(kind="Deployment", name="web", change="update", replicas=replicas)
        plans.append(freeze(stories.plan(services=(PlannedService(name="web", wave=1, objects=(web,)),))))
    asked = [facts("planned", plan=plan)["question"] for plan in plans]
    assert "Changes how many run" not in asked[0]
    assert "Changes how many run: Deployment/web replicas 5 → 1." in asked[1]
    assert "Deployment/web replicas as many as it is given → 1." in asked[2]
    assert plans[0].hash != plans[1].hash == plans[2].hash
