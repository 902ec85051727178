"""Whole runs through the command, on the sandbox."""

from tests.cli.desk import Desk


def test_a_run_brings_back_what_really_ran(desk: Desk) -> None:
    ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
    assert ended.code == 0, ended
    assert all(s.is_release("v1.1.0") for s in desk.playground.services())
    assert set(desk.rollouts().values()) == {3}
