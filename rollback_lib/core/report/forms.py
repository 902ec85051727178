"""The record of a run in the forms that it is kept in, but for the styles that its page is shown with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rollback_lib.core.report import junit, page, pages
from rollback_lib.core.report.model import Report


def as_json(made: Report, language: str) -> str:
    return (msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n").decode()


def as_markdown(made: Report, language: str) -> str:
    return page.markdown(pages.page(made, language))


def as_html(made: Report, language: str) -> str:
    return page.as_html(pages.page(made, language))


FORMS: Final[dict[str, Callable[[Report, str], str]]] = {
    "report.json": as_json,
    "incident.md": as_markdown,
    "report.html": as_html,
    junit.FILE: lambda made, language: junit.xml(made),
}
