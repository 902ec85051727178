"""Evidence is looked for beside the run: never in its way, never behind its back, never after a change."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Detection, Incident
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.pipeline.background import Background
from rollback_lib.ports import Ports
from rollback_lib.stages import incident
from tests.fakes import FakeCluster, FakeFiles
from tests.pipeline.test_loop import World


class Failing(FakeCluster):
    """Raises what no stage expects at every question."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("snapshot", "events", "nodes", "logs", "pod_ask"):
            raise ZeroDivisionError(name)
        return super().__getattribute__(name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def with_evidence(ports: Ports, **evidence: Any) -> Ports:
    return replace(ports, evidence=replace(ports.evidence, **evidence))


def order(run: Any) -> list[tuple[str, str]]:
    return [(e.stage, e.mark) for e in run.events()]


def test_both_are_done_before_the_first_write(world: World) -> None:
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 0
    marks = order(run)
    first = next(i for i, e in enumerate(run.events()) if e.mark is Mark.ANNOUNCED)
    assert marks.index(("detect", "stage-done")) < marks.index(("preflight", "stage-done")), "which waits once it began"
    assert marks.index(("incident", "stage-done")) < first


def test_a_mistake_in_looking_for_evidence_costs_nobody_their_rollback(world: World) -> None:
    run = world.run()
    outcome = operation.execute(run, with_evidence(world.ports(), cluster=Failing()))
    assert outcome.ending.code == 0
    found = run.get(Detection)
    assert found.verdict == "suspect"
    assert "could not be asked" in found.reasons[0]
    assert run.get(Incident).missing == ("ZeroDivisionError: snapshot",)


def test_evidence_that_comes_late_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "DEADLINE", 0.0)
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 0
    found = run.get(Incident)
    assert found.evidence == ()
    assert found.missing


def test_a_dry_run_and_a_plan_open_no_incident(world: World) -> None:
    for name, values in (("dry", {"dry_run": True}), ("plan", {"dry_run": True, "yes": False})):
        run = world.run(name, **values)
        operation.execute(run, world.ports())
        operation.one(run, world.ports(), "incident")
        assert run.find(Incident) is None
        assert run.find(Detection) is not None
        assert not (run.root / "evidence").exists()


def test_what_only_needs_the_images_looks_for_no_evidence(world: World) -> None:
    run = world.run()
    loop.advance(run, world.ports(), until="images")
    assert run.find(Detection) is None


def test_a_run_that_goes_on_after_a_change_gathers_no_evidence_of_the_change(world: World) -> None:
    run = world.run()
    operation.execute(run, world.ports())
    for name in ("steps/detect.json", "steps/incident.json"):
        run.remove(name)
    lines = [x for x in (run.root / "journal.jsonl").read_text().splitlines(True) if '"stage":"incident"' not in x]
    (run.root / "journal.jsonl").write_text("".join(x for x in lines if '"stage":"detect"' not in x))
    loop.advance(run, world.ports())
    assert run.find(Incident) is None


def test_a_refused_run_has_its_evidence_all_the_same(world: World) -> None:
    world.registry.digests.clear()
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 3
    assert run.get(Incident).evidence


def test_a_file_that_a_person_gives_is_kept_and_one_that_is_not_there_is_said(world: World) -> None:
    files = FakeFiles(**{"/tmp/a.log": b"token=planted \xff\n", "C:\\shots\\b.png": b"\x89PNG\0\0"})
    run = world.run(evidence=("/tmp/a.log", "C:\\shots\\b.png", "/tmp/none"))
    operation.execute(run, with_evidence(world.ports(), files=files))
    assert run.read("evidence/given/a.log") == b"token=[hidden] \xef\xbf\xbd\n"
    assert run.read("evidence/given/b.png") == b"\x89PNG\0\0"
    assert any("/tmp/none" in m for m in run.get(Incident).missing)


def test_a_stage_waits_only_for_what_it_needs() -> None:
    beside, go, told = Background(), threading.Event(), list[str]()
    beside.begin("preflight", lambda: told.append("detect"))
    beside.begin("apply", lambda: (go.wait(10), told.append("incident"))[1])
    beside.wait("resolve")
    beside.wait("preflight")
    assert told == ["detect"]
    go.set()
    beside.wait("apply")
    assert told == ["detect", "incident"]


def test_what_could_not_be_kept_is_raised_where_it_is_needed() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    beside = Background()
    beside.begin("preflight", full)
    with pytest.raises(OSError, match="No space left"):
        beside.wait("preflight")
    beside.end()


def test_evidence_that_cannot_be_kept_fails_the_run_before_it_changes_anything(world: World) -> None:
    run = world.run()
    put = run.put

    def full(record: Any) -> None:
        if isinstance(record, Detection):
            raise OSError(28, "No space left on device")
        put(record)

    run.put = full  # type: ignore[method-assign]
    outcome = operation.execute(run, world.ports())
    assert outcome.ending.code == 70
    assert "No space left" in outcome.ending.error
    assert world.cluster.writes == []
