"""The one loop: what runs, what may write, and what the ending says."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import FailedError, UsageError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.changes import DeleteObject
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Request, Verification
from rollback_lib.core.settings import model
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.ports import Ports, RunStore, Writer
from tests.fakes import FakeActs, FakeClock, FakeCluster, FakeGit, FakeProgress, FakeRecords, FakeRegistry, ports

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SETTINGS = """
application: shop
manifests: {path: "k8s/{service}"}
images: {repository: "team/{service}"}
environments: {prod: {context: test, namespace: shop}}
"""


def manifest(name: str, level: str) -> bytes:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: {name}
        image: team/{name}:prod
        env: [{{name: LEVEL, value: {level}}}]
""".encode()


def live(name: str) -> dict[str, Any]:
    container = {"name": name, "image": f"team/{name}@{BAD}", "env": [{"name": "LEVEL", "value": "v2"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class World:
    """Two services, v1 good and v2 bad, and a run directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = FakeCluster(live("cart"), live("user"))
        self.git = FakeGit({v: {f"k8s/{n}/d.yaml": manifest(n, v) for n in ("cart", "user")} for v in ("v1", "v2")})
        digests = {
            f"team/{n}:{tag}": d for n in ("cart", "user") for tag, d in (("v1", GOOD), ("v2", BAD), ("prod", BAD))
        }
        self.registry = FakeRegistry(**digests)
        self.records = FakeRecords()  # what is in the cluster outlives a process

    def ports(self, **more: Any) -> Ports:
        return ports(self.cluster, self.git, self.registry, **{"records": self.records, **more})

    def run(self, name: str = "run", **values: Any) -> RunDirectory:
        run = RunDirectory(self.folder / name)
        if run.find(Request) is None:
            made = model.load(SETTINGS)
            run.put(
                operation.request(
                    {"to": "v1", "yes": True, **values}, made, "prod", run=name, by="me", origin="here",
                    started=FakeClock().now(), repository=str(self.folder),
                )
            )  # fmt: skip
        return run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_writes_before_every_check_is_made() -> None:
    safe = [s.ID for s in takewhile(lambda s: not s.WRITES, loop.STAGES)]
    assert safe == ["detect", "incident", "resolve", "images", "rewrite", "preflight", "approve"]
    assert [s.ID for s in loop.STAGES if s.WRITES] == ["isolate", "apply", "reopen"]


def test_a_run_brings_back_the_release_and_ends_with_0(world: World) -> None:
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 0, outcome.ending
    assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"]
    container = world.cluster.objects["Deployment", "cart"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"team/cart:v1@{GOOD}"
    assert container["env"] == [{"name": "LEVEL", "value": "v1"}]
    assert "Done" in outcome.text
    assert ":prod in 2 repositories is still v2" in outcome.text


def test_fields_that_stay_ours_are_said_and_fail_nothing(world: World) -> None:
    image = {"f:spec": {"f:template": {"f:spec": {"f:containers": {"f:image": {}}}}}}
    entries = [
        {"manager": "team", "operation": "Apply", "fieldsV1": image},
        {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": image},
    ]
    world.cluster.objects["Deployment", "cart"]["metadata"] |= {"managedFields": entries, "resourceVersion": "1"}
    progress = FakeProgress()
    outcome = operation.execute(world.run(), world.ports(progress=progress))
    assert outcome.ending.code == 0, outcome.ending
    assert sum("Deployment/cart is applied server-side by team" in line for line in progress.lines) == 1


def test_a_second_run_has_nothing_to_do_and_needs_no_approval(world: World) -> None:
    operation.execute(world.run(), world.ports())
    before = list(world.cluster.writes)
    outcome = operation.execute(world.run("again", yes=False), world.ports())
    assert outcome.ending.code == 0
    assert outcome.text.startswith("Nothing to do")
    assert world.cluster.writes == before


def test_stage_by_stage_in_processes_of_their_own_ends_like_one_run(world: World) -> None:
    for stage in operation.STAGES:
        outcome = operation.one(world.run(), world.ports(), stage)
    assert outcome.ending.code == 0
    assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"]
    assert world.run().get(Verification).healthy


def test_a_stage_without_its_records_names_the_stage_that_makes_them(world: World) -> None:
    outcome = operation.one(world.run(), world.ports(), "apply")
    assert outcome.ending.code == 2
    assert "rollback stage preflight" in outcome.ending.error


def test_a_stage_that_may_not_write_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def sneaky(run: RunStore, ports: Ports, write: Writer) -> None:
        write.do(DeleteObject(key="x", kind="Pod", name="cart-pod", api_version="v1", before="", after="", uid="u"))

    monkeypatch.setattr(loop, "STAGES", (SimpleNamespace(ID="resolve", WRITES=False, run=sneaky),))
    run = world.run()
    ending = loop.advance(run, world.ports())
    assert ending.code == 70
    assert "may not write" in ending.error
    assert b"Traceback" in run.read("traceback.txt")
    assert world.cluster.writes == []


def test_a_dry_run_enters_no_stage_that_writes(world: World) -> None:
    run = world.run(dry_run=True)
    for stage in operation.STAGES:
        outcome = operation.one(run, world.ports(), stage)
    assert outcome.ending.code == 0
    assert world.cluster.writes == []
    assert operation.execute(world.run("other", dry_run=True), world.ports()).ending.code == 0
    assert world.cluster.writes == []


@pytest.mark.parametrize(
    ("error", "number", "code"),
    [
        (FailedError("the server is gone"), 1, 4),
        (FailedError("the server is gone"), 2, 4),
        (ValueError("a bug"), 2, 70),
    ],
    ids=["unclear", "after-one", "bug"],
)
def test_the_code_after_a_write_says_that_something_was_changed(
    world: World, error: Exception, number: int, code: int
) -> None:
    acts = FakeActs(world.cluster, fail={number: error})
    outcome = operation.execute(world.run(), world.ports(acts=acts))
    assert outcome.ending.code == code
    assert outcome.ending.unclear
    assert outcome.ending.finished, "document runs on every ending"
    assert (world.folder / "run/report/incident.md").read_text().count("failed") >= 1


def test_running_again_after_a_failure_finishes_the_job(world: World) -> None:
    acts = FakeActs(world.cluster, fail={2: FailedError("the network is gone")})
    assert operation.execute(world.run(), world.ports(acts=acts)).ending.code == 4
    assert operation.execute(world.run("run-again"), world.ports()).ending.code == 6, "the failed one keeps its lock"
    assert operation.execute(world.run("run-over", take_over=True), world.ports()).ending.code == 0
    assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"]


def test_what_the_journal_calls_done_is_not_done_again(world: World) -> None:
    operation.execute(world.run(), world.ports())
    run = world.run()
    loop.advance(run, world.ports(), only="apply")
    assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"]


def test_a_change_by_someone_else_makes_the_plan_stale(world: World) -> None:
    run = world.run()
    for stage in ("resolve", "images", "rewrite", "preflight", "approve"):
        operation.one(run, world.ports(), stage)
    world.cluster.objects["Deployment", "user"]["spec"]["minReadySeconds"] = 5
    outcome = operation.one(run, world.ports(), "apply")
    assert outcome.ending.code == 7
    assert "Deployment/user" in outcome.ending.error
    assert world.cluster.writes == []


def test_another_cluster_makes_the_plan_stale(world: World) -> None:
    run = world.run()
    for stage in ("resolve", "images", "rewrite", "preflight", "approve"):
        operation.one(run, world.ports(), stage)
    world.cluster.uid = "another"
    assert operation.one(run, world.ports(), "apply").ending.code == 7


def test_an_interruption_before_the_first_write_is_130(world: World) -> None:
    clock = FakeClock()

    class Stopping(FakeProgress):
        def stage(self, stage: str) -> None:
            clock.stopped = stage == "apply"

    outcome = operation.execute(world.run(), world.ports(clock=clock, progress=Stopping()))
    assert outcome.ending.code == 130
    assert world.cluster.writes == []
    assert "Nothing was changed" in outcome.text


def test_without_a_yes_and_without_a_terminal_it_is_not_approved(world: World) -> None:
    outcome = operation.execute(world.run(yes=False), world.ports())
    assert outcome.ending.code == 7
    assert "ROLLBACK_APPROVED_HASH" in outcome.ending.error


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 7)])
def test_a_person_at_a_terminal_sees_the_plan_and_decides(world: World, answer: bool, code: int) -> None:
    progress = FakeProgress(answer)
    assert operation.execute(world.run(yes=False), world.ports(progress=progress)).ending.code == code
    assert progress.asked
    assert any("shop prod: v2 → v1" in line for line in progress.lines)


def test_an_approval_from_the_environment_holds_for_that_plan_only(world: World) -> None:
    run = world.run(yes=False)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        operation.one(run, world.ports(), stage)
    plan = run.get(Plan)
    wrong = {"ROLLBACK_APPROVED_HASH": "0" * 64, "ROLLBACK_APPROVED_BY": "ana"}
    assert operation.one(run, world.ports(environ=wrong), "approve").ending.code == 7
    right = {"ROLLBACK_APPROVED_HASH": plan.hash, "ROLLBACK_APPROVED_BY": "ana"}
    assert operation.one(run, world.ports(environ=right), "approve").ending.code == 0
    assert operation.one(run, world.ports(), "apply").ending.code == 0


def test_a_plan_hash_refuses_any_other_plan(world: World) -> None:
    assert operation.execute(world.run(plan_hash="0" * 64), world.ports()).ending.code == 7
    assert world.cluster.writes == []


def test_several_contexts_and_none_named_need_a_terminal(world: World) -> None:
    world.cluster.context_names = ("here", "there")
    run = world.run()
    made = model.load(SETTINGS.replace("context: test, ", ""))

    run.put(msgspec.structs.replace(run.get(Request), settings=made))
    outcome = operation.execute(run, world.ports())
    assert outcome.ending.code == 2
    assert "context" in outcome.ending.error


def test_an_image_that_is_nowhere_is_refused_and_named(world: World) -> None:
    del world.registry.digests["team/user:v1"]
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert "team/user:v1" in outcome.ending.error
    assert world.cluster.writes == []


def test_every_event_is_in_the_journal_before_and_after_a_write(world: World) -> None:
    run = world.run()
    operation.execute(run, world.ports())
    marks = [(e.mark, e.key) for e in run.events() if e.key == "apply/deployment/cart"]
    assert marks == [(Mark.ANNOUNCED, "apply/deployment/cart"), (Mark.DONE, "apply/deployment/cart")]


def test_a_missing_record_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rollback stage preflight"):
        RunDirectory(tmp_path / "r").get(Plan)


def test_a_name_that_the_deploy_job_fills_in_is_filled_in_here_too(world: World) -> None:
    name, blank = b"metadata: {name: user}", b'metadata: {name: "${NAME}"}'
    world.git.releases["v1"] = {f: d.replace(name, blank) for f, d in world.git.releases["v1"].items()}
    run = world.run()
    made = model.load(SETTINGS.replace('path: "k8s/{service}"', 'path: "k8s/{service}", substitute: {NAME: user}'))
    run.put(msgspec.structs.replace(run.get(Request), settings=made))
    outcome = operation.execute(run, world.ports())
    assert outcome.ending.code == 0, outcome.ending.error
    assert "apply/deployment/user" in world.cluster.writes


def test_a_name_that_nobody_fills_in_is_refused_with_its_place(world: World) -> None:
    good = world.git.releases["v1"]["k8s/user/d.yaml"]
    bad = {**world.git.releases["v1"], "k8s/user/d.yaml": good.replace(b"{name: user}", b'{name: "${NAME}"}', 1)}
    world.git.releases["v1"] = bad
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3, outcome.ending.error
    assert "k8s/user/d.yaml" in outcome.ending.error


def test_what_the_failed_release_removed_is_created_as_the_manifest_has_it(world: World) -> None:
    config = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart}\ndata: {A: b}\n"
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/config.yaml": config}
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 0, outcome.ending.error
    of_cart = [key for key in world.cluster.writes if key.endswith("/cart")]  # services of one wave have no order
    assert of_cart == ["apply/configmap/cart", "apply/deployment/cart"]
    assert world.cluster.objects["ConfigMap", "cart"]["data"] == {"A": "b"}
