"""The job from the one schema: equal wherever it is written, and equal to what another program makes of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from rollback_lib.core.jenkins import job as jenkins_job
from rollback_lib.core.jenkins.config import differences
from rollback_lib.core.jenkins.job import JobParameter, Source
from rollback_lib.core.settings.parameters import PARAMETERS

ROOT = Path(__file__).parents[3]
SOURCE = Source("https://git.example.com/shop.git", "main", "git-read")
# What jenkins-job-builder 6.5 has no word for, or adds to.
BEYOND_ITS_WORDS = (
    "pipeline`.<!--",
    "description:",
    "abortPrevious: ''",
    "trim: ''",
    "disabled: ''",
    "relativeTargetDir",
)
HOSTILE = JobParameter("string", "A", "it's $x \\ ${y} <b>&", "d'\"")


def test_the_names_are_those_that_operators_are_told() -> None:
    named = [p.name for p in jenkins_job.parameters()]
    assert named == [
        "ENVIRONMENT", "ACTION", "RUN", "RELEASE", "SERVICES", "REASON", "ISOLATE", "DRY_RUN", "ACCEPT", "UPSTREAM_JOB",
        "UPSTREAM_BUILD", "REQUEST_ID",
    ]  # fmt: skip
    assert len({p.jenkins for p in PARAMETERS if p.jenkins}) == len(jenkins_job.parameters())


@pytest.mark.parametrize("file", ["Jenkinsfile.rollback", "jenkins/seed.groovy"])
def test_what_is_shipped_was_rendered_from_the_schema(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert jenkins_job.with_parameters(text, jenkins_job.parameters()) == text, "run `make jenkins`"


def test_j18_the_job_dsl_trims_what_config_xml_trims() -> None:
    xml = (ROOT / "jenkins/config.xml").read_text(encoding="utf-8")
    seed = (ROOT / "jenkins/seed.groovy").read_text(encoding="utf-8")
    trimmed = re.findall(r"<name>(\w+)</name>.*<trim>true</trim>", xml)
    assert re.findall(r"stringParam \{ name\('(\w+)'\); .*; trim\(true\) \}", seed) == trimmed
    assert len(trimmed) == len([p for p in jenkins_job.parameters() if p.type == "string"]) > 3


def test_j18_the_seed_makes_the_job_where_the_text_says_with_its_folder() -> None:
    seed = (ROOT / "jenkins/seed.groovy").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^(folder|pipelineJob)\('([\w/]+)'\)", seed) == [
        ("folder", "shop"), ("pipelineJob", "shop/rollback"),
    ]  # fmt: skip
    assert "provision --job shop/rollback" in (ROOT / "jenkins/README.md").read_text(encoding="utf-8")


def test_where_nobody_has_to_approve_a_job_only_looks_unless_told() -> None:
    by_default = {only: jenkins_job.parameters(("prod",), only_look=only) for only in (True, False)}
    found = {only: {p.name: p.default for p in each}["DRY_RUN"] for only, each in by_default.items()}
    assert found == {True: "true", False: "false"}


def test_known_environments_are_a_choice() -> None:
    first = jenkins_job.parameters(("prod", "stage"))[0]
    assert (first.type, first.choices) == ("choice", ("prod", "stage"))


def test_a_file_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="two lines"):
        jenkins_job.with_parameters("pipeline {}", ())


@pytest.mark.parametrize("render", [jenkins_job.groovy, jenkins_job.job_dsl])
def test_groovy_expands_nothing_of_a_text(render: object) -> None:
    text = render([HOSTILE])  # type: ignore[operator]
    assert r"'it\'s $x \\ ${y} <b>&'" in text
    assert '"it' not in text


def test_xml_keeps_a_text() -> None:
    text = jenkins_job.config_xml([HOSTILE], SOURCE)
    root = ElementTree.fromstring(re.sub(r"^<\?xml.*?\?>", "", text))
    found = root.find(".//hudson.model.StringParameterDefinition")
    assert found is not None
    assert [found.findtext("description"), found.findtext("defaultValue")] == [HOSTILE.description, HOSTILE.default]


def test_jenkins_job_builder_makes_the_same_job(tmp_path: Path) -> None:
    found = jenkins_job.parameters(("prod", "stage"))
    theirs = _built(found, tmp_path)
    said = [line.rpartition("/")[2] for line in differences(jenkins_job.config_xml(found, SOURCE), theirs)]
    assert [line for line in said if not line.startswith(BEYOND_ITS_WORDS)] == []


def _built(found: tuple[JobParameter, ...], folder: Path) -> str:
    kinds = {"string": "string", "text": "text", "booleanParam": "bool", "choice": "choice"}
    described = []
    for p in found:
        given: dict[str, object] = {"name": p.name, "description": p.description}
        given |= {"choices": list(p.choices)} if p.type == "choice" else {"default": p.default}
        if p.type in ("string", "text"):
            given["trim"] = p.type == "string"
        described.append({kinds[p.type]: given})
    git = {
        "url": SOURCE.repository, "branches": [f"*/{SOURCE.branch}"], "credentials-id": SOURCE.credentials,
        "skip-tag": True, "wipe-workspace": False, "clean": False, "basedir": "",
        "refspec": "", "name": "", "shallow-clone": False, "do-not-fetch-tags": False, "honor-refspec": False,
    }  # fmt: skip
    job = {
        "name": "rollback", "project-type": "pipeline", "parameters": described, "concurrent": True,
        "description": "Rolls a release back as the team's plan says. Written by `rollback jenkins provision`.",
        "properties": [{"build-discarder": {"num-to-keep": 100}}],
        "pipeline-scm": {"script-path": SOURCE.script, "lightweight-checkout": True, "scm": [{"git": git}]},
    }  # fmt: skip
    place = folder / "job.yaml"
    place.write_text(yaml.safe_dump([{"job": job}]), encoding="utf-8")
    command = (sys.executable, "-m", "jenkins_jobs.cli.entry", "test", str(place))
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
