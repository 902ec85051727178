"""A deploy that fails starts the rollback by `rollbackOnFailure`; both on Jenkins's own engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.sandbox.playground import Playground
from tests.fake_jenkins import FakeJenkins
from tests.jenkins.conftest import ROOT, Play, defaults
from tests.jenkins.controller import Answers, Build, Job
from tests.jenkins.engine import Engine

DEPLOY = """pipeline {
  agent none
  options { timeout(time: 1, unit: 'HOURS') }
  stages {
    stage('Deploy') {
      agent any
      options { lock('deploy-prod') }
      steps {
        sh 'exit "${EARLY:-0}"'
        script { rollbackOnFailure.deploys(application: 'ecommerce', environment: 'prod') }
        sh 'exit "${LATE:-0}"'
      }
    }
  }
  post { failure { rollbackOnFailure(job: 'shop/rollback', environment: 'prod', release: 'v1.1.0') } }
}
"""


class Deploy:
    """Runs the deploy; what it asks the rollback job for is in ``asked``."""

    def __init__(self, engine: Engine, job: Job, folder: Path) -> None:
        file = folder / "Jenkinsfile"
        file.write_text(DEPLOY, encoding="utf-8")
        self.engine, self.asked = engine, list[Mapping[str, Any]]()
        library = (ROOT / "jenkins/vars/rollbackOnFailure.groovy",)
        self.job = replace(job, file=file, library=library, name="shop/deploy", defaults={})

    def run(self, **fails: str) -> Build:
        def rollback(given: Mapping[str, Any]) -> Mapping[str, Any]:
            self.asked.append(given)
            return {"number": 8, "result": "SUCCESS"}

        self.job.agent_environment = {**self.job.agent_environment, **fails}
        parameters = {"UPSTREAM_JOB": fails.get("UPSTREAM_JOB", "")}
        return Build(self.job, parameters, Answers(builds=rollback), 41).run(self.engine)


@pytest.fixture
def deploy(engine: Engine, job: Job, tmp_path: Path) -> Deploy:
    return Deploy(engine, job, tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        yield server


def test_a_deploy_that_fails_after_it_began_asks_with_pointers_to_itself(deploy: Deploy) -> None:
    build = deploy.run(LATE="1")
    assert build.result == "FAILURE", "a good rollback does not make the deploy a good one"
    (asked,) = deploy.asked
    assert (asked["executors"], asked["locks"]) == (0, 0), "else the two would wait for each other"
    assert (asked["job"], asked["wait"], asked["propagate"]) == ("shop/rollback", True, False)
    given = {p["args"]["name"]: p["args"]["value"] for p in asked["parameters"]}
    assert set(given) <= set(defaults())
    assert (given["UPSTREAM_JOB"], given["UPSTREAM_BUILD"]) == ("shop/deploy", "41")
    assert given["REQUEST_ID"] == "jenkins-shop-deploy-41"
    assert json.loads(build.archived["rollback-evidence.json"])["started"] is True


@pytest.mark.parametrize("fails", [{"EARLY": "1"}, {}], ids=["before it began", "not at all"])
def test_a_deploy_that_changed_nothing_or_went_well_asks_for_nothing(deploy: Deploy, fails: dict[str, str]) -> None:
    build = deploy.run(**fails)
    assert build.result == ("FAILURE" if fails else "SUCCESS"), build.text
    assert not deploy.asked


def test_a_deploy_that_a_rollback_started_asks_for_nothing(deploy: Deploy) -> None:
    deploy.run(LATE="1", UPSTREAM_JOB="shop/rollback")
    assert not deploy.asked


def test_what_the_deploy_asks_for_brings_the_release_back_once(
    deploy: Deploy, play: Play, job: Job, shop: Playground, fake: FakeJenkins, tmp_path: Path
) -> None:
    failed = deploy.run(LATE="1")
    given = {p["args"]["name"]: p["args"]["value"] for p in deploy.asked[0]["parameters"]}
    fake.builds[41] = {"number": 41, "url": f"{fake.url}41/", "building": True, "result": failed.result, "actions": []}
    fake.stages[41] = [{"name": name, "status": "FAILED"} for name in failed.failed if name]
    fake.artifacts = failed.archived

    job.url, job.credentials = fake.url, {**job.credentials, "api": ("robot", "t0ken")}
    text = job.file.read_text(encoding="utf-8").replace("ROLLBACK_JENKINS_ID = ''", "ROLLBACK_JENKINS_ID = 'api'")
    job.file = tmp_path / "Jenkinsfile.rollback"
    job.file.write_text(text, encoding="utf-8")

    build = play(given)
    assert build.result == "SUCCESS", build.text
    assert all(s.is_release("v1.1.0") for s in shop.services())
    assert "shop/deploy 41 failed in Deploy after it began to change the cluster" in build.text
    assert "t0ken" not in build.text

    again = play(given, number=9)
    assert again.result == "FAILURE"
    assert "this was asked for already, as request jenkins-shop-deploy-41" in again.text, again.text
    assert not again.questions


GUARDED = """node('deploy') {
  checkout([$class: 'GitSCM', branches: scm.branches, userRemoteConfigs: scm.userRemoteConfigs,
            extensions: [[$class: 'CloneOption', noTags: false]]])
  rollbackGuard(environment: 'prod', release: 'v1.3.0') { sh 'echo deploying; exit "${LATE:-0}"' }
}
"""


class Guarded:
    def __init__(self, engine: Engine, job: Job, folder: Path, shop: Playground) -> None:
        file = folder / "Jenkinsfile"
        file.write_text(GUARDED, encoding="utf-8")
        library = (ROOT / "jenkins/vars/rollbackGuard.groovy",)
        environment = {**job.agent_environment, "KUBECONFIG": str(shop.kubeconfig)}
        self.engine, self.shop = engine, shop
        self.job = replace(job, file=file, library=library, agent_environment=environment, defaults={})

    def run(self, **more: str) -> Build:
        self.job.agent_environment = {**self.job.agent_environment, **more}
        return Build(self.job, {}, Answers(), 5).run(self.engine)

    @property
    def lock(self) -> str:
        return self.shop.kubectl("get", "lease", "rollback-ecommerce", "--output=name").out


@pytest.mark.parametrize("fails", [{}, {"LATE": "1"}], ids=["good", "failed"])
def test_a_deploy_holds_the_rollback_s_lock_and_gives_it_back(
    engine: Engine, job: Job, shop: Playground, tmp_path: Path, fails: dict[str, str]
) -> None:
    guarded = Guarded(engine, job, tmp_path, shop)
    build = guarded.run(**fails)
    assert "deploying" in build.text
    assert ("error" in build.end) is bool(fails), build.text
    assert "NotFound" in guarded.lock


def test_a_deploy_does_not_begin_while_another_one_holds_it(
    engine: Engine, job: Job, shop: Playground, tmp_path: Path, program: Path
) -> None:  # C44
    guarded = Guarded(engine, job, tmp_path, shop)
    hold = {"ROLLBACK_RELEASE": "v9", "ROLLBACK_ENVIRONMENT": "prod"}
    shop.run((str(program / "rollback"), "guard", "--hold"), {**hold, "PYTHONPATH": str(ROOT)})
    build = guarded.run()
    assert "script returned exit code 6" in build.end["error"], build.text
    assert "deploying" not in build.text
    assert guarded.lock.strip().endswith("rollback-ecommerce")
