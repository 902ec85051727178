"""The deploy build that failed: parameters only point to it, Jenkins itself is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeVar

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.evidence.findings import finding
from rollback_lib.core.jenkins import upstream
from rollback_lib.core.jenkins.answers import Build
from rollback_lib.core.jenkins.upstream import Upstream
from rollback_lib.core.run.records import Finding
from rollback_lib.ports import Jenkins

JENKINS: Final = "jenkins"
_NAMED: Final = 3
T = TypeVar("T")


def told(server: Jenkins, job: str, build: Build) -> Upstream:
    """What Jenkins says of a build. Only the build and its evidence decide; what else cannot be had is left out."""
    number = build.number
    stages = _or_none(lambda: server.stages(job, number)) or ()
    part = _or_none(lambda: server.log(job, number, 0))
    tests = _or_none(lambda: server.tests(job, number)) or ()
    artifact = server.artifact(job, number, upstream.EVIDENCE)
    return upstream.tell(job, build, stages, part.text if part else "", tests, artifact)


def findings(server: Jenkins, job: str, number: int) -> Iterator[Finding]:
    """For detect: that the deploy failed, in which stage, with which tests. It accuses no single service."""
    build = server.build(job, number)
    if build is None:
        yield finding("note", JENKINS, f"Jenkins has no build {number} of {job}, or we may not see it.")
        return
    known = told(server, job, build)
    result = known.result or "still runs"
    where = f" in {', '.join(known.failed_stages[:_NAMED])}" if known.failed_stages else ""
    tests = f"; failed tests: {', '.join(known.failed_tests[:_NAMED])}" if known.failed_tests else ""
    last = f"; last line: {known.log_tail[-1]}" if known.log_tail else ""
    failed = bool(known.failed_stages) or known.result not in ("SUCCESS", "")
    yield finding(
        "suspect" if failed else "note", JENKINS, f"{job} {number}: {result}{where}{tests}{last}",
        since=datetime.fromtimestamp(build.started, UTC) if build.started else None,
        cause="DeployFailed" if failed else "", link=known.url,
    )  # fmt: skip


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except RefusedError:
        return None
