"""The command as a whole: help that costs nothing, and every way to get it wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollback_lib import __version__, cli, wiring
from rollback_lib.core.settings import parameters
from tests.command_line import ROOT, rollback

HEAVY = ("yaml", "msgspec", "requests", "git", "kubernetes", "docker_image", "rollback_lib.wiring")


def test_help_loads_no_library_but_click() -> None:
    code = "import sys; from rollback_lib.cli import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert "'click'" in loaded
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: rollback {command} ")
    assert [p.option for p in parameters.of_command(command) if p.option not in said] == []
    assert max(len(line) for line in said.splitlines()) <= 80


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().err.startswith("Usage: rollback ")


def test_an_unknown_command_is_2_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["statsu"]) == 2
    assert "There is no command 'statsu'. Did you mean 'status'?" in capsys.readouterr().err
    assert cli.main(["x\x1b[2J"]) == 2
    said = capsys.readouterr().err
    assert "There are: plan, run, stage" in said
    assert "\x1b" not in said


def test_an_unknown_option_is_2_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--servise", "x"]) == 2
    assert "--service" in capsys.readouterr().err


def test_a_bug_is_70_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Path:
        raise ValueError("two\nlines, password=hunter2")

    monkeypatch.setattr(wiring, "current_folder", broken)
    monkeypatch.delenv("ROLLBACK_TRACEBACK", raising=False)
    assert cli.main(["status"]) == 70
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "this is a bug of rollback" in said
    assert "ValueError: two lines" in said
    assert "hunter2" not in said


def test_outside_a_repository_every_command_that_needs_one_is_3(tmp_path: Path) -> None:
    for command in ("plan", "status", "verify", "init"):
        done = rollback(command, folder=tmp_path)
        assert (command, done.code) == (command, 3)
        assert "is not in a git repository" in done.err
        assert "Traceback" not in done.err
