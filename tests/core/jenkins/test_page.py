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
from rollback_lib.core.plan.model import Orphan, PlannedObject, PlannedService, freeze
from rollback_lib.core.releases.deploying import Deploying
from rollback_lib.core.report.closing import closing
from rollback_lib.core.report.observation import Closed, Looked
from rollback_lib.core.run.journal import Ending, Mark, ending
from rollback_lib.core.run.ways import Left
from rollback_lib.core.settings.local_time import zone
from rollback_lib.core.settings.parameters import BY_NAME
from rollback_lib.core.traffic.isolation import PlannedIsolation, Target
from rollback_lib.operations import jenkins_page as operation
from rollback_lib.wiring import run_directories
from tests.core.report import stories

NIGHT = datetime(2026, 7, 1, 21, 41, tzinfo=UTC)
DEPLOYS = (
    Deploying(kind="build", what="shop/deploy #59", url="https://ci/59"),
    Deploying(kind="unseen", what="shop/other", why="it does not answer"),
    Deploying(kind="rollout", what="Deployment/cart"),
    Deploying(kind="rollout", what="Deployment/web"),
)


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
    return read(text)


def read(text: str) -> dict[str, str]:
    """As the Jenkinsfile does: what comes several times is several lines."""
    found: dict[str, str] = {}
    for name, _, value in (line.partition(" ") for line in text.splitlines()):
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def first(said: dict[str, str]) -> str:
    return said["description"].splitlines()[0]


def test_each_moment_in_the_language_of_the_team_and_in_its_time() -> None:
    said = {moment: facts(moment) for moment in get_args(Moment)}
    assert first(said["looks"]) == "Looks at prod since 23:41 CEST. Nothing was changed."
    assert said["planned"]["description"].startswith("Waits for approval until 00:41 CEST; whoever may build this job")
    assert said["planned"]["approved"].startswith("Approved; waits for an agent and for the lock.")
    assert said["changes"]["description"].startswith("Is changing prod since 23:41 CEST; how it ended is not known.")
    assert first(said["ended"]) == "Only looked."
    spanish = {moment: facts(moment, "es") for moment in get_args(Moment)}
    assert first(spanish["looks"]) == "Mira prod desde las 23:41 CEST. No se ha cambiado nada."
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
    assert (said["go"], said["ask"], first(said)) == ("no", "no", "Only looked.")


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


def test_what_is_asked_says_what_is_deleted_traffic_accepted_codes_cluster_and_where_the_plan_is() -> None:
    gone = Orphan(kind="Service", name="new", change="delete")
    traffic = PlannedIsolation(
        mode="service", targets=(Target(kind="Service", name="gateway", api_version="v1", before="x"),)
    )
    plan = stories.plan(orphans=(gone,), isolation=traffic, deploying=DEPLOYS)
    place = "https://ci.example/job/rollback/7/artifact/.rollback/current/report/plan.txt"
    assert facts("planned", plan=plan)["question"] == (
        "Roll prod back from v2 to v1? shop/deploy #59 is building (https://ci/59): it would overwrite this. Whether "
        "shop/other is building was not looked at: it does not answer. A rollout that is not ours is under way "
        "(Deployment/cart, Deployment/web): a deploy that is still at work would overwrite this. Deleted: Service/new. "
        "Traffic is CLOSED meanwhile at Service/gateway. Accepted: unproven-target, reference-image. 1 to delete, 1 to "
        f"update; 1 left. Cluster test, namespace shop. Plan cccccccccccc: {place}"
    )
    assert facts("planned", "es", plan=plan)["question"] == (
        "¿Volver atrás en prod, de v2 a v1? shop/deploy #59 está en marcha (https://ci/59): sobrescribiría esto. No se "
        "miró si shop/other está en marcha: it does not answer. Hay un cambio en curso que no es nuestro "
        "(Deployment/cart, Deployment/web): un despliegue en marcha sobrescribiría esto. Se borra: Service/new. "
        "Entretanto se CIERRA el tráfico en Service/gateway. Aceptado: unproven-target, reference-image. 1 a borrar, 1 "
        f"se dejan, 1 a actualizar. Clúster test, namespace shop. Plan cccccccccccc: {place}"
    )


def test_a_plan_that_undoes_is_asked_as_that() -> None:
    said = facts("planned", plan=stories.plan(undoes="r0"))["question"]
    assert said.startswith("Undo run r0 in prod: from v2 back to what ran before it?")
    assert "Traffic stays open." in said


@pytest.mark.parametrize(
    ("language", "waits", "why"),
    [("en", "Waits for approval", "Why: checkout answers 500 (ana)"),
     ("es", "Espera la aprobación", "Motivo: checkout answers 500 (ana)")],
)  # fmt: skip
def test_below_what_is_so_stands_why_where_from_and_who_else_is_at_work(language: str, waits: str, why: str) -> None:
    asked = {"upstream_job": "shop/deploy", "upstream_build": "58"}
    said = facts("planned", language, request=asked, plan=stories.plan(deploying=DEPLOYS[:1]))
    lines = said["description"].splitlines()
    assert lines[0].startswith(waits)
    assert "shop/deploy #59" in lines[1]
    assert lines[2] == why
    assert lines[3].endswith(": shop/deploy #58 https://ci.example/job/shop/job/deploy/58/")
    assert lines[4] == "Plan: https://ci.example/job/rollback/7/artifact/.rollback/current/report/plan.txt"
    assert said["approved"].splitlines()[1:] == lines[1:]
    ended = facts("ended", language, request=asked, deploy_url="https://ci/58")["description"].splitlines()
    assert ended[2].endswith(": shop/deploy #58 https://ci/58"), "as Jenkins itself says"
    assert ended[3].endswith(": https://ci.example/job/rollback/7/artifact/.rollback/current/report/report.html")


def test_a_run_without_a_build_links_to_nothing() -> None:
    said = facts("planned", request={"origin": "ana@laptop", "upstream_job": "shop/deploy", "upstream_build": "58"})
    assert said["description"].splitlines()[2:] == ["Deploy: shop/deploy #58", "Plan: report/plan.txt"]


RESUME, UNDO = "resume (finishes it)", "undo (goes back to the state before it)"
OPEN, ANEW = "reopen traffic (only opens it)", "roll back (anew, once the cause is mended)"
FREE = "free the lock (if nobody works there any more)"
FAILED_ONES = [
    ({"code": 4, "locked": True, "changed": ("a",)}, f"{RESUME}, {UNDO}, {FREE}"),
    ({"code": 5, "locked": True, "traffic": "closed", "changed": ("a",)}, f"{RESUME}, {OPEN}, {UNDO}, {FREE}"),
    ({"code": 4, "lock_lost": True, "changed": ("a",)}, f"{ANEW}, {UNDO}"),
    ({"code": 5, "lock_lost": True, "traffic": "closed", "unclear": ("a",)}, f"{OPEN}, {UNDO}"),
    ({"code": 3, "traffic": "closed", "closed_by": ("run dead",)}, OPEN),
    ({"code": 6, "left": Left.DEAD, "holder": "r0"}, f"{RESUME}, {UNDO}, {FREE}"),
    ({"code": 6, "left": Left.DEPLOYING, "holder": "v1.2.0"}, FREE),
    ({"code": 6}, FREE),  # it was free when it was looked at
    ({"code": 3}, ""),
    ({"code": 7}, ""),
    ({"code": 0}, ""),
    ({"code": 3, "stage": "reopen", "changed": ("a",)}, ""),  # only tags: `rollback retag`
]  # fmt: skip


@pytest.mark.parametrize(("how", "ways"), FAILED_ONES)
def test_a_failed_run_says_which_action_to_choose(how: dict[str, Any], ways: str) -> None:
    error = {"error": "the network is gone\nand more"} if how["code"] else {}
    said = facts("ended", ending=Ending(**error, **how))["description"].splitlines()
    assert [line for line in said if "ACTION" in line] == ([f"Next, as ACTION: {ways}."] if ways else [])
    assert ("✗ the network is gone" in said) == bool(how["code"])
    spanish = facts("ended", "es", ending=Ending(**error, **how))["description"].splitlines()
    assert [line for line in spanish if line.startswith("Ahora, en ACTION: ")] == [
        line for line in spanish if "ACTION" in line
    ]
    assert any("ACTION" in line for line in spanish) == bool(ways)


def test_what_leads_on_is_named_as_the_form_has_it() -> None:
    for at in (0, 1):
        assert {words[at].partition(" (")[0] for words in page._WAYS.values()} == set(BY_NAME["action"].choices)


def test_what_undoes_a_run_is_only_finished() -> None:
    said = facts("ended", plan=stories.plan(undoes="r0"), ending=Ending(code=4, locked=True, changed=("a",)))
    assert f"Next, as ACTION: {RESUME}, {FREE}." in said["description"].splitlines()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"code": 3, "traffic": "open"}, "Rechazado (3). No se cambió nada; el tráfico está abierto."),
        ({"code": 6}, "Bloqueado (6). No se cambió nada; no se vio cómo está el tráfico."),
        ({"code": 5, "traffic": "closed", "stage": "verify", "objects": ("a", "b"), "changed": ("a", "b")},
         "FALLÓ EN verify (5). 2 objetos cambiados; EL TRÁFICO ESTÁ CERRADO."),
        ({"code": 4, "traffic": "open", "stage": "apply", "unclear": ("Deployment/web put back",)},
         "FALLÓ EN apply (4). No se cambió nada; el tráfico está abierto. No es seguro si esto se hizo: Deployment/web "
         "put back. Compruébelo, o ejecútelo otra vez: sigue desde aquí."),
        ({"code": 0}, "Solo se miró. No se cambió nada; no se vio cómo está el tráfico."),
    ],
)  # fmt: skip
def test_how_it_ended_in_spanish(how: dict[str, Any], said: str) -> None:
    assert closing("es", Ending(**how), None, None, 3) == said


def test_a_rollback_that_worked_in_spanish() -> None:
    story = stories.whole()
    how = msgspec.structs.replace(story.ending, traffic="open")
    assert closing("es", how, story.plan, story.verification, 41) == (
        "Hecho en 41 s: prod ejecuta otra vez v1, 1 de 1 listos. 2 objetos cambiados; el tráfico está abierto. :prod "
        "en team/cart sigue siendo v2: el próximo despliegue normal lo trae de vuelta."
    )


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("moment", get_args(Moment))
def test_hostile_words_stay_on_their_line_and_are_cut(language: str, moment: Moment) -> None:
    hostile = "a\nhash f00\ngo yes\x1b[2J\u202e" + "x" * 9000 + " password=hunter2"
    text = page.text(
        stories.request(
            reason=hostile, upstream_job=hostile, upstream_build="1",
            settings=msgspec.structs.replace(stories.request().settings, language=language),
        ), None, Ending(code=3, error=hostile), None, hostile, 3, moment, now=NIGHT, wait=timedelta(minutes=60),
    )  # fmt: skip
    said = [line.partition(" ") for line in text.splitlines()]
    assert {name for name, _, _ in said} <= {
        "name", "description", "hash", "go", "ask", "question", "approved", "lock",
    }  # fmt: skip
    assert ("hash", " ", "f00") not in said
    assert "hunter2" not in text
    assert max(len(value) for _, _, value in said) <= 500


@pytest.mark.parametrize("how", [{"changed": ("Deployment/web put back",)}, {"unclear": ("Deployment/web put back",)}])
def test_a_run_whose_process_was_killed_while_it_wrote_is_not_said_to_have_only_looked(how: dict[str, Any]) -> None:
    said = facts("ended", ending=Ending(code=0, locked=True, **how))
    assert said["name"] == "v2 → v1 prod, did not end"
    assert any(line.startswith("Next, as ACTION: resume (finishes it)") for line in said["description"].splitlines())
    assert facts("ended", ending=Ending(code=0))["name"] == "v2 → v1 prod, only looked"
