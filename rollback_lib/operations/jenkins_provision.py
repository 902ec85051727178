"""Creates the Jenkins job, or updates it where it differs from what the schema makes."""

from __future__ import annotations

from typing import NamedTuple

from rollback_lib.core.errors import CheckError, RefusedError
from rollback_lib.core.jenkins.config import differences
from rollback_lib.ports import Jenkins


class Provisioned(NamedTuple):
    """``exists``: the job was there. ``differs``: what it had otherwise. ``written``: it is now as wanted."""

    exists: bool
    differs: tuple[str, ...]
    written: bool


def provision(server: Jenkins, job: str, xml: str, *, write: bool) -> Provisioned:
    """Write only what differs, then read it back. Raises CheckError where the server keeps something else."""
    before = server.job_config(job)
    found = () if before is None else _differences(xml, before, job)
    if before is not None and not found:
        return Provisioned(True, (), False)
    if not write:
        return Provisioned(before is not None, found, False)
    server.put_job(job, xml, create=before is None)
    after = server.job_config(job)
    left = ("there is no job",) if after is None else _differences(xml, after, job)
    if left:
        raise CheckError(f"Jenkins took the job {job} and keeps something else: {'; '.join(left[:5])}")
    return Provisioned(before is not None, found, True)


def _differences(ours: str, theirs: str, job: str) -> tuple[str, ...]:
    try:
        return differences(ours, theirs)
    except ValueError as error:
        raise RefusedError(f"the configuration of {job} does not read: {error}") from None
