"""Whole runs through the command, on the sandbox."""

import pytest

from tests.cli.desk import WORKER, Desk


def test_a_run_brings_back_what_really_ran(desk: Desk) -> None:
    ended = desk.rollback("run", "--to", "v1.1.0", "--yes", "--accept", WORKER)
    assert ended.code == 0, ended
    assert all(s.is_release("v1.1.0") for s in desk.playground.services())
    assert set(desk.rollouts().values()) == {3}


@pytest.mark.long
def test_what_a_team_does_after_a_rollback(desk: Desk) -> None:
    refused = desk.rollback("record-release", "--release", "v1.1.0")
    assert refused.code == 1, "another release runs"
    assert "is not recorded" in refused.err
    assert desk.rollback("run", "--to", "v1.1.0", "--yes", "--reason", "500s").code == 0
    recorded = desk.rollback("record-release", "--release", "v1.1.0", "--pin")
    assert recorded.code == 0, recorded
    assert "prod runs v1.1.0" in recorded.out
    states = {r["release"]: r["state"] for r in desk.rollback("history", "--output", "json").json["releases"]}
    assert states == {"v1.1.0": "current", "v1.2.0": "quarantined", "v1.0.0": "unproven"}
    again = desk.rollback("run", "--yes")
    assert (again.code, "Nothing to do" in again.out) == (0, True)
    assert "--accept quarantined" in desk.rollback("run", "--to", "v1.2.0", "--yes").err
    assert desk.rollback("quarantine", "v1.2.0", "--lift").code == 0
    assert desk.rollback("plan", "--to", "v1.2.0").code == 0
    runs = desk.rollback("history", "--runs")
    assert all(len(line) <= 80 for line in runs.out.splitlines() if "sandbox" not in line), runs.out
