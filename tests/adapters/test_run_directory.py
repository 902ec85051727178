"""The run directory: whole or not at all, private, and a journal that a crash cannot spoil."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import BugError
from rollback_lib.core.run.journal import Mark


def test_a_torn_last_line_is_dropped_and_what_follows_is_whole(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    run.append(Mark.STAGE_BEGIN, "resolve")
    with (tmp_path / "r/journal.jsonl").open("ab") as file:
        file.write(b'{"seq":1,"at":"2026')
    assert len(run.events()) == 1
    run.append(Mark.STAGE_DONE, "resolve")
    assert [e.mark for e in run.events()] == [Mark.STAGE_BEGIN, Mark.STAGE_DONE]
    assert [e.seq for e in run.events()] == [0, 1]


def test_only_a_torn_line_is_an_empty_journal(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    (tmp_path / "r/journal.jsonl").write_bytes(b'{"seq"')
    assert run.events() == ()
    run.append(Mark.STAGE_BEGIN, "resolve")
    assert len(run.events()) == 1


def test_a_last_line_without_its_end_counts_for_nothing_even_where_it_reads(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    run.append(Mark.STAGE_BEGIN, "resolve")
    journal = tmp_path / "r/journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.replace(b'"seq":0', b'"seq":1').rstrip(b"\n"))
    assert [e.seq for e in run.events()] == [0]
    run.append(Mark.STAGE_DONE, "resolve")
    assert [(e.seq, e.mark) for e in run.events()] == [(0, Mark.STAGE_BEGIN), (1, Mark.STAGE_DONE)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_are_private(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    run.write("manifests/k8s/a.yaml", b"x")
    assert stat.S_IMODE((tmp_path / "r/manifests/k8s/a.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a//b", "", "C:/x", "a\\b"])
def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(BugError):
        RunDirectory(tmp_path / "r").write(name, b"x")


def test_runs_are_kept_out_of_git(tmp_path: Path) -> None:
    RunDirectory(tmp_path / ".rollback/one")
    assert (tmp_path / ".rollback/.gitignore").read_text() == "*\n"
