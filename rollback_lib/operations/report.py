"""The record of a run, made again from its run directory."""

from __future__ import annotations

from typing import Final

from rollback_lib.ports import RunStore
from rollback_lib.stages import document

FORMATS: Final = {"md": document.as_markdown, "html": document.as_html, "json": document.as_json}


def render(run: RunStore, form: str, language: str) -> str:
    """The record in a form of `FORMATS`; an empty ``language`` is the one that the run's settings ask for."""
    made, settled = document.read(run)
    return FORMATS[form](made, language or settled)
