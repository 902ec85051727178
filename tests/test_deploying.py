"""A deploy that is still at work while a rollback is planned: said in the plan, on the page and in the question."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rollback_lib import wiring
from rollback_lib.collectors import deploying as collector
from rollback_lib.core.kube.marks import RELEASE, TEMPLATE
from rollback_lib.core.kube.objects import template_hash
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.plan.text import text
from rollback_lib.core.releases.deploying import is_rolling
from rollback_lib.operations import jenkins_page
from rollback_lib.operations import run as operation
from rollback_lib.ports import Evidence
from tests.fake_jenkins import FakeJenkins
from tests.sandbox_shop import QuickClock, SandboxShop, sandbox_shop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxShop]:
    with sandbox_shop(tmp_path_factory.mktemp("deploying")) as shop:
        yield shop


@pytest.fixture
def shop(made: SandboxShop) -> Iterator[SandboxShop]:
    made.reset()
    file = made.shop.repository / "rollback.yaml"
    kept = file.read_text(encoding="utf-8")
    yield made
    file.write_text(kept, encoding="utf-8")


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        server.jobs["shop/deploy"] = "<flow-definition/>"
        yield server


def names_the_job(shop: SandboxShop) -> None:
    file = shop.shop.repository / "rollback.yaml"
    kept = file.read_text(encoding="utf-8")
    assert kept.count('releases: {tag: "v*"}') == 1
    file.write_text(kept.replace('{tag: "v*"}', '{tag: "v*", job: shop/deploy}'), encoding="utf-8")


def asking(environ: dict[str, str]) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, jenkins=lambda: wiring.jenkins(environ, QuickClock()))


def said(shop: SandboxShop, how: Callable[[Evidence], Evidence], **asked: Any) -> tuple[Plan, str, str, str]:
    """(the plan, its text, the page's description, the question) of a rollback that may go on."""
    with shop.world(evidence=how) as ports:
        run = shop.open("r1", yes=False, **asked)
        ended = operation.plan(run, ports)
    assert ended.code == 0, ended.ending.error  # it is never a refusal
    assert ended.plan is not None
    facts: dict[str, str] = {}
    for name, _, value in (
        line.partition(" ") for line in jenkins_page.write(run, datetime.now(UTC), "planned").splitlines()
    ):
        facts[name] = facts.get(name, "") + value + "\n"
    return ended.plan, " ".join(text(ended.plan).split()), facts["description"], facts["question"]


def test_a_build_of_the_deploy_job_that_runs_is_said_everywhere(shop: SandboxShop, fake: FakeJenkins) -> None:
    names_the_job(shop)
    for number, building in ((57, True), (58, False), (59, True)):
        fake.builds[number] = {"number": number, "url": f"{fake.url}{number}/", "building": building}
    plan, *places = said(
        shop, asking({"JENKINS_URL": fake.url}), upstream_job="shop/deploy", upstream_build="57", request_id="r",
    )  # fmt: skip
    for place in places:
        assert f"shop/deploy #59 is building ({fake.url}59/): it would overwrite this." in place
        assert "#58" not in place.replace("deploy #58 http", ""), "over"
        assert "#57 is building" not in place, "the deploy that failed, and waits for this"
    assert [d.what for d in plan.deploying] == ["shop/deploy #59"]


def test_no_build_that_runs_is_nothing_to_say(shop: SandboxShop, fake: FakeJenkins) -> None:
    names_the_job(shop)
    fake.builds[58] = {"number": 58, "url": f"{fake.url}58/", "building": False, "result": "SUCCESS"}
    plan, shown, *_ = said(shop, asking({"JENKINS_URL": fake.url}))
    assert plan.deploying == ()
    assert "shop/deploy" not in shown


def test_a_job_that_is_named_and_cannot_be_asked_was_not_looked_at(shop: SandboxShop) -> None:
    names_the_job(shop)
    for environ, why in (({}, "JENKINS_URL is not set"), ({"JENKINS_URL": "http://127.0.0.1:9/"}, "")):
        _, *places = said(shop, asking(environ))
        shop.reset()
        for place in places:
            assert f"Whether shop/deploy is building was not looked at: {why}" in place


def test_a_jenkins_that_hangs_is_not_waited_for(shop: SandboxShop, monkeypatch: pytest.MonkeyPatch) -> None:
    names_the_job(shop)
    monkeypatch.setattr(collector, "PATIENCE", 0.05)
    never = threading.Event()

    def hangs(evidence: Evidence) -> Evidence:
        return replace(evidence, jenkins=lambda: never.wait(30))  # type: ignore[arg-type,return-value]

    try:
        plan, *_ = said(shop, hangs)
    finally:
        never.set()
    assert [(d.kind, d.why) for d in plan.deploying] == [("unseen", "Jenkins did not answer within 0.05 s")]


def test_where_no_job_is_named_nobody_is_asked(shop: SandboxShop) -> None:
    def never(evidence: Evidence) -> Evidence:
        return replace(evidence, jenkins=lambda: pytest.fail("asked"))

    assert said(shop, never)[0].deploying == ()


def test_a_rollout_that_somebody_else_began_is_said_everywhere(shop: SandboxShop) -> None:
    later = {"spec": {"minReadySeconds": 6000, "template": {"metadata": {"annotations": {"by": "a deploy"}}}}}
    shop.kubectl("patch", "deployment", "user-service", f"--patch={json.dumps(later)}")
    _, *places = said(shop, lambda evidence: evidence)
    for place in places:
        assert "A rollout that is not ours is under way (Deployment/user-service)" in place


def deployment(**more: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "generation": 3},
        "spec": {"replicas": 2, "template": template},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2}, **more,
    }  # fmt: skip


DAEMONS = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "observedGeneration": 3}


@pytest.mark.parametrize(
    ("live", "rolls"),
    [
        (deployment(), False),
        (deployment(status={}), True),
        (deployment(status={"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}), True),
        (deployment(status={"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2}), True),
        (deployment(status={"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1}), True),
        (deployment(spec={"replicas": 0}, status={"observedGeneration": 3}), False),
        (deployment(spec={"replicas": 2, "paused": True}, status={}), False),
        (deployment(spec={}, status=DAEMONS), True),
        (deployment(spec={}, status={**DAEMONS, "updatedNumberScheduled": 3}), False),
        (deployment(spec={"updateStrategy": {"type": "OnDelete"}}, status=DAEMONS), False),
        (deployment(spec={"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
                    status={"observedGeneration": 3, "replicas": 3, "updatedReplicas": 1}), False),
    ],
)  # fmt: skip
def test_what_is_on_its_way_to_another_template(live: dict[str, Any], rolls: bool) -> None:
    assert is_rolling(live) == rolls


def test_what_a_run_of_ours_began_is_no_deploy() -> None:
    live = deployment(status={"observedGeneration": 3, "replicas": 3, "updatedReplicas": 1})
    live["metadata"]["annotations"] = {RELEASE: "v1", TEMPLATE: template_hash(live)}
    assert not is_rolling(live)
    live["metadata"]["annotations"][TEMPLATE] = "of an earlier template"
    assert is_rolling(live)
