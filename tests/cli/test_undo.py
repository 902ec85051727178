"""`rollback undo`: the state before a run, as a plan of its own."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import WORKER, Desk

pytestmark = pytest.mark.long

RUN = ("run", "--to", GOOD, "--yes", "--accept", WORKER, "--output", "json")


def run_id(desk: Desk) -> str:
    return desk.runs()[-1].name


def says(desk: Desk) -> dict[str, Any]:
    """Every object less what tells images' tags from their digests, and new objects from old."""
    found: dict[str, Any] = {}
    for name, body in desk.objects().items():
        spec = body["spec"]
        for container in ((spec or {}).get("template") or {}).get("spec", {}).get("containers") or []:
            container["image"] = container["image"].partition("@")[0].partition(":")[0]
        found[name] = {"labels": body["labels"], "data": body["data"], "spec": {**(spec or {}), "clusterIPs": 0}}
        found[name]["spec"].pop("clusterIP", None)
    return found


def versions(desk: Desk) -> set[str]:
    return {s.version for s in desk.playground.services()}


def left(desk: Desk) -> list[str]:
    found = desk.playground.must("get", "leases,configmaps", "--output=name").split()
    return [n for n in found if n.startswith(("lease", "configmap/rollback-run-"))]


def test_a_run_that_ended_well_is_undone_to_the_bits_that_ran_before(desk: Desk) -> None:
    before = says(desk)
    assert desk.rollback(*RUN).code == 0
    assert versions(desk) == {GOOD}
    ended = desk.rollback("undo", run_id(desk), "--yes", "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert versions(desk) == {BAD}
    assert says(desk) == before, "what it created is gone, and what it deleted is there again"
    assert left(desk) == []


def test_a_run_that_stopped_half_way_is_undone_in_its_place(desk: Desk) -> None:
    before = says(desk)
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "cloud-config"), "500", times=None
    )
    assert desk.rollback(*RUN).code == 4
    assert left(desk)
    of = run_id(desk)
    desk.playground.cluster.faults.clear()
    rollouts = desk.rollouts()
    ended = desk.rollback("undo", of, "--yes", "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert versions(desk) == {BAD}
    assert says(desk) == before
    assert desk.rollouts() == {**rollouts, "service-discovery": rollouts["service-discovery"] + 1}, "only what changed"
    assert left(desk) == []
    assert desk.rollback("resume").out == "Nothing to resume: no run is unfinished.\n"


def test_it_is_undone_from_the_cluster_where_the_directory_is_not(desk: Desk) -> None:
    before = says(desk)
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), "500", times=None
    )
    assert desk.rollback(*RUN).code == 4
    of = run_id(desk)
    desk.forget_runs()
    desk.playground.cluster.faults.clear()
    ended = desk.rollback("undo", of, "--yes", "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert says(desk) == before
    assert left(desk) == []


def test_it_needs_a_yes_like_every_other_run(desk: Desk) -> None:
    assert desk.rollback(*RUN).code == 0
    after = desk.objects()
    asked = desk.rollback("undo", run_id(desk), "--output", "json")
    assert asked.code == 7, asked
    assert asked.json["plan"]["target"]["chosen_by"].startswith("undo of run")
    assert desk.objects() == after


def test_what_somebody_changed_after_the_run_makes_no_surprise(desk: Desk) -> None:
    assert desk.rollback(*RUN).code == 0
    of = run_id(desk)
    desk.playground.must("scale", "deployment/user-service", "--replicas=2")
    ended = desk.rollback("undo", of, "--yes", "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert desk.objects()["Deployment/user-service"]["spec"]["replicas"] == 2


def test_a_run_that_changed_nothing_or_is_not_known_cannot_be_undone(desk: Desk) -> None:
    assert desk.rollback("run", "--to", GOOD, "--dry-run").code == 0
    nothing = desk.rollback("undo", run_id(desk), "--yes")
    assert nothing.code == 3, nothing
    assert "neither here" in nothing.err, "a dry run is not a run"
    assert desk.rollback("undo", "20200101-000000-prod-abcd", "--yes").code == 3
