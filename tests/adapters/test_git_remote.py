from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rollback_lib.adapters import git_remote


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    subprocess.run(("git", *names, *words), cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("there")
    git(folder, "init", "-q", "-b", "master")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    git(folder, "branch", "release/año")
    git(folder, "tag", "main")
    return folder


def test_branches_are_told_with_the_one_that_stands_for_all(there: Path, tmp_path: Path) -> None:
    wanted = {"master": True, "release/año": False}  # the tag `main` is no branch
    assert git_remote.branches(str(there), tmp_path) == wanted
    assert git_remote.branches(there.as_uri(), tmp_path) == wanted


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    assert git_remote.branches(str(tmp_path), tmp_path) == {}


@pytest.mark.parametrize("url", ["/nowhere", "http://127.0.0.1:1/shop.git", "--upload-pack=touch x", "ext::touch x"])
def test_what_cannot_be_asked_is_not_known_and_runs_nothing(url: str, tmp_path: Path) -> None:
    assert git_remote.branches(url, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
