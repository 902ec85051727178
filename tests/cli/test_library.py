"""`import rollback_lib`: the examples of docs/library.md as they stand there, and what the front door promises."""

from __future__ import annotations

import builtins
import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import rollback_lib
from rollback_lib import api
from rollback_lib.cli import signals
from tests.cli.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
LOOK, OWN_RULE, KEEP = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(encoding="utf-8"), re.S)


def told(example: str, monkeypatch: pytest.MonkeyPatch, desk: Desk, here: Path, **given: Any) -> dict[str, Any]:
    """The names of an example after it has run, with what it printed as ``printed``."""
    printed: list[tuple[object, ...]] = []
    with mock.patch.dict(os.environ, desk.playground.environment(), clear=True):
        monkeypatch.chdir(here)
        names = {"__name__": "example", "print": lambda *said: printed.append(said), **given}
        exec(compile(example, "docs/library.md", "exec"), names)
    return {**names, "printed": printed}


def test_look_and_then_roll_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(LOOK, monkeypatch, desk, desk.playground.repository)
    (plan,), (code, last_line), (healthy,) = found["printed"]
    assert "v1.2.0 → v1.1.0" in plan
    assert (code, last_line.split(":")[0]) == (0, "Done in 0 s") or last_line.startswith("Done in ")
    assert healthy.startswith("20")
    assert found["outcome"].report.to_release.release == "v1.1.0"
    assert found["outcome"].report.approved.by == "ana"
    assert Path(found["outcome"].run_dir, "report", "incident.md").is_file()


def test_a_program_approves_by_its_own_rule_in_a_thread_without_signals_prints_or_a_folder(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = {number: signal.getsignal(number) for number in signals.ENDING}

    def no(*_: object) -> None:
        raise AssertionError("a library sets no signal handler")

    repository = desk.playground.repository
    variables = desk.playground.environment()
    monkeypatch.setattr(signal, "signal", no)
    capfd.readouterr()
    with mock.patch.object(builtins, "print", no):
        found = told(OWN_RULE, monkeypatch, desk, tmp_path, folder=repository, variables=variables)
    assert found["printed"] == [(0, "document")]
    assert found["outcomes"][0].report.approved.by == "the night watch"
    assert found["outcomes"][0].report.approved.how == "program"
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_no_changes_nothing(desk: Desk) -> None:
    before = desk.objects()
    with rollback_lib.shop(desk.playground.repository / "rollback.yaml", environ=desk.playground.environment()) as shop:
        plan = shop.plan(to="v1.1.0")
        outcome = shop.run(plan, approve=lambda plan: None)
    assert (outcome.code, plan.changes) == (7, True)
    assert desk.objects() == before


def test_only_the_plan_that_was_looked_at_is_carried_out(desk: Desk) -> None:
    with rollback_lib.shop(desk.playground.repository / "rollback.yaml", environ=desk.playground.environment()) as shop:
        plan = shop.plan(to="v1.1.0")
        desk.playground.must("set", "env", "deployment/user-service", "LATE=1")
        outcome = shop.run(plan, approve=rollback_lib.yes("ana"))
    assert outcome.code == 7
    assert "LATE" in str(desk.live("deployment", "user-service"))


def test_know_what_runs_keep_it_and_take_it_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.rollback("run", "--to", "v1.1.0", "--yes").code == 0
    run = desk.runs()[-1].name
    found = told(KEEP, monkeypatch, desk, desk.playground.repository, run_id=run)
    release, *not_recorded, releases, (code,) = found["printed"]
    assert (release, code) == (("v1.1.0",), 0)
    assert not_recorded == []
    assert set(releases[0]) >= {"v1.1.0", "v1.2.0"}
    assert "v1.2.0" in desk.rollback("status").out


def test_errors_are_ours_and_say_what_is_wrong(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(rollback_lib.UsageError, match="no such file"), rollback_lib.shop(tmp_path / "none.yaml"):
        pass
    given = {"environ": desk.playground.environment()}
    with rollback_lib.shop(desk.playground.repository / "rollback.yaml", **given) as shop:  # type: ignore[arg-type]
        with pytest.raises(rollback_lib.RefusedError, match="no tag v9"):
            shop.plan(to="v9")
        with pytest.raises(rollback_lib.RefusedError):
            shop.undo("none", approve=rollback_lib.yes("ana"))


def test_importing_it_loads_nothing_else() -> None:
    asked = (sys.executable, "-c", "import rollback_lib, sys; print(*sys.modules)")
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert not {"msgspec", "yaml", "kubernetes", "click", "requests", "rollback_lib.api"} & set(said)


def test_the_names_and_signatures_are_pinned() -> None:
    assert set(rollback_lib.__all__) == {"__version__", *api.__all__}
    assert all(getattr(rollback_lib, name) is getattr(api, name) for name in api.__all__)
    found = {
        name: str(inspect.signature(method))
        for name, method in {"shop": api.shop, "yes": api.yes, **vars(api.Shop)}.items()
        if callable(method) and not name.startswith("_")
    }
    assert found == {
        "shop": "(config: 'str | os.PathLike[str]' = 'rollback.yaml', *, environment: 'str' = '', environ: "
        "'Mapping[str, str] | None' = None, progress: 'Progress | None' = None) -> 'Iterator[Shop]'",
        "yes": "(by: 'str') -> 'Approve'",
        "plan": "(self, to: 'str' = 'last-good', *, services: 'Sequence[str]' = (), accept: 'Sequence[str]' = (), "
        "isolate: 'bool | None' = None, retag: 'bool' = False) -> 'Plan'",
        "run": "(self, plan: 'Plan', *, approve: 'Approve', reason: 'str' = '') -> 'Outcome'",
        "resume": "(self, run: 'str' = '', *, approve: 'Approve | None' = None, take_over: 'bool' = False) "
        "-> 'Outcome | None'",
        "undo": "(self, run: 'str', *, approve: 'Approve', reason: 'str' = '') -> 'Outcome'",
        "verify": "(self, to: 'str' = 'last-good', *, services: 'Sequence[str]' = ()) -> 'Outcome'",
        "status": "(self) -> 'Status'",
        "history": "(self) -> 'History'",
        "record": "(self, release: 'str', *, pin: 'bool' = False, keep_tag: 'str' = '') -> 'Result'",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["nothing", "plan", "API"])
def test_what_is_not_public_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(rollback_lib, name)
