"""`rollback jenkins` against a Jenkins over HTTP; once as a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from rollback_lib import cli
from tests.command_line import ROOT, Ended, rollback
from tests.fake_jenkins import FakeJenkins

REPOSITORY = ("--repository", "https://git.example.com/shop.git")

SETTINGS = """\
application: shop
manifests: {path: k8s}
environments:
  prod: {namespace: shop}
  stage: {namespace: shop-stage}
"""


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        yield server


@pytest.fixture
def environ(fake: FakeJenkins) -> dict[str, str]:
    return {"JENKINS_URL": fake.url, "ROLLBACK_JENKINS_USER": "ada", "ROLLBACK_JENKINS_TOKEN": "t0ken"}


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    """`rollback` in this process: a second one costs more than all that it does."""

    def run(*arguments: str, environ: Mapping[str, str] = MappingProxyType({})) -> Ended:
        with monkeypatch.context() as here:
            for name in [n for n in os.environ if n.startswith(("JENKINS_", "ROLLBACK_"))]:
                here.delenv(name)
            for name, value in {**environ, "GIT_CONFIG_GLOBAL": os.devnull}.items():
                here.setenv(name, value)
            here.chdir(tmp_path)
            code = cli.main(arguments)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def test_a_job_is_created_once_and_then_left_alone(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended]
) -> None:
    shown = typed("jenkins", "provision", *REPOSITORY, "--diff", environ=environ)
    assert (shown.code, fake.jobs) == (1, {})
    assert "parameter 'RELEASE': type StringParameterDefinition" in shown.out
    assert shown.out.endswith("rollback does not exist yet: it would be created, with this content.\n")
    made = typed("jenkins", "provision", *REPOSITORY, environ=environ)
    assert (made.code, made.out) == (0, "rollback was created.\n"), made.err
    again = typed("jenkins", "provision", *REPOSITORY, environ=environ)
    assert (again.code, again.out) == (0, "rollback is as it should be.\n")
    assert len([p for p in fake.paths() if "createItem" in p or "config.xml" in p]) == 1


def test_a_job_that_somebody_changed_is_shown_and_put_right(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended]
) -> None:
    typed("jenkins", "provision", *REPOSITORY, environ=environ)
    fake.jobs["rollback"] = fake.jobs["rollback"].replace("<noTags>false", "<noTags>true")
    shown = typed("jenkins", "provision", *REPOSITORY, "--diff", environ=environ)
    assert shown.code == 1
    assert "noTags: 'true', wanted 'false'" in shown.out
    assert typed("jenkins", "provision", *REPOSITORY, environ=environ).code == 0
    assert "<noTags>false" in fake.jobs["rollback"]


def test_trigger_follows_and_ends_as_the_build(fake: FakeJenkins, environ: dict[str, str], tmp_path: Path) -> None:
    rollback("jenkins", "provision", *REPOSITORY, folder=tmp_path, environ=environ)
    fake.declared = ["ENVIRONMENT", "RELEASE", "SERVICES", "REASON", "DRY_RUN", "ACCEPT", "REQUEST_ID"]
    fake.queue[5] = [{"executable": {"number": 3}}]
    fake.builds[3] = {"number": 3, "url": fake.url + "job/rollback/3/", "building": False, "result": "FAILURE"}
    fake.logs[3] = b"it goes wrong\n"
    sent: list[dict[str, str]] = []
    fake.start = lambda given: (sent.append(given) or 201, {"Location": fake.url + "queue/item/5/"}, b"")  # type: ignore[func-returns-value]
    done = rollback(
        "jenkins", "trigger", "-e", "prod", "--to", "v1.1.0", "--service", "cart", "--reason", "a & b", "--follow",
        folder=tmp_path, environ=environ,
    )  # fmt: skip
    assert done.code == 1, done.err
    assert "it goes wrong" in done.err
    assert done.out.endswith(f"Build 3: FAILURE {fake.url}job/rollback/3/\n")
    assert {k: v for k, v in sent[0].items() if k != "REQUEST_ID"} == {
        "ENVIRONMENT": "prod", "RELEASE": "v1.1.0", "SERVICES": "cart", "REASON": "a & b",
    }  # fmt: skip
    assert "t0ken" not in done.out + done.err


def test_lint_says_what_the_server_says(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended]
) -> None:
    file = str(ROOT / "Jenkinsfile.rollback")
    assert typed("jenkins", "lint", file, environ=environ).code == 0
    fake.validator = {"data": {"result": "failure", "errors": [{"error": "line 3: no"}]}}
    refused = typed("jenkins", "lint", file, environ=environ)
    assert (refused.code, refused.out.splitlines()[0]) == (1, "  line 3: no")


def test_render_check_says_whether_a_file_agrees(typed: Callable[..., Ended], tmp_path: Path) -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    (tmp_path / "Jenkinsfile.rollback").write_text(text.replace("'RELEASE'", "'TAG'"), encoding="utf-8")
    assert typed("jenkins", "render", "--check").code == 1
    assert typed("jenkins", "render").code == 0
    assert (tmp_path / "Jenkinsfile.rollback").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "name", ["Jenkinsfile.rollback", "jenkins/seed.groovy", "ops/rbac.yaml", "vars/rollbackGuard.groovy"]
)
def test_render_creates_what_an_administrator_installs(name: str, tmp_path: Path) -> None:
    (own,) = [
        file for file in (ROOT / "Jenkinsfile.rollback", *(ROOT / "jenkins").rglob("*")) if file.name == Path(name).name
    ]
    assert rollback("jenkins", "render", "--check", name, folder=tmp_path).code == 2
    done = rollback("jenkins", "render", name, folder=tmp_path)
    assert (done.code, done.out.startswith(f"{name} was created")) == (0, True), done.err
    assert (tmp_path / name).read_bytes() == own.read_bytes()


def test_render_creates_the_job_with_the_environments_of_the_settings(tmp_path: Path) -> None:
    there = "{namespace: shop, context: c}"
    settings = (
        f"application: shop\nmanifests: {{path: 'k8s/{{service}}'}}\nenvironments: {{prod: {there}, stage: {there}}}\n"
    )
    (tmp_path / "rollback.yaml").write_text(settings, encoding="utf-8")
    assert rollback("jenkins", "render", folder=tmp_path).code == 0
    text = (tmp_path / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    assert "choice(name: 'ENVIRONMENT', choices: ['prod', 'stage']" in text
    assert rollback("jenkins", "render", "--check", folder=tmp_path).code == 0


def test_render_creates_nothing_in_place_of_something(tmp_path: Path) -> None:
    (tmp_path / "rbac.yaml").write_text("ours\n", encoding="utf-8")
    (tmp_path / "Jenkinsfile.rollback").symlink_to("gone")
    (tmp_path / "jenkins").write_text("a file\n", encoding="utf-8")
    for name in ("rbac.yaml", "Jenkinsfile.rollback", "jenkins/seed.groovy", "Jenkinsfile"):
        assert rollback("jenkins", "render", name, folder=tmp_path).code == 2, name
    assert (tmp_path / "rbac.yaml").read_text(encoding="utf-8") == "ours\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Jenkinsfile.rollback", "jenkins", "rbac.yaml"]


def test_no_server_named_is_a_wrong_request(typed: Callable[..., Ended]) -> None:
    for what in (("lint", str(ROOT / "Jenkinsfile.rollback")), ("provision", *REPOSITORY), ("trigger", "-e", "prod")):
        done = typed("jenkins", *what)
        assert done.code == 2
        assert "JENKINS_URL is not set" in done.err
        assert "raffic" not in done.out + done.err  # J12: none of these ever goes to the cluster


def test_j12_a_choice_that_the_job_has_not_is_refused_with_those_that_it_has(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "rollback.yaml").write_text(SETTINGS, encoding="utf-8")
    assert typed("jenkins", "provision", *REPOSITORY, environ=environ).code == 0
    done = typed("jenkins", "trigger", "-e", "staging", environ=environ)
    assert done.code == 2
    assert "ENVIRONMENT: 'staging' is not one of the choices (the job rollback has: prod, stage)" in done.err
    assert "500" not in done.err
    assert not [path for path in fake.paths() if "build" in path]
    assert typed("jenkins", "trigger", "-e", "stage", environ=environ).code == 0


def test_j12_a_folder_that_is_not_there_is_said_and_nothing_of_traffic(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended]
) -> None:
    given = ("jenkins", "provision", "--job", "shop/rollback", *REPOSITORY)
    shown = typed(*given, "--diff", environ=environ)
    assert (shown.code, "has no folder shop" in shown.out) == (1, True)
    done = typed(*given, environ=environ)
    assert done.code == 3
    assert "Jenkins has no folder shop, or you may not see it: make it there first" in done.err
    assert "raffic" not in done.err


def test_j12_a_branch_that_the_repository_has_not_is_noticed_before_anything_is_written(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended], tmp_path: Path
) -> None:
    names = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q", "-b", "master"), ("commit", "-q", "--allow-empty", "-m", "x"), ("branch", "old/1")):
        subprocess.run(("git", *names, *words), cwd=tmp_path, check=True)
    given = ("jenkins", "provision", "--repository", str(tmp_path))
    done = typed(*given, environ=environ)
    assert (done.code, fake.jobs) == (2, {}), done
    assert "it has: master, old/1. Name one with --branch" in done.err
    done = typed(*given, "--branch", "old/*", environ=environ)
    assert (done.code, done.err) == (0, ""), done


def test_j12_a_repository_that_cannot_be_asked_is_said_and_no_refusal(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended], tmp_path: Path
) -> None:
    given = ("--repository", str(tmp_path / "none?token=hunter2"))
    done = typed("jenkins", "provision", *given, environ=environ)
    assert done.code == 0
    assert "cannot be asked from here: whether it has the branch main is not known" in done.err


def test_what_the_first_build_would_set_back_is_said(
    fake: FakeJenkins, environ: dict[str, str], typed: Callable[..., Ended], tmp_path: Path
) -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    (tmp_path / "Jenkinsfile.rollback").write_text(text, encoding="utf-8")
    (tmp_path / "rollback.yaml").write_text(SETTINGS, encoding="utf-8")
    said = "Jenkinsfile.rollback here has other parameters"
    assert said in typed("jenkins", "provision", *REPOSITORY, environ=environ).err
    assert typed("jenkins", "render").code == 0
    assert said not in typed("jenkins", "provision", *REPOSITORY, environ=environ).err


def test_j13_render_says_what_it_knew_the_environments_from(typed: Callable[..., Ended], tmp_path: Path) -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    file = tmp_path / "Jenkinsfile.rollback"
    file.write_text(text, encoding="utf-8")
    without = typed("jenkins", "render")
    assert (without.code, file.read_text(encoding="utf-8")) == (0, text)
    assert "there is no rollback.yaml here, so ENVIRONMENT is free text" in without.out
    (tmp_path / "rollback.yaml").write_text(SETTINGS, encoding="utf-8")
    shown = typed("jenkins", "render", "--check")
    assert shown.code == 1
    assert shown.out.endswith(
        "differs from the parameters of rollback.yaml, so ENVIRONMENT is a choice of prod, stage.\n"
    )
    assert typed("jenkins", "render").out.startswith("Jenkinsfile.rollback got the parameters")
    assert "choice(name: 'ENVIRONMENT', choices: ['prod', 'stage']" in file.read_text(encoding="utf-8")
