"""`rollback report`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.desk import Desk


def test_the_newest_run_or_the_one_that_is_named_in_each_form_and_language(desk: Desk) -> None:
    assert desk.rollback("run", "--to", "v1.1.0", "--yes").code == 0
    assert desk.rollback("report").out.startswith("# Rollback of ecommerce prod to v1.1.0\n")
    place = str(desk.runs()[-1])
    assert desk.rollback("report", "--run-dir", place, "--language", "es").out.startswith("# Rollback de ecommerce")
    assert '<html lang="es">' in desk.rollback("report", "--format", "html", "--language", "es").out
    assert desk.rollback("report", "--format", "json").json["to_release"]["release"] == "v1.1.0"
    assert desk.rollback("report", "--output", "json").json["exit_code"] == 0


def test_where_there_is_no_run_it_is_said_and_nothing_is_made(desk: Desk, tmp_path: Path) -> None:
    for arguments in ((), ("--run-dir", str(tmp_path / "none")), ("--run-dir", str(tmp_path))):
        ended = desk.rollback("report", *arguments)
        assert ended.code == 2
        assert "--run-dir" in ended.err or "no run directory" in ended.err
    assert list(tmp_path.iterdir()) == []
