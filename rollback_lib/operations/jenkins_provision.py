"""Creates the Jenkins job, or updates it where it differs from what the schema makes."""

from __future__ import annotations

from typing import NamedTuple

from rollback_lib.core.errors import CheckError, RefusedError
from rollback_lib.core.jenkins.config import content, differences
from rollback_lib.ports import Jenkins


class Provisioned(NamedTuple):
    """``exists``: the job was there. ``differs``: what it had otherwise; all that it gets where it is new.

    ``written``: it is now as wanted. ``no_folder``: the folder that is not there, so that it cannot be made.
    """

    exists: bool
    differs: tuple[str, ...]
    written: bool
    no_folder: str = ""


def provision(server: Jenkins, job: str, xml: str, *, write: bool) -> Provisioned:
    """Write only what differs, then read it back. Raises CheckError where the server keeps something else."""
    before = server.job_config(job)
    if before is None:
        found, no_folder = content(xml), server.missing_folder(job)
    else:
        found, no_folder = _differences(xml, before, job), ""
    if not found or not write:
        return Provisioned(before is not None, found, False, no_folder)
    if no_folder:
        raise RefusedError(no_folder_text(no_folder))
    server.put_job(job, xml, create=before is None)
    after = server.job_config(job)
    left = ("there is no job",) if after is None else _differences(xml, after, job)
    if left:
        raise CheckError(f"Jenkins took the job {job} and keeps something else: {'; '.join(left[:5])}")
    return Provisioned(before is not None, found, True)


def no_folder_text(folder: str) -> str:
    """What is said of a folder that has to be made first."""
    return (
        f"Jenkins has no folder {folder}, or you may not see it: make it there first (New Item, Folder), or give "
        "--job another name."
    )


def _differences(ours: str, theirs: str, job: str) -> tuple[str, ...]:
    try:
        return differences(ours, theirs)
    except ValueError as error:
        raise RefusedError(f"the configuration of {job} does not read: {error}") from None
