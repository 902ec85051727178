"""A deploy that is still at work, as the command's own user sees it; the rest is in test_deploying.py."""

from __future__ import annotations

import json

from tests.cli.desk import Desk
from tests.fake_jenkins import FakeJenkins


def test_a_rollout_that_somebody_else_began_stands_first_in_the_plan(desk: Desk) -> None:
    later = {"spec": {"minReadySeconds": 6000, "template": {"metadata": {"annotations": {"by": "a deploy"}}}}}
    desk.playground.must("patch", "deployment", "user-service", f"--patch={json.dumps(later)}")
    planned = desk.rollback("plan", "--to", "v1.1.0")
    assert planned.code == 0, planned
    assert planned.out.startswith("! A rollout that is not ours is under way (Deployment/user-service): a deploy")
    assert max(map(len, planned.out.splitlines()[:4])) <= 80


def test_a_build_of_the_deploy_job_that_runs_stands_first_in_the_plan(desk: Desk) -> None:
    file = desk.playground.repository / "rollback.yaml"
    kept = file.read_text(encoding="utf-8")
    file.write_text(kept.replace('releases: {tag: "v*"}', 'releases: {tag: "v*", job: shop/deploy}'), encoding="utf-8")
    with FakeJenkins() as jenkins:
        jenkins.jobs["shop/deploy"] = "<flow-definition/>"
        jenkins.builds[59] = {"number": 59, "url": f"{jenkins.url}59/", "building": True}
        planned = desk.rollback("plan", "--to", "v1.1.0", JENKINS_URL=jenkins.url)
        assert planned.code == 0, planned
        assert planned.out.startswith("! shop/deploy #59 is building (")
    unseen = desk.rollback("plan", "--to", "v1.1.0")
    assert unseen.code == 0, unseen
    said = "! Whether shop/deploy is building was not looked at: JENKINS_URL is not set:"
    assert " ".join(unseen.out.split()).startswith(said)
