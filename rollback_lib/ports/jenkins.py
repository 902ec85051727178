"""A Jenkins server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rollback_lib.core.jenkins.answers import Build, BuildStage, LogPart, Question, QueueItem, TestCase


class Jenkins(Protocol):
    """A Jenkins server; None where a job, build or file is not there.

    Raises RefusedError with what it said, AwayError where it does not answer; CheckError where nobody knows whether it
    took what we sent.
    """

    @property
    def url(self) -> str: ...

    def job_config(self, job: str) -> str | None: ...

    def put_job(self, job: str, xml: str, *, create: bool) -> None: ...

    def missing_folder(self, job: str) -> str:
        """The outermost of the folders that the job would lie in that is not there; empty where all are."""
        ...

    def parameters(self, job: str) -> Mapping[str, Sequence[str]]:
        """The job's parameters, each with what can be chosen; nothing where anything may be given."""
        ...

    def check(self, jenkinsfile: str) -> Sequence[str]:
        """What its validator says against a Jenkinsfile; nothing where it is valid."""
        ...

    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """The queue item; 0 where an equal request is queued already."""
        ...

    def queued(self, item: int) -> QueueItem: ...

    def build(self, job: str, number: int) -> Build | None: ...

    def recent(self, job: str, many: int = 20) -> Sequence[Build]:
        """The newest builds, newest first."""
        ...

    def stages(self, job: str, number: int) -> Sequence[BuildStage] | None:
        """None where the server cannot tell."""
        ...

    def questions(self, job: str, number: int) -> Sequence[Question] | None:
        """What it waits for; None where the server cannot tell."""
        ...

    def log(self, job: str, number: int, start: int) -> LogPart | None:
        """The log from byte ``start``."""
        ...

    def artifact(self, job: str, number: int, path: str) -> bytes | None: ...

    def tests(self, job: str, number: int) -> Sequence[TestCase]:
        """Those of its test report; none where there is none."""
        ...
