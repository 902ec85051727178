"""`document` on every ending: with records missing or unreadable, and never changing the code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import FailedError
from rollback_lib.core.report import forms
from rollback_lib.operations import report as operation_report
from rollback_lib.operations import run as operation
from rollback_lib.stages import document
from tests.fakes import FakeActs
from tests.pipeline.test_loop import World

FORMS = {"report.json", "incident.md", "report.html", "report.css", "junit.xml"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def written(world: World, name: str = "run") -> set[str]:
    return {p.name for p in (world.folder / name / "report").iterdir()}


@pytest.mark.parametrize("ends", ["well", "refused", "denied", "failed", "bug"])
def test_every_ending_is_written_down_in_every_form(world: World, ends: str) -> None:
    fail = {"failed": FailedError("gone"), "bug": ValueError("a bug")}.get(ends)
    acts = FakeActs(world.cluster, fail={2: fail} if fail else None)
    run = world.run(yes=ends != "denied", to="v9" if ends == "refused" else "v1")
    code = operation.execute(run, world.ports(acts=acts)).ending.code
    assert written(world) == FORMS
    assert json.loads(run.read("report/report.json"))["exit_code"] == code
    assert code in {"well": (0,), "refused": (2, 3), "denied": (7,), "failed": (4,), "bug": (70,)}[ends]


@pytest.mark.parametrize(
    "file", ["run.json", "plan.json", "steps/resolve.json", "steps/images.json", "steps/approve.json",
             "steps/verify.json", "journal.jsonl"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "unreadable"])
def test_a_record_that_is_gone_or_does_not_read_costs_only_itself(world: World, file: str, how: str) -> None:
    run = world.run()
    operation.execute(run, world.ports())
    path = world.folder / "run" / file
    if how == "missing":
        path.unlink()
    elif file != "journal.jsonl":
        path.write_bytes(b'{"torn": ')
    for name in written(world):
        (world.folder / "run/report" / name).unlink()
    run = RunDirectory(world.folder / "run")  # as another process finds it
    document.run(run, world.ports(), None)  # type: ignore[arg-type]
    assert written(world) == FORMS
    if how == "unreadable" and file != "journal.jsonl":
        assert "does not read." in run.read("report/incident.md").decode()


def test_a_form_that_cannot_be_made_costs_only_itself_and_not_the_code(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(made: object, language: str) -> str:
        raise ValueError("a bug")

    monkeypatch.setitem(forms.FORMS, "incident.md", broken)
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 0
    assert written(world) == FORMS - {"incident.md"}


def test_the_page_has_no_script_and_its_styles_in_the_file_beside_it(world: World) -> None:
    run = world.run()
    operation.execute(run, world.ports())
    page = run.read("report/report.html").decode()
    assert '<link rel="stylesheet" href="report.css">' in page
    for what in ("<script", "<style", "style=", " on", "javascript:", "src=", "url("):
        assert what not in page.split("<body>")[0] + "".join(part.split(">")[0] for part in page.split("<")), what
    assert b"url(" not in run.read("report/report.css")


def test_the_record_is_made_again_from_the_run_directory(world: World) -> None:
    run = world.run()
    operation.execute(run, world.ports())
    for form, name in (("json", "report.json"), ("md", "incident.md"), ("html", "report.html")):
        again = operation_report.render(run, form, "")
        kept = run.read(f"report/{name}").decode()
        assert again.splitlines()[:3] == kept.splitlines()[:3]
    assert "# Rollback de shop prod a v1" in operation_report.render(run, "md", "es")
