"""Writes the run down, on every ending. Never changes the exit code.

What does not read is left out and said, and a form that cannot be made costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from rollback_lib.collectors import run_record
from rollback_lib.core.report import page
from rollback_lib.core.report.forms import FORMS
from rollback_lib.core.report.model import Report
from rollback_lib.ports import Ports, RunStore, Writer

ID = "document"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    made, language = run_record.read(run)
    problem: Exception | None = None
    forms: dict[str, Callable[[Report, str], str]] = {page.STYLES: _styles, **FORMS}
    for name, form in forms.items():
        try:
            run.write(f"report/{name}", form(made, language).encode())
        except Exception as error:
            problem = problem or error
    if problem is not None:
        raise problem


def _styles(made: Report, language: str) -> str:
    return files("rollback_lib").joinpath("report.css").read_text(encoding="utf-8")
