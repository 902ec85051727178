"""`rollback jenkins` as a process of its own, against a Jenkins over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import ROOT, rollback
from tests.fake_jenkins import FakeJenkins

REPOSITORY = ("--repository", "https://git.example.com/shop.git")


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        yield server


@pytest.fixture
def environ(fake: FakeJenkins) -> dict[str, str]:
    return {"JENKINS_URL": fake.url, "ROLLBACK_JENKINS_USER": "ada", "ROLLBACK_JENKINS_TOKEN": "t0ken"}


def test_a_job_is_created_once_and_then_left_alone(fake: FakeJenkins, environ: dict[str, str], tmp_path: Path) -> None:
    shown = rollback("jenkins", "provision", *REPOSITORY, "--diff", folder=tmp_path, environ=environ)
    assert (shown.code, fake.jobs) == (1, {})
    made = rollback("jenkins", "provision", *REPOSITORY, folder=tmp_path, environ=environ)
    assert (made.code, made.out) == (0, "rollback was created.\n"), made.err
    again = rollback("jenkins", "provision", *REPOSITORY, folder=tmp_path, environ=environ)
    assert (again.code, again.out) == (0, "rollback is as it should be.\n")
    assert len([p for p in fake.paths() if "createItem" in p or "config.xml" in p]) == 1


def test_a_job_that_somebody_changed_is_shown_and_put_right(
    fake: FakeJenkins, environ: dict[str, str], tmp_path: Path
) -> None:
    rollback("jenkins", "provision", *REPOSITORY, folder=tmp_path, environ=environ)
    fake.jobs["rollback"] = fake.jobs["rollback"].replace("<noTags>false", "<noTags>true")
    shown = rollback("jenkins", "provision", *REPOSITORY, "--diff", folder=tmp_path, environ=environ)
    assert shown.code == 1
    assert "noTags: 'true', wanted 'false'" in shown.out
    assert rollback("jenkins", "provision", *REPOSITORY, folder=tmp_path, environ=environ).code == 0
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


def test_lint_says_what_the_server_says(fake: FakeJenkins, environ: dict[str, str], tmp_path: Path) -> None:
    file = str(ROOT / "Jenkinsfile.rollback")
    assert rollback("jenkins", "lint", file, folder=tmp_path, environ=environ).code == 0
    fake.validator = {"data": {"result": "failure", "errors": [{"error": "line 3: no"}]}}
    refused = rollback("jenkins", "lint", file, folder=tmp_path, environ=environ)
    assert (refused.code, refused.out.splitlines()[0]) == (1, "  line 3: no")


def test_render_check_says_whether_a_file_agrees(tmp_path: Path) -> None:
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    (tmp_path / "Jenkinsfile.rollback").write_text(text.replace("'RELEASE'", "'TAG'"), encoding="utf-8")
    assert rollback("jenkins", "render", "--check", folder=tmp_path).code == 1
    assert rollback("jenkins", "render", folder=tmp_path).code == 0
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
    assert (done.code, done.out) == (0, f"{name} was created.\n"), done.err
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


def test_no_server_named_is_a_wrong_request(tmp_path: Path) -> None:
    done = rollback("jenkins", "lint", str(ROOT / "Jenkinsfile.rollback"), folder=tmp_path)
    assert done.code == 2
    assert "JENKINS_URL is not set" in done.err
