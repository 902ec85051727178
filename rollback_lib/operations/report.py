"""The record of a run, made again from its run directory."""

from __future__ import annotations

from typing import Final

from rollback_lib.collectors import run_record
from rollback_lib.core.report import forms
from rollback_lib.ports import RunStore

FORMATS: Final = {"md": forms.as_markdown, "html": forms.as_html, "json": forms.as_json}


def render(run: RunStore, form: str, language: str) -> str:
    """The record in a form of `FORMATS`; an empty ``language`` is the one that the run's settings ask for."""
    made, settled = run_record.read(run)
    return FORMATS[form](made, language or settled)
