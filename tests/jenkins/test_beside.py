"""Builds beside each other (J16): they wait for each other to write, to the same environment, and for nothing else."""

from __future__ import annotations

from pathlib import Path

from rollback_lib.sandbox.playground import Playground
from tests.jenkins.conftest import defaults
from tests.jenkins.controller import Answers, Build, Job, Resources
from tests.jenkins.engine import Engine
from tests.jenkins.test_pipeline import BACK, report, stages_run


def test_a_question_keeps_no_other_build_waiting_and_who_came_later_looks_again(
    engine: Engine, second_engine: Engine, job: Job, shop: Playground
) -> None:
    """The same environment: one waits for a yes while the other rolls back; what it was asked about is not so then."""
    job.resources = Resources(patience=5)
    others: list[Build] = []

    def another_goes_first() -> None:
        others.append(Build(job, {**defaults(), **BACK, "REASON": "another"}, Answers(), 8).run(second_engine))

    build = Build(job, {**defaults(), **BACK}, Answers(at_question=another_goes_first), 7).run(engine)
    (other,) = others
    assert other.result == "SUCCESS", other.text
    assert (other.waited, build.waited) == ([], [])
    services = shop.services()
    assert [s.is_release("v1.1.0") for s in services] == [True] * len(services)
    before = shop.specs()
    assert build.result == "FAILURE", build.text
    assert report(build)["exit_code"] == 7
    assert "verify" not in stages_run(build)
    assert report(build)["run"] != report(other)["run"]
    assert shop.specs() == before
    locks = [given for name, given in [*build.entered, *other.entered] if name == "lock"]
    assert [given["resource"] for given in locks] == ["deploy-ecommerce-prod"] * 2


def played(engine: Engine, folder: Path, resources: Resources, number: int, resource: str, **answers: object) -> Build:
    file = folder / f"Jenkinsfile{number}"
    writes = f"lock(resource: '{resource}') {{ node('x') {{ sh(label: 'writes', script: 'true') }} }}"
    stage = f"stage('Restore') {{ steps {{ script {{ {writes} }} }} }}"
    file.write_text(f"pipeline {{\nagent none\nstages {{\n{stage}\n}}\n}}\n", encoding="utf-8")
    job = Job(file, folder / "workspaces", folder, {"PATH": "/usr/bin:/bin"}, resources=resources)
    return Build(job, {}, Answers(**answers), number).run(engine)  # type: ignore[arg-type]


def test_another_resource_is_not_waited_for_and_the_same_one_is(
    engine: Engine, second_engine: Engine, tmp_path: Path
) -> None:
    """Of the engine itself: what `lock` is there."""
    resources = Resources(patience=0.2)
    seen: list[str] = []

    def while_it_writes(command: str) -> None:
        for number, resource in ((2, "deploy-shop-stage"), (3, "deploy-shop-prod")):
            try:
                seen.append(played(second_engine, tmp_path, resources, number, resource).result)
            except AssertionError as problem:
                seen.append(str(problem))

    assert played(engine, tmp_path, resources, 1, "deploy-shop-prod", before=while_it_writes).result == "SUCCESS"
    assert seen == ["SUCCESS", "build 3 waits for deploy-shop-prod, which build 1 has"]
