"""Where there is no rollback.yaml: who writes refuses, and who looks says first what it guessed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import rollback_lib
from tests.cli.desk import Desk

WRITES = (
    ("run", "--to", "v1.1.0", "--yes"),
    ("stage", "resolve", "--to", "v1.1.0"),
    ("stage", "apply"),
    ("resume",),
    ("undo", "20260101-000000-nobody"),
    ("record-release", "--release", "v1.1.0"),
    ("quarantine", "v1.2.0"),
    ("retag", "--yes"),
    ("guard", "--release", "v1.2.0", "--hold"),
    ("guard", "--release", "v1.2.0", "--done"),
    ("unlock", "--force", "--yes"),
    ("jenkins", "settle"),
)
LOOKS = (
    ("plan", "--to", "v1.1.0", "--offline"),
    ("run", "--to", "v1.1.0", "--dry-run"),
    ("retag", "--dry-run"),
    ("guard", "--release", "v1.2.0"),
    ("status",),
    ("history", "--output", "json"),
    ("verify", "--to", "v1.1.0", "--output", "json"),
    ("doctor",),
    ("unlock",),
)


@pytest.fixture
def bare(desk: Desk) -> Desk:
    (desk.playground.repository / "rollback.yaml").unlink()
    return desk


@pytest.mark.parametrize("command", WRITES, ids=" ".join)
def test_what_writes_refuses_and_names_init(bare: Desk, command: Sequence[str]) -> None:
    before = bare.objects()
    ended = bare.rollback(*command)
    assert ended.code == 2
    assert "rollback init" in " ".join((ended.out + ended.err).split())
    assert bare.objects() == before
    assert bare.runs() == []


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_what_only_looks_says_first_what_it_guessed(bare: Desk, command: Sequence[str]) -> None:
    ended = bare.rollback(*command)
    assert ended.code != 2, ended
    said = " ".join(ended.err.split())
    assert said.startswith("! There is no rollback.yaml here, so this is guessed: application ")
    first = said.partition("Run `rollback init`")[0]
    for guess in ("k8s/{service}", "the kubeconfig's current context", "namespace default", "environment prod"):
        assert guess in first
    if "json" in command:
        json.loads(ended.out)  # and nothing of it stands there


def test_with_settings_nothing_is_guessed(desk: Desk) -> None:
    assert "guessed" not in desk.rollback("status").err


def test_a_run_has_settings_of_its_own_to_go_on_and_back_with(desk: Desk) -> None:
    assert desk.rollback("run", "--to", "v1.1.0", "--yes").code == 0
    place = desk.runs()[0]
    (desk.playground.repository / "rollback.yaml").unlink()
    for ask in (("undo", place.name, "--dry-run"), ("resume", "--run-dir", str(place)), ("resume",)):
        ended = desk.rollback(*ask)
        assert ended.code != 2, ended
        assert "guessed" not in ended.err


def test_a_run_of_which_nothing_is_here_has_no_settings(bare: Desk, tmp_path: Path) -> None:
    assert bare.rollback("resume", "--run-dir", str(tmp_path / "none")).code == 2
    assert bare.rollback("resume", "20260101-000000-nobody").code == 2


def test_a_program_names_its_file_and_nothing_is_guessed_for_it(bare: Desk) -> None:
    missing = bare.playground.repository / "rollback.yaml"
    with pytest.raises(rollback_lib.UsageError, match="rollback init"), rollback_lib.shop(missing, environ={}):
        pass
