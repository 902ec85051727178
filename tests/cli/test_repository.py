"""Whose releases they are: the repository that the folder lies in, named in plan and record."""

import json
from collections.abc import Iterator
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


@pytest.fixture
def remote(desk: Desk, tmp_path: Path) -> Iterator[RepositoryBuilder]:
    """The shop's origin."""
    git = desk.playground.shop.git
    git("clone", "--quiet", "--bare", str(desk.playground.repository), str(tmp_path / "origin.git"))
    git("remote", "add", "origin", str(tmp_path / "origin.git"))
    yield RepositoryBuilder(tmp_path / "origin.git", create=False)
    git("remote", "remove", "origin")


def test_a_tag_that_moved_at_the_remote_only_is_a_warning_and_decides_nothing(
    desk: Desk, remote: RepositoryBuilder, tmp_path: Path
) -> None:
    before = desk.rollback("plan", "--to", "v1.1.0", "--output", "json", "-v")
    assert "at origin" not in " ".join(before.json["plan"]["warnings"])
    assert before.err.count(" ls-remote ") == 1
    here, there = remote.git("rev-parse", "v1.1.0^{commit}"), remote.git("rev-parse", "v1.2.0^{commit}")
    remote.git("update-ref", "refs/tags/v1.1.0", there)
    after = desk.rollback("plan", "--to", "v1.1.0", "--output", "json")
    (said,) = (w for w in after.json["plan"]["warnings"] if "at origin" in w)
    url = tmp_path / "origin.git"
    assert said == (
        f"Tag v1.1.0 is another commit at origin ({url}): {there[:12]} there, {here[:12]} here, which is used. "
        "`git fetch --force origin tag v1.1.0` takes the one there."
    )
    assert (after.code, after.json["plan"]["hash"]) == (0, before.json["plan"]["hash"])
    offline = desk.rollback("plan", "--to", "v1.1.0", "--offline", "-v")
    assert (offline.code, "ls-remote" in offline.err, "at origin" in offline.out) == (0, False, False)


def test_a_tag_that_the_remote_has_not_is_said_and_a_remote_that_is_away_is_not(
    desk: Desk, remote: RepositoryBuilder
) -> None:
    remote.git("update-ref", "-d", "refs/tags/v1.1.0")
    said = " ".join(desk.rollback("plan", "--to", "v1.1.0").out.split())
    assert "Tag v1.1.0 is not at origin (" in said
    remote.folder.rename(remote.folder.with_name("away"))
    ended = desk.rollback("plan", "--to", "v1.1.0")
    assert (ended.code, "Tag v1.1.0" in ended.out) == (0, False)


def test_an_undo_names_it_too(desk: Desk) -> None:
    assert desk.rollback("run", "--to", "v1.1.0", "--yes").code == 0
    desk.rollback("undo", desk.runs()[-1].name, "--yes")
    said = json.loads((desk.runs()[-1] / "plan.json").read_text())["repository"]
    assert said == {"root": str(desk.playground.repository), "remote": "", "url": "", "bare": False}
