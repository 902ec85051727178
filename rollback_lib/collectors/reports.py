"""Reports that end-to-end, integration and load tests left in the repository's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rollback_lib.core import results
from rollback_lib.core.checks import Reports
from rollback_lib.core.findings import finding
from rollback_lib.core.run import Finding
from rollback_lib.ports import Files


def findings(settings: Reports, files: Files, services: Collection[str]) -> Iterator[Finding]:
    """Failed tests and requests. A pattern that nothing matches is said: the reports may lie elsewhere."""
    for source, globs in ((results.JUNIT, settings.junit), (results.LOCUST, settings.locust)):
        for glob in globs:
            found = files.matching(glob)
            if not found:
                yield finding("note", source, f"no file matches {glob}")
            for name, data in found.items():
                if source == results.JUNIT:
                    yield from results.junit(name, data, services)
                else:
                    yield from results.locust(name, data, settings)
