"""Reports that end-to-end, integration and load tests left in the repository's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rollback_lib.core.evidence import test_reports
from rollback_lib.core.evidence.findings import finding
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Reports
from rollback_lib.ports import Files


def findings(settings: Reports, files: Files, services: Collection[str]) -> Iterator[Finding]:
    """Failed tests and requests. A pattern that nothing matches is said: the reports may lie elsewhere."""
    for source, globs in ((test_reports.JUNIT, settings.junit), (test_reports.LOCUST, settings.locust)):
        for glob in globs:
            found = files.matching(glob)
            if not found:
                yield finding("note", source, f"no file matches {glob}")
            for name, data in found.items():
                if source == test_reports.JUNIT:
                    yield from test_reports.junit(name, data, services)
                else:
                    yield from test_reports.locust(name, data, settings)
