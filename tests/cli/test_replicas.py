"""How many run: what a plan changes of it is said in all places (whole commands, on the sandbox)."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import Desk

pytestmark = pytest.mark.long

USER = "user-service"
DEPLOYMENT = f"k8s/{USER}/deployment.yaml"
HPA = f"k8s/{USER}/autoscaler.yaml"
AUTOSCALER = f"""\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {USER}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {USER}}}
  minReplicas: 1
  maxReplicas: 5
"""


def scaled(desk: Desk, **replicas: int) -> None:
    """The Deployment of each release asks for so many, and the failed one runs."""
    for release, number in ((GOOD, replicas["good"]), (BAD, replicas["bad"])):
        text = desk.file(release, DEPLOYMENT)
        assert "  replicas: 1\n" in text
        if number != 1:
            desk.rewrite(release, {DEPLOYMENT: text.replace("  replicas: 1\n", f"  replicas: {number}\n", 1)})
    desk.playground.apply(BAD)
    desk.playground.must(*desk.playground.rollout_status)


def live(desk: Desk) -> int:
    return int(desk.live("deployment", USER)["spec"]["replicas"])


def planned(desk: Desk, *more: str) -> tuple[object, str]:
    """(the replicas of the plan in JSON, its text)."""
    ended = desk.rollback("plan", "--to", GOOD, "--output", "json", *more)
    objects = [o for s in ended.json["plan"]["services"] for o in s["objects"] if o["kind"] == "Deployment"]
    (found,) = [o["replicas"] for o in objects if o["name"] == USER]
    return found, " ".join(desk.rollback("plan", "--to", GOOD, *more).out.split())


def test_replicas_that_are_put_back_stand_in_plan_question_and_record(desk: Desk) -> None:
    scaled(desk, good=1, bad=3)
    assert planned(desk)[0] == [3, 1]
    assert f"Deployment/{USER}: update, replicas 3 → 1" in planned(desk)[1]
    assert desk.rollback("run", "--to", GOOD, "--yes").code == 0
    assert live(desk) == 1
    report = json.loads((desk.runs()[-1] / "report/report.json").read_text())
    assert [o["replicas"] for o in report["objects"] if o["name"] == USER and o["replicas"]] == [[3, 1]]
    assert "replicas 3 → 1" in (desk.runs()[-1] / "report/incident.md").read_text()
    assert "Nothing to do" in desk.rollback("run", "--to", GOOD, "--yes").out


def test_replicas_alone_are_a_change(desk: Desk) -> None:
    scaled(desk, good=1, bad=1)
    assert desk.rollback("run", "--to", GOOD, "--yes").code == 0
    text = desk.file(GOOD, DEPLOYMENT).replace("  replicas: 1\n", "  replicas: 2\n", 1)
    desk.rewrite(GOOD, {DEPLOYMENT: text})
    assert planned(desk, "--accept", f"moved-tag:{GOOD}")[0] == [1, 2]
    assert desk.rollback("run", "--to", GOOD, "--yes", "--accept", f"moved-tag:{GOOD}").code == 0
    assert live(desk) == 2


def test_what_somebody_scaled_by_hand_is_kept_and_no_change(desk: Desk) -> None:
    scaled(desk, good=1, bad=1)
    desk.playground.must("scale", f"deployment/{USER}", "--replicas=2")
    assert planned(desk)[0] is None
    assert desk.rollback("run", "--to", GOOD, "--yes").code == 0
    assert live(desk) == 2


def test_an_autoscaler_that_comes_back_has_the_replicas_from_then_on(desk: Desk) -> None:
    scaled(desk, good=1, bad=3)
    desk.rewrite(GOOD, {HPA: AUTOSCALER})
    found, text = planned(desk)
    assert (found, f"HorizontalPodAutoscaler/{USER}: create" in text) == (None, True)
    assert desk.rollback("run", "--to", GOOD, "--yes").code == 0
    assert live(desk) == 3
    assert desk.live("horizontalpodautoscaler", USER)["spec"]["maxReplicas"] == 5
