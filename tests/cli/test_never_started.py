"""A release whose pods never started: no pod tells which it is, so what was applied does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import SERVICES, Desk
from tests.command_line import Ended

OWN = "k8s/user-service/own.yaml"
_OWN = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: user-cleaner}
spec:
  schedule: "0 4 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: user-cleaner, image: "sanjodb/user-service:prod"}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: user-closed}
spec: {podSelector: {matchLabels: {app: user-service}}, policyTypes: [Ingress]}
"""
CRON, POLICY = "CronJob/user-cleaner", "NetworkPolicy/user-closed"
GRACE, ENV = "      terminationGracePeriodSeconds: 1\n", "        env:\n"
NEVER = {
    "Pending": (GRACE, "      nodeSelector: {disk: fast}\n" + GRACE),
    "a Secret that is missing": (
        ENV, ENV + "        - {name: TOKEN, valueFrom: {secretKeyRef: {name: no-such, key: token}}}\n",
    ),
    "an image that is not there": (":prod  #", ":no-such  #"),
}  # fmt: skip
SAID = "what only the failed release brought is not known, so nothing of it was taken away"


def fails(desk: Desk, how: str) -> None:
    """v1.1.0 runs, and v1.2.0 is applied over it, with a CronJob and a NetworkPolicy of its own; no pod starts."""
    play = desk.playground
    play.deploy(GOOD)
    play.must("delete", "deployment/user-worker", "configmap/user-added")
    files: dict[str, str | None] = {OWN: _OWN, "k8s/user-service/worker.yaml": None}
    for service in SERVICES:
        path = f"k8s/{service}/deployment.yaml"
        files[path] = desk.file(BAD, path).replace(*NEVER[how])
    desk.rewrite(BAD, files)
    play.apply(BAD)


def orphans(desk: Desk) -> dict[str, str]:
    plan = json.loads((desk.runs()[-1] / "plan.json").read_text())
    return {f"{o['kind']}/{o['name']}": o["change"] for o in plan["orphans"]}


@pytest.fixture
def own(desk: Desk) -> Iterator[Desk]:
    yield desk
    desk.playground.kubectl("delete", "cronjob,networkpolicy", "--all")


@pytest.mark.long
@pytest.mark.parametrize("how", NEVER)
def test_what_was_applied_names_a_release_of_which_no_pod_started(own: Desk, how: str) -> None:
    fails(own, how)
    planned = own.rollback("plan", "--to", GOOD)
    assert planned.code == 0, planned
    assert f"{BAD} → {GOOD}" in planned.out
    assert orphans(own) == {"ConfigMap/user-added": "delete", CRON: "delete", POLICY: "left"}
    ended = own.rollback("run", "--to", GOOD, "--yes")
    assert ended.code == 0, ended
    assert f"Of the failed release {POLICY} stays." in ended.out.splitlines()[-1]
    assert SAID not in ended.out
    assert own.playground.kubectl("get", "cronjob/user-cleaner").code != 0
    assert own.rollback("guard", "--environment", "prod", "--release", BAD).code == 3


@pytest.mark.long
def test_where_nothing_names_what_runs_that_is_said_and_nothing_is_taken_away(own: Desk) -> None:
    """Somebody applied a file that no release has."""
    fails(own, "Pending")
    text = own.playground.shop.manifests(BAD).replace("NEW_FLAG", "HOT_FIX")
    own.playground.must("apply", "--filename=-", given=text)
    said = flat(own.rollback("plan", "--to", GOOD))
    assert SAID in said
    assert orphans(own) == {}
    ended = own.rollback("run", "--to", GOOD, "--yes")
    assert ended.code == 0, ended
    assert SAID in ended.out.splitlines()[-1]
    assert SAID in " ".join((own.runs()[-1] / "report/incident.md").read_text().split())
    assert own.playground.kubectl("get", "cronjob/user-cleaner").code == 0
    again = own.rollback("run", "--to", GOOD, "--yes")
    assert SAID not in again.out, "nothing was changed"


def flat(ended: Ended) -> str:
    return " ".join((ended.out + ended.err).split())
