"""What an administrator installs agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from rollback_lib.core.jenkins import job
from rollback_lib.core.jenkins.loop_guard import KEPT
from rollback_lib.core.jenkins.upstream import EVIDENCE
from rollback_lib.core.rights import role
from rollback_lib.operations.run import STAGES

pytestmark = pytest.mark.inventory

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "jenkins"


def test_what_the_agent_may_do_is_what_the_table_of_rights_says() -> None:
    assert text_of("rbac.yaml") == role.rbac_yaml()


def test_readme_s_role_is_the_same() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(role.required()) in text
    assert text == role.in_readme(text)


def test_the_role_is_of_one_namespace_and_has_no_wildcard_and_no_secret() -> None:
    found = list(yaml.safe_load_all(text_of("rbac.yaml")))
    assert {each["kind"] for each in found} == {"ServiceAccount", "Role", "RoleBinding"}
    rules = [rule for each in found for rule in each.get("rules", [])]
    assert rules
    assert not [rule for rule in rules if "*" in str(rule) or "secrets" in str(rule)]
    assert {r for rule in rules if {"create", "delete"} & set(rule["verbs"]) for r in rule["resources"]} == {
        "configmaps", "services", "deployments", "leases",
    }  # fmt: skip


def test_every_stage_of_the_plan_is_run_by_the_pipeline_once_in_order() -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    calls = re.findall(r"rollback\('stage ([a-z-]+)'(?:, false, true)?\)", text)
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
