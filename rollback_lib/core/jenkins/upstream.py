"""The deploy build that failed: what Jenkins itself says of it. Parameters only point to it. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.errors import Refusal
from rollback_lib.core.jenkins.answers import BAD, Build, BuildStage, TestCase
from rollback_lib.core.redact import redact

EVIDENCE: Final = "rollback-evidence.json"  # the artifact that `rollbackOnFailure` archives before the first kubectl
FILE: Final = "evidence/upstream.json"
_TAIL: Final = 40  # lines of the log
_FAILED: Final = ("FAILED", "ABORTED", "UNSTABLE")


class DeployEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the deploy job wrote down before it changed the cluster; other keys are its own."""

    application: str
    environment: str
    started: bool  # whether it had begun to change the cluster
    services: tuple[str, ...] = ()
    commit: str = ""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """The failed build, as evidence of the incident. All texts are redacted."""

    job: str
    build: int
    url: str
    result: str
    failed_stages: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()
    failed_tests: tuple[str, ...] = ()
    deploy: DeployEvidence | None = None


def tell(
    job: str, found: Build, stages: Sequence[BuildStage], log: str, tests: Sequence[TestCase],
    artifact: bytes | None,
) -> Upstream:  # fmt: skip
    """All that is known. An artifact that does not read counts as none."""
    return Upstream(
        job=job, build=found.number, url=found.url, result=found.result,
        failed_stages=tuple(redact(s.name) for s in stages if s.status in _FAILED),
        log_tail=tuple(redact(log).splitlines()[-_TAIL:]), failed_tests=tuple(_failed(tests))[:20],
        deploy=_evidence(artifact),
    )  # fmt: skip


def refusals(
    told: Upstream, *, running: bool, jobs: Sequence[str], application: str, environment: str
) -> tuple[Refusal, ...]:
    """Why this build is no reason to roll back."""
    return tuple(Refusal(text) for text in _against(told, running, jobs, application, environment))


def _against(told: Upstream, running: bool, jobs: Sequence[str], application: str, environment: str) -> Iterator[str]:
    name = f"{told.job} {told.build}"
    if told.job not in jobs:
        yield f"{told.job} may not start a rollback: name it in rollback.yaml under automatic.jobs."
    if told.result not in BAD and not (running and told.failed_stages):
        yield f"{name} did not fail: Jenkins says {told.result or 'that it runs'}."
    deploy = told.deploy
    if deploy is None:
        yield f"{name} has no artifact {EVIDENCE} that reads, so nothing tells what it changed."
    elif (deploy.application, deploy.environment) != (application, environment):
        yield f"{name} deployed {deploy.application} {deploy.environment}, not {application} {environment}."
    elif not deploy.started:
        yield f"{name} failed before it began to change the cluster: there is nothing to roll back."


def is_rollback(build: Build, own_job: str) -> bool:
    """Whether a build is itself a rollback, or was started by our own job."""
    return bool(build.parameters.get("UPSTREAM_JOB")) or (bool(own_job) and own_job in build.upstream)


def _evidence(data: bytes | None) -> DeployEvidence | None:
    with contextlib.suppress(encoding.NotJsonError):
        found: DeployEvidence = encoding.from_json(data or b"", DeployEvidence)
        return found
    return None


def _failed(tests: Sequence[TestCase]) -> Iterator[str]:
    return (redact(f"{case.name}: {case.said}")[:300] for case in tests if case.failed)
