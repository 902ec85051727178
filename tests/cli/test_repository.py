"""Whose releases they are: the repository that the folder lies in, named in plan and record."""

import json
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.git_repository import RepositoryBuilder


@pytest.mark.parametrize("command", [("plan", "--to", "v1.1.0"), ("run", "--to", "v1.1.0", "--yes"), ("doctor",)])
def test_another_repository_of_the_same_tags_is_refused_and_both_are_named(
    desk: Desk, tmp_path: Path, command: tuple[str, ...]
) -> None:
    other = RepositoryBuilder(tmp_path / "other")
    other.commit({"k8s/user-service/x.yaml": "{}\n"})
    other.tag("v1.1.0")
    before = desk.objects()
    ended = desk.rollback(*command, GIT_DIR=str(other.folder / ".git"))
    assert ended.code == (1 if command[0] == "doctor" else 3), ended
    said = " ".join((ended.out + ended.err).split())
    assert str(desk.playground.repository) in said
    assert f"GIT_DIR={other.folder}/.git" in said
    assert desk.objects() == before


def test_plan_and_record_name_the_repository_and_its_remote_without_credentials(desk: Desk) -> None:
    desk.playground.shop.git("remote", "add", "origin", "https://ana:s3cret@git.invalid/shop.git")
    try:
        planned = desk.rollback("plan", "--to", "v1.1.0", "--offline")
        ended = desk.rollback("run", "--to", "v1.1.0", "--yes", "--output", "json")
    finally:
        desk.playground.shop.git("remote", "remove", "origin")
    root = str(desk.playground.repository)
    assert planned.code == ended.code == 0, (planned, ended)
    assert f"git {root} https://git.invalid/shop.git" in " ".join(planned.out.split())
    meant = {"root": root, "remote": "origin", "url": "https://git.invalid/shop.git", "bare": False}
    for name in ("plan.json", "report/report.json"):
        assert json.loads((desk.runs()[-1] / name).read_text())["repository"] == meant
    assert "https://git.invalid/shop.git" in (desk.runs()[-1] / "report/incident.md").read_text()
    assert "s3cret" not in planned.out + ended.out + ended.err


def test_an_undo_names_it_too(desk: Desk) -> None:
    assert desk.rollback("run", "--to", "v1.1.0", "--yes").code == 0
    desk.rollback("undo", desk.runs()[-1].name, "--yes")
    said = json.loads((desk.runs()[-1] / "plan.json").read_text())["repository"]
    assert said == {"root": str(desk.playground.repository), "remote": "", "url": "", "bare": False}
