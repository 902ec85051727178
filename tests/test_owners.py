"""A rollback of what another program owns: what a person is told before and after, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.core.plan import text
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model
from rollback_lib.operations import run as operation
from tests.fakes import FakeProgress
from tests.pipeline.test_loop import SETTINGS, World

ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/user"}}
FLUX: dict[str, dict[str, str]] = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}
SUSPENDED = {**FLUX, "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}
ACCEPTED = ["owner:user", "owner:cart"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def owned(world: World, mark: dict[str, Any], *names: str) -> None:
    for name in names or ("user",):
        world.cluster.objects["Deployment", name]["metadata"] |= mark


@pytest.mark.parametrize(
    ("mark", "says"),
    [(ARGO, "Argo CD (store) will undo the rollback of Deployment/user: within seconds where it heals by itself"),
     (FLUX, "Flux (Kustomization apps) will undo the rollback of Deployment/user at its next interval."),
     (SUSPENDED, "Flux (Kustomization apps) is suspended for Deployment/user")],
    ids=["argo", "flux", "suspended"],
)  # fmt: skip
def test_what_becomes_of_it_stands_in_refusal_plan_question_and_last_line(
    world: World, mark: dict[str, Any], says: str
) -> None:
    owned(world, mark)
    refused = operation.execute(world.run("refused"), world.ports())
    assert (refused.ending.code, world.cluster.writes) == (3, [])
    assert says in " ".join(refused.ending.error.split())
    asked = FakeProgress(answer=True)
    run = world.run(yes=False, accept=ACCEPTED)
    done = operation.execute(run, world.ports(progress=asked, approver=asked))
    assert done.ending.code == 0
    assert says in " ".join(text.text(run.get(Plan)).split())
    assert any(says in question for question in asked.asked)
    assert says in done.text.splitlines()[-1]
    assert ("will undo" in done.text) == (mark is not SUSPENDED)


def test_several_objects_of_one_owner_are_one_sentence(world: World) -> None:
    owned(world, FLUX, "user", "cart")
    run = world.run(accept=ACCEPTED)
    assert operation.execute(run, world.ports()).ending.code == 0
    (said,) = text.undone(run.get(Plan))
    assert said.startswith(
        "Flux (Kustomization apps) will undo the rollback of Deployment/cart, Deployment/user at its"
    )
    assert "disabled on each of them" in said


def test_a_second_run_that_has_nothing_to_do_warns_of_nothing(world: World) -> None:
    owned(world, FLUX)
    assert operation.execute(world.run(accept=ACCEPTED), world.ports()).ending.code == 0
    again = operation.execute(world.run("again"), world.ports())
    assert (again.ending.code, "undo" in again.text) == (0, False)


@pytest.mark.parametrize("yes", [True, False])
def test_the_policy_does_not_accept_an_owner(world: World, yes: bool) -> None:
    owned(world, FLUX)
    run = world.run(yes=yes, accept=[*ACCEPTED, "healthy"])
    made = model.load(SETTINGS.replace("namespace: shop", "namespace: shop, approval: auto"))
    run.put(msgspec.structs.replace(run.get(Request), settings=made))
    outcome = operation.execute(run, world.ports())
    assert (outcome.ending.code, world.cluster.writes) == (3, [])
    said = " ".join(outcome.ending.error.split())
    assert "With `approval: auto` nobody hears that, so it is not acceptable there." in said
    assert "--accept owner:" not in said
