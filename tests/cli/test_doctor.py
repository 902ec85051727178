"""`rollback doctor` where there is no cluster at all: each finding is a line, none is a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.test_init import DEPLOYMENT
from tests.command_line import Ended, rollback
from tests.git_repository import RepositoryBuilder

SETTINGS = """\
application: shop
manifests: {path: "k8s/{service}"}
images: {repository: "team/{service}", registries: {docker.io: {url: "http://127.0.0.1:1"}}}
environments: {prod: {namespace: shop}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> RepositoryBuilder:
    made = RepositoryBuilder(tmp_path / "shop")
    for release in ("v1.0.0", "v1.1.0"):
        made.commit({"k8s/cart/deployment.yaml": DEPLOYMENT.format(name="cart"), "release": release})
        made.tag(release)
    made.write({"rollback.yaml": SETTINGS})
    return made


def doctor(repository: RepositoryBuilder, *arguments: str, **environ: str) -> Ended:
    done = rollback("doctor", *arguments, folder=repository.folder, home=repository.folder.parent, environ=environ)
    assert "Traceback" not in done.out + done.err
    return done


def states(done: Ended) -> dict[str, str]:
    return {c["name"]: c["state"] for c in done.json["checks"]}


def test_what_git_has_is_told_though_nothing_else_answers(repository: RepositoryBuilder) -> None:
    done = doctor(repository, "--output", "json", PATH=os.environ["PATH"])
    assert done.code == 1
    found = states(done)
    assert {name: found[name] for name in ("settings", "git tags", "manifests")} == dict.fromkeys(
        ("settings", "git tags", "manifests"), "ok"
    )
    assert {name: found[name] for name in ("registry", "images", "cluster", "permission")} == {
        "registry": "FAIL", "images": "FAIL", "cluster": "FAIL", "permission": "warn",
    }  # fmt: skip


def test_a_repository_of_somebody_else_gives_the_line_that_trusts_it(repository: RepositoryBuilder) -> None:
    done = doctor(repository, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert done.code == 1
    assert "FAIL git tags" in done.out
    assert f"git config --global --add safe.directory {repository.folder}" in " ".join(done.out.split())
    assert "not checked: no release is known" in done.out


def test_settings_that_are_wrong_do_not_hide_git(repository: RepositoryBuilder) -> None:
    repository.write({"rollback.yaml": SETTINGS.replace("application", "aplication")})
    done = doctor(repository)
    assert done.code == 1
    assert "FAIL settings" in done.out
    assert "rollback.yaml:1" in done.out
    assert 'ok   git tags    2 releases match "v*"; newest: v1.1.0, v1.0.0.' in done.out
    assert "rollback.yaml has to be right first" in done.out


def test_without_settings_it_says_what_it_guessed(repository: RepositoryBuilder) -> None:
    (repository.folder / "rollback.yaml").unlink()
    done = doctor(repository)
    assert "warn settings    no rollback.yaml; guessed: application shop, manifests in" in done.out
    assert "environment prod" in " ".join(done.out.split())
    assert "Run `rollback init`" in done.out


def test_a_clone_without_tags_says_how_to_fetch_them(repository: RepositoryBuilder, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "clone", "--no-tags")
    clone.write({"rollback.yaml": SETTINGS})
    done = doctor(clone)
    assert done.code == 1
    assert "→ Fetch them: `git fetch origin --tags`." in done.out


def test_kubectl_that_is_missing_or_strange_is_a_finding(repository: RepositoryBuilder, tmp_path: Path) -> None:
    git = next(folder for folder in os.environ["PATH"].split(os.pathsep) if (Path(folder) / "git").exists())
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(Path(git) / "git")
    assert "FAIL kubectl     kubectl is not on the PATH." in doctor(repository, PATH=str(tools)).out
    strange = tools / "kubectl"
    strange.write_text("#!/bin/sh\necho hello\n")
    strange.chmod(0o755)
    said = " ".join(doctor(repository, PATH=str(tools)).out.split())
    assert "does not tell its version" in said


def test_channels_without_their_variables_are_warned_of_and_no_value_is_printed(repository: RepositoryBuilder) -> None:
    channels = "notify: {slack: {url_env: SLACK_URL}, webhooks: {pager: {url_env: PAGER_URL}}}\n"
    repository.write({"rollback.yaml": SETTINGS + channels})
    set_here = {"PATH": os.environ["PATH"], "PAGER_URL": "https://pager.example/s3cret"}
    plain, as_json = doctor(repository, **set_here), doctor(repository, "--output", "json", **set_here)
    assert "ok   notify      pager: all they need is set." in plain.out
    assert "warn notify      slack: SLACK_URL is not set." in plain.out
    assert [(c["state"], c["text"]) for c in as_json.json["checks"] if c["name"] == "notify"][1:] == [
        ("warn", "slack: SLACK_URL is not set.")
    ]
    assert "s3cret" not in plain.out + plain.err + as_json.out + as_json.err


def test_two_environments_must_be_told_apart_by_name(repository: RepositoryBuilder) -> None:
    repository.write({"rollback.yaml": SETTINGS.replace("{prod:", "{dev: {namespace: dev}, prod:")})
    done = doctor(repository)
    assert done.code == 2
    assert "there is more than one environment" in done.err
    assert doctor(repository, "-e", "dev").code == 1
