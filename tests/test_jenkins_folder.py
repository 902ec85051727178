"""What an administrator installs agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollback_lib.core.jenkins import job
from rollback_lib.core.jenkins.loop_guard import KEPT
from rollback_lib.core.jenkins.upstream import EVIDENCE
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.rights.permissions import allows, needs
from rollback_lib.operations.run import STAGES

pytestmark = pytest.mark.inventory

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "jenkins"
SHOP = (ObjectRef("Deployment", "cart"), ObjectRef("Service", "cart"), ObjectRef("ConfigMap", "common"))
LOOP_GUARD = [(verb, "", "configmaps", "rollback-automatic-shop-prod") for verb in ("get", "create", "update")]


def rules(*roles: str) -> list[dict[str, Any]]:
    found = yaml.safe_load_all((FOLDER / "rbac.yaml").read_text(encoding="utf-8"))
    return [
        rule for each in found if each["kind"] == "Role" and each["metadata"]["name"] in roles for rule in each["rules"]
    ]


def asked(*, optional: bool) -> list[tuple[str, str, str, str]]:
    found = [
        n
        for n in needs(SHOP, "ecommerce", lease="rollback-ecommerce", smoke=optional)
        if n.optional is False or optional
    ]
    asked = [(n.verb, KINDS[n.kind].group, n.resource, n.name) for n in found]
    return asked + (LOOP_GUARD if optional else [])


def test_the_role_is_enough() -> None:
    assert [need for need in asked(optional=False) if not allows(rules("rollback"), *need)] == []


def test_both_roles_are_enough_for_all_that_can_be_lost() -> None:
    both = rules("rollback", "rollback-more")
    assert [need for need in asked(optional=True) if not allows(both, *need)] == []


@pytest.mark.parametrize("role", ["rollback", "rollback-more"])
def test_no_verb_stands_there_that_nothing_asks_for(role: str) -> None:
    wanted = {(verb, group, resource) for verb, group, resource, _ in asked(optional=role != "rollback")}
    given = {
        (v, g, r) for rule in rules(role) for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]
    }
    assert given - wanted == set()
    assert not [rule for rule in rules(role) if "*" in str(rule)]


def test_every_stage_of_the_plan_is_run_by_the_pipeline_once_in_order() -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    calls = re.findall(r"rollback\('stage ([a-z-]+)'\)", text)
    assert calls == [stage for stage in STAGES if stage != "document"]
    assert text.count("rollback('stage document', true)") == 1


def test_the_library_s_step_archives_what_the_rollback_looks_for() -> None:
    assert text_of("vars/rollbackOnFailure.groovy").count(f"'{EVIDENCE}'") == 2


def test_the_pages_name_what_there_is() -> None:
    page = text_of("README.md")
    for name in ("config.xml", "seed.groovy", "casc.yaml", "rbac.yaml", "plugins.txt", "Dockerfile", "operador.md"):
        assert f"`{name}`" in page, name
        assert (FOLDER / name).is_file(), name
    assert str(KEPT) in page
    table = page[page.index("| group |") :].partition("\n\n")[0]
    assert sorted(re.findall(r"`([a-z]+)`", table)) == sorted(STAGES)


def test_the_operator_s_page_names_every_parameter_of_the_job() -> None:
    page = text_of("operador.md")
    assert [p.name for p in job.parameters() if p.name not in page] == []


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
