"""`rollback jenkins page` and `settle` beside a request that became no run (J6, J14), and what a stage prints (J15)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollback_lib.core.jenkins import page
from tests.command_line import Ended, rollback

SETTINGS = """\
application: shop
manifests: {path: k8s}
environments: {prod: {context: none, namespace: shop}}
"""
BUILD = {"ROLLBACK_PARAMETERS": "jenkins", "DRY_RUN": "false", "RELEASE": "v1.1.0", "REASON": "checkout\nanswers 500"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    (tmp_path / "rollback.yaml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def in_build(clone: Path, *words: str, **asked: str) -> Ended:
    return rollback(*words, folder=clone, environ={**BUILD, **asked})


def shown(clone: Path) -> list[str]:
    file = clone / ".rollback" / "current" / page.FILE
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"ISOLATE": "true"}, "✗ ISOLATE: nothing says what to close: environments.prod.isolation has mode 'none'"),
        ({"RELEASE": "--x"}, "✗ RELEASE: '--x' begins with '-', as options do"),
        ({"DRY_RUN": ""}, "✗ DRY_RUN: is set but empty"),
        ({"ENVIRONMENT": "moon"}, "✗ "),
        ({"ACCEPT": "everything"}, "✗ ACCEPT: 'everything' is not a code that can be accepted"),
    ],
)
def test_j6_a_wrong_request_is_shown_in_its_own_words_and_becomes_no_run(
    clone: Path, asked: dict[str, str], says: str
) -> None:
    ended = in_build(clone, "jenkins", "page", **asked)
    assert (ended.code, ended.out + ended.err) == (0, ""), "the stage that found it has said it"
    lines = shown(clone)
    (name,) = [line for line in lines if line.startswith("name ")]
    assert name.endswith("ended with 2")
    first, why, told = [line.removeprefix("description ") for line in lines if line.startswith("description ")]
    assert first == "The request is wrong (2). Nothing was changed."
    assert why.startswith(says)
    assert told.startswith("Asked for: ")
    assert "REASON checkout answers 500" in told
    assert all(f"{key} {value}" in told for key, value in asked.items() if value)
    assert {"go no", "ask no"} <= set(lines)
    kept = (clone / ".rollback" / "current" / page.WRONG_FILE).read_text(encoding="utf-8")
    assert why in kept
    assert not (clone / ".rollback" / "current" / "run.json").exists()


def test_j6_settings_that_do_not_read_are_shown_too_and_in_the_team_s_language_where_that_reads(clone: Path) -> None:
    with (clone / "rollback.yaml").open("a", encoding="utf-8") as settings:
        settings.write("language: es\n")
    in_build(clone, "jenkins", "page", RELEASE="--x")
    assert "description La petición está mal (2). No se ha cambiado nada." in shown(clone)
    assert "name → --x, terminó con 2" in shown(clone)
    with (clone / "rollback.yaml").open("a", encoding="utf-8") as settings:
        settings.write("wrong: 1\n")
    in_build(clone, "jenkins", "page")
    assert "description The request is wrong (2). Nothing was changed." in shown(clone)
    assert any("wrong" in line for line in shown(clone) if line.startswith("description ✗"))


@pytest.mark.parametrize("asked", [{}, {"ISOLATE": "true"}])
def test_j6_settle_makes_no_run(clone: Path, asked: dict[str, str]) -> None:
    ended = in_build(clone, "jenkins", "settle", **asked)
    assert ended.code == 0, ended
    assert "There is no run: nothing to keep." in ended.err
    assert not (clone / ".rollback").exists()


def test_a_request_that_is_right_and_has_no_run_yet_shows_nothing(clone: Path) -> None:
    assert in_build(clone, "jenkins", "page").out == "There is no run to show.\n"
    assert not shown(clone)


def test_j15_one_stage_of_many_says_that_it_begins_and_no_more(clone: Path) -> None:
    looked = in_build(clone, "stage", "incident")
    assert looked.code == 0, looked
    assert looked.out == ""
    assert [line.rpartition("] ")[2] for line in looked.err.splitlines()] == ["Saving the evidence (incident)"]


def test_j15_an_error_stands_once_in_the_log_of_a_run(clone: Path) -> None:
    failed = in_build(clone, "stage", "resolve")
    assert failed.code == 3, failed
    assert failed.last_line.startswith("Refused (3). Nothing was changed")
    (problem,) = [line for line in failed.err.splitlines() if "✗" in line]
    written = in_build(clone, "stage", "document")
    assert problem not in written.err
    assert written.last_line.startswith("Refused (3). Nothing was changed")
    assert in_build(clone, "jenkins", "page").out == ""
    assert problem.split("✗ ")[1].split(".")[0] in "\n".join(shown(clone))
