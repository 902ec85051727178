"""Real git repositories for tests: fixed author and dates, nothing of the user's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

DAY = "2025-03-{:02d}T12:00:00+01:00"


def isolated(home: Path) -> dict[str, str]:
    """Environment in which git reads no configuration but the repository's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_"))}
    return kept | {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ana",
        "GIT_AUTHOR_EMAIL": "ana@shop.example",
        "GIT_COMMITTER_NAME": "Ana",
        "GIT_COMMITTER_EMAIL": "ana@shop.example",
        "LC_ALL": "C.UTF-8",
    }


def isolate(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the whole process: what it starts reads no configuration of the user's either."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in isolated(home).items():
        monkeypatch.setenv(name, value)


class RepositoryBuilder:
    """``day`` is a day of March 2025; the commits of a test are made on rising days unless it says otherwise."""

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.folder = folder
        self.environment = isolated(folder.parent)
        self._day = 0
        if create:
            folder.mkdir(parents=True)
            self.git("init", "--quiet", "--initial-branch=main")
            self.git("config", "uploadpack.allowFilter", "true")

    def git(self, *arguments: str, day: int = 0) -> str:
        when = DAY.format(day or self._day or 1)
        environment = self.environment | {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, files: Mapping[str, str | bytes] | None = None, *, day: int = 0) -> str:
        self._day = day or self._day + 1
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=a change")
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, on: str = "HEAD", *, annotated: bool = False, day: int = 0) -> None:
        how = ["--annotate", "--message=release"] if annotated else []
        self.git("tag", *how, name, on, day=day)

    def branch(self, name: str) -> None:
        self.git("switch", "--quiet", "--create", name)

    def clone(self, folder: Path, *options: str) -> RepositoryBuilder:
        self.git("clone", "--quiet", *options, f"file://{self.folder}", str(folder))
        return RepositoryBuilder(folder, create=False)
