"""One JVM with Jenkins's engine and one sandbox for all builds of a worker; each test gets the shop, badly deployed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.jenkins import job as jenkins_job
from rollback_lib.sandbox.playground import Kept, Playground
from rollback_lib.sandbox.shop import SCENARIOS
from tests.jenkins import jars
from tests.jenkins.controller import Answers, Build, Job
from tests.jenkins.engine import Engine

ROOT = Path(__file__).parents[2]
Play = Callable[..., Build]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if jars.missing() and not os.environ.get("CI"):
        pytest.skip("Jenkins's engine is not here: make test-jenkins")
    with Engine() as running:
        yield running


@pytest.fixture(scope="session")
def second_engine(engine: Engine) -> Iterator[Engine]:
    """For a build beside another one."""
    with Engine() as running:
        yield running


@pytest.fixture(scope="session")
def broken_shop() -> Iterator[tuple[Playground, Kept]]:
    with Playground(SCENARIOS["tag-overwritten"]) as playground:
        playground.deploy("v1.1.0")
        playground.deploy("v1.2.0")
        with (playground.repository / "rollback.yaml").open("a", encoding="utf-8") as settings:
            settings.write("automatic: {jobs: [shop/deploy], limit: 2, window: 1h}\n")
        git = ("git", "-C", str(playground.repository))
        subprocess.run((*git, "add", "--force", "rollback.yaml"), check=True)
        who = ("-c", "user.name=t", "-c", "user.email=t@t.test")
        subprocess.run((*git, *who, "commit", "--quiet", "--message=Settings"), check=True)
        yield playground, playground.keep_state()


@pytest.fixture
def shop(broken_shop: tuple[Playground, Kept]) -> Playground:
    broken_shop[0].put_back(broken_shop[1])
    return broken_shop[0]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder for agents' PATH: the `rollback` of this checkout, which fails where the file ``fails`` says so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "rollback"
    script.write_text(
        f'#!/bin/sh\nif [ "$*" = "$(cat "{folder}/fails" 2>/dev/null)" ]; then echo broken; exit 9; fi\n'
        f'exec "{sys.executable}" -m rollback_lib "$@"\n'
    )
    script.chmod(0o755)
    return folder


@pytest.fixture
def job(shop: Playground, program: Path, tmp_path: Path) -> Job:
    environment = {k: v for k, v in shop.environment().items() if k != "KUBECONFIG"}
    environment |= {"PATH": f"{program}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return Job(
        file=ROOT / "Jenkinsfile.rollback", workspaces=tmp_path / "workspaces", repository=shop.repository,
        agent_environment=environment, credentials={"rollback-kubeconfig": str(shop.kubeconfig)}, defaults=defaults(),
        choices={p.name: p.choices for p in jenkins_job.parameters() if p.type == "choice"},
    )  # fmt: skip


@pytest.fixture
def play(engine: Engine, job: Job) -> Play:
    """Run one build; ``parameters=None`` is a job's first one, which has none."""

    def played(parameters: dict[str, Any] | None, number: int = 7, **answers: Any) -> Build:
        shutil.rmtree(job.workspaces, ignore_errors=True)
        given = None if parameters is None else {**defaults(), **parameters}
        return Build(job, given, Answers(**answers), number).run(engine)

    return played


def defaults() -> dict[str, Any]:
    """What the form of the job gives where nobody touches it: of a choice its first, which may not be empty."""
    found = jenkins_job.parameters()
    first = {p.name: next(iter(p.choices), p.default) for p in found}
    return {p.name: p.default == "true" if p.type == "booleanParam" else first[p.name] for p in found}
