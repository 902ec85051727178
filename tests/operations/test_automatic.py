"""A failed deploy asks for a rollback: Jenkins is asked itself, and the cluster remembers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.collectors import upstream
from rollback_lib.core.errors import RefusedError, UsageError
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.journal import Mark, ending
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model as core_settings
from rollback_lib.operations import automatic
from rollback_lib.ports import Ports
from tests.fake_jenkins import FakeJenkins
from tests.fakes import FakeClock, FakeRecords

JOB = "shop/deploy"
SETTINGS = core_settings.load("""
application: shop
manifests: {path: k8s}
environments: {prod: {namespace: shop}}
automatic: {jobs: [shop/deploy], limit: 2, window: 1h}
""")
EVIDENCE = {"application": "shop", "environment": "prod", "started": True, "commit": "abc", "anything": 1}


class World:
    def __init__(self, folder: Path, fake: FakeJenkins) -> None:
        self.folder, self.fake, self.records = folder, fake, FakeRecords()
        self.server = JenkinsServer(fake.url, "", "", sleep=lambda s: None)
        self.ports = Ports(
            git=None, registry=None, tags=None, cluster=None, records=self.records, evidence=None,  # type: ignore[arg-type]
            acts=None, clock=FakeClock(),  # type: ignore[arg-type]
            progress=None, approver=None, environ={},  # type: ignore[arg-type]
        )  # fmt: skip

    def run(self, name: str = "run-1", **values: Any) -> RunDirectory:
        run = RunDirectory(self.folder / name)
        given = {"upstream_job": JOB, "upstream_build": "41", "request_id": name, **values}
        run.put(Request(run=name, application="shop", environment="prod", to="v1.1.0", settings=SETTINGS, **given))
        run.put(
            Plan(
                run=name, application="shop", environment="prod", namespace="shop", cluster=ClusterIdentity(),
                current=ReleaseRef(release="v1.2.0"), target=ReleaseRef(release="v1.1.0"), services=(),
            )
        )  # fmt: skip
        return run

    def admit(self, run: RunDirectory, own_job: str = "shop/rollback") -> str:
        return automatic.admit(run, self.ports, lambda: self.server, own_job)

    @property
    def outcomes(self) -> list[str]:
        kept = self.records.get("ConfigMap", "rollback-automatic-shop-prod")
        return [a["outcome"] for a in json.loads(kept["data"]["history"])["attempts"]] if kept else []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with FakeJenkins() as fake:
        fake.builds[41] = {"number": 41, "url": "http://ci/41/", "building": True, "result": "FAILURE", "actions": []}
        fake.stages[41] = [{"name": "Build", "status": "SUCCESS"}, {"name": "Deploy", "status": "FAILED"}]
        fake.logs[41] = b"\n".join(b"line %d" % i for i in range(99)) + b"\npassword=hunter2\n"
        fake.artifacts["rollback-evidence.json"] = json.dumps(EVIDENCE).encode()
        made = World(tmp_path, fake)
        yield made
        made.server.close()


def test_a_failed_deploy_is_admitted_once_with_its_evidence(world: World) -> None:
    run = world.run()
    assert world.admit(run) == f"{JOB} 41 failed in Deploy after it began to change the cluster: http://ci/41/"
    told = json.loads(run.read("evidence/upstream.json"))
    assert told["failed_stages"] == ["Deploy"]
    assert len(told["log_tail"]) == 40
    assert "hunter2" not in json.dumps(told)
    assert world.outcomes == ["begun"]
    world.admit(run)  # the same run, entered again
    assert world.outcomes == ["begun"]


def test_a_person_s_run_asks_no_server(world: World) -> None:
    def no_server() -> Any:
        raise AssertionError("asked")

    run = world.run(upstream_job="")
    assert "Started by a person" in automatic.admit(run, world.ports, no_server, "")
    assert world.outcomes == []


def deployed(**more: Any) -> Callable[[World], object]:
    return lambda w: w.fake.artifacts.update({"rollback-evidence.json": json.dumps(EVIDENCE | more).encode()})


def built(**more: Any) -> Callable[[World], object]:
    return lambda w: w.fake.builds[41].update(more)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (built(result="SUCCESS", building=False), "did not fail: Jenkins says SUCCESS"),
        (lambda w: w.fake.builds[41].update(result=None) or w.fake.stages.clear(), "did not fail: Jenkins says that"),
        (lambda w: w.fake.builds.clear(), "no build 41 of shop/deploy"),
        (lambda w: w.fake.artifacts.clear(), "no artifact rollback-evidence.json that reads"),
        (lambda w: w.fake.artifacts.update({"rollback-evidence.json": b"{"}), "no artifact"),
        (deployed(started=False), "before it began to change the cluster"),
        (deployed(environment="dev"), "deployed shop dev, not shop prod"),
        (built(actions=[{"parameters": [{"name": "UPSTREAM_JOB", "value": "x"}]}]), "itself a rollback"),
        (built(actions=[{"causes": [{"upstreamProject": "shop/rollback"}]}]), "itself a rollback"),
    ],
)  # fmt: skip
def test_what_jenkins_does_not_confirm_is_refused_and_journalled(
    world: World, change: Callable[[World], object], text: str
) -> None:
    change(world)
    run = world.run()
    with pytest.raises(RefusedError, match=text):
        world.admit(run)
    assert ending(run.events()).code == 3
    assert ending(run.events()).stage == "admit"
    assert world.outcomes == []


def test_a_job_that_the_settings_do_not_name_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match=r"name it in rollback\.yaml under automatic\.jobs"):
        world.admit(world.run(upstream_job="other/deploy"))


@pytest.mark.parametrize("missing", ["upstream_build", "request_id"])
def test_a_pointer_alone_is_a_wrong_request(world: World, missing: str) -> None:
    with pytest.raises(UsageError, match="UPSTREAM_JOB needs"):
        world.admit(world.run(**{missing: ""}))


def test_a_failed_one_stops_the_next_until_a_person_has_rolled_back(world: World) -> None:
    first = world.run("run-1")
    world.admit(first)
    first.append(Mark.DONE, "apply", key="a", what="Deployment/x")
    first.append(Mark.STAGE_BEGIN, "verify")
    first.append(Mark.STAGE_FAILED, "verify", error="no", code=4)
    automatic.settle(first, world.ports)
    assert world.outcomes == ["failed"]

    world.fake.builds[42] = {**world.fake.builds[41], "number": 42}
    with pytest.raises(RefusedError, match="the next one is a person's"):
        world.admit(world.run("run-2", upstream_build="42"))

    by_hand = world.run("run-3", upstream_job="")
    by_hand.append(Mark.DONE, "apply", key="a", what="Deployment/x")
    automatic.settle(by_hand, world.ports)
    assert world.outcomes == ["cleared"]


def test_a_dry_run_is_verified_and_not_counted(world: World) -> None:
    run = world.run(dry_run=True)
    assert "failed in Deploy" in world.admit(run)
    automatic.settle(run, world.ports)
    assert world.outcomes == []


def test_two_at_once_do_not_both_go(world: World) -> None:
    class Raced(FakeRecords):
        def put(self, record: Any) -> Any:
            if self is world.ports.records and not self.kept:
                other = {**record, "data": {"history": record["data"]["history"].replace("run-1", "run-0")}}
                super().put(other)
            return super().put(record)

    world.records = Raced()
    world.ports = replace(world.ports, records=world.records)
    with pytest.raises(RefusedError, match=r"asked for already, as request run-0 .* \(run run-0\)"):
        world.admit(world.run("run-1"))


def test_a_history_that_does_not_read_lets_nothing_through(world: World) -> None:
    name = {"name": "rollback-automatic-shop-prod"}
    world.records.put({"kind": "ConfigMap", "metadata": name, "data": {"history": "{"}})
    with pytest.raises(RefusedError, match="does not read"):
        world.admit(world.run())


def test_a_server_that_tells_little_is_enough(world: World) -> None:
    world.fake.replies += [
        ("wfapi", (404, {}, b"")),
        ("progressiveText", (403, {}, b"")),
        ("testReport", (403, {}, b"")),
    ]
    assert world.admit(world.run()).startswith(f"{JOB} 41 failed after")


def test_detect_asks_jenkins_itself_for_the_failed_build(world: World) -> None:
    [found] = upstream.findings(world.server, JOB, 41)
    assert (found.severity, found.cause, found.source) == ("suspect", "DeployFailed", "jenkins")
    assert found.text.startswith("shop/deploy 41: FAILURE in Deploy; last line: ")
    assert "hunter2" not in found.text
    world.fake.builds[42] = {
        "number": 42,
        "url": "http://ci/42/",
        "building": False,
        "result": "SUCCESS",
        "actions": [],
    }
    assert [f.severity for f in upstream.findings(world.server, JOB, 42)] == ["note"]
    assert [f.text for f in upstream.findings(world.server, JOB, 7)] == [
        "Jenkins has no build 7 of shop/deploy, or we may not see it."
    ]
