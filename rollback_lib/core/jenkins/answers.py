"""What a Jenkins server answers, as values. Pure: JSON in, structs out; a key that is missing is no error.

What is of another shape raises `encoding.NotJsonError`: then nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.jenkins.console import plain

GOOD: Final = "SUCCESS"
_Number = Annotated[int, msgspec.Meta(ge=0, le=253_000_000_000_000)]  # the last year that there is, in milliseconds
BAD: Final = ("FAILURE", "UNSTABLE", "ABORTED")


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One build. ``result`` is empty while nothing is decided; it may be set while ``running``."""

    number: int
    url: str
    running: bool
    result: str = ""
    parameters: Mapping[str, str] = {}
    upstream: tuple[str, ...] = ()  # the jobs that caused it
    artifacts: tuple[str, ...] = ()  # relative paths
    queue_id: int = 0
    started: float = 0.0  # seconds since the epoch


class QueueItem(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request stands: waiting (``why``), cancelled, or a build. ``gone``: the server forgot it."""

    why: str = ""
    cancelled: bool = False
    build: int = 0
    gone: bool = False


class BuildStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a build, with Jenkins' word for how it stands (`SUCCESS`, `IN_PROGRESS`, `FAILED` …)."""

    name: str
    status: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A pending approval."""

    id: str
    message: str


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log, which ends anywhere; offsets are bytes."""

    data: bytes
    next: int
    more: bool

    @property
    def text(self) -> str:
        """As a person reads it, where nothing comes before or after."""
        return plain(self.data.decode("utf-8", "replace"))


class TestCase(msgspec.Struct, frozen=True, kw_only=True):
    """One test of a report, and what it said where it failed."""

    name: str
    failed: bool
    said: str = ""


def build(body: bytes) -> Build:
    return _build(encoding.from_json(body, _Build))


def builds(body: bytes) -> tuple[Build, ...]:
    found: _Job = encoding.from_json(body, _Job)
    return tuple(map(_build, found.builds or ()))


def _build(found: _Build) -> Build:
    actions = [action for action in found.actions or () if action is not None]
    parameters = [p for action in actions for p in action.parameters or ()]
    causes = [cause for action in actions for cause in action.causes or ()]
    return Build(
        number=found.number or 0, url=found.url or "", running=bool(found.building), result=found.result or "",
        parameters={p.name: str(p.value) for p in parameters},
        upstream=tuple(cause.upstreamProject for cause in causes if cause.upstreamProject),
        artifacts=tuple(a.relativePath for a in found.artifacts or () if a.relativePath),
        queue_id=found.queueId or 0, started=(found.timestamp or 0) / 1000,
    )  # fmt: skip


def queue_item(body: bytes) -> QueueItem:
    """A left item may have no executable yet: that is still waiting (api4jenkins #107)."""
    found: _Item = encoding.from_json(body, _Item)
    executable = found.executable or _Build()
    return QueueItem(why=found.why or "", cancelled=bool(found.cancelled), build=executable.number or 0)


def stages(body: bytes) -> tuple[BuildStage, ...]:
    found: _Stages = encoding.from_json(body, _Stages)
    return tuple(BuildStage(name=s.name or "", status=s.status or "") for s in found.stages or ())


def questions(body: bytes) -> tuple[Question, ...]:
    found: list[_Question] = encoding.from_json(body, list[_Question])
    return tuple(Question(id=q.id or "", message=q.message or "") for q in found)


def parameters(body: bytes) -> dict[str, tuple[str, ...]]:
    """Each parameter of a job, with its choices; without any where it is no choice."""
    found: _Job = encoding.from_json(body, _Job)
    properties = [p for p in found.property or () if p is not None]
    return {d.name: tuple(map(str, d.choices or ())) for p in properties for d in p.parameterDefinitions or ()}


def is_folder(body: bytes) -> bool:
    found: _Job = encoding.from_json(body, _Job)
    return found.jobs is not None


def test_cases(body: bytes) -> tuple[TestCase, ...]:
    found: _Report = encoding.from_json(body, _Report)
    return tuple(
        TestCase(name=f"{c.className}.{c.name}", failed=c.status in ("FAILED", "REGRESSION"), said=c.errorDetails or "")
        for suite in found.suites or ()
        for c in suite.cases or ()
    )


def validator_errors(body: bytes) -> tuple[str, ...]:
    """What the server's validator says against a Jenkinsfile; nothing where it is valid."""
    found: _Validated = encoding.from_json(body, _Validated)
    data = found.data or _Verdict()
    if data.result == "success":
        return ()
    said = tuple(_flat(e.error if isinstance(e, _Wrong) else e) for e in data.errors or ())
    return said or ("the server says no, and not why",)


def _flat(text: str | list[Any] | None) -> str:
    return "; ".join(map(_flat, text)) if isinstance(text, list) else " ".join(str(text).split())


def crumb(body: bytes) -> tuple[str, str]:
    """(header, value) that a request which changes something has to bring along."""
    found: _Crumb = encoding.from_json(body, _Crumb)
    return found.crumbRequestField, found.crumb


# What it answers, by its names there.
class _Parameter(msgspec.Struct):
    name: str
    value: Any = ""


class _Cause(msgspec.Struct):
    upstreamProject: str | None = None


class _Action(msgspec.Struct):
    parameters: list[_Parameter] | None = None
    causes: list[_Cause] | None = None


class _Artifact(msgspec.Struct):
    relativePath: str | None = None


class _Build(msgspec.Struct):
    number: _Number | None = None
    url: str | None = None
    building: bool | None = None
    result: str | None = None
    actions: list[_Action | None] | None = None
    artifacts: list[_Artifact] | None = None
    queueId: _Number | None = None
    timestamp: _Number | None = None  # milliseconds


class _Definition(msgspec.Struct):
    name: str
    choices: list[Any] | None = None


class _Property(msgspec.Struct):
    parameterDefinitions: list[_Definition] | None = None


class _Job(msgspec.Struct):
    builds: list[_Build] | None = None
    property: list[_Property | None] | None = None
    jobs: list[Any] | None = None  # of a folder


class _Item(msgspec.Struct):
    why: str | None = None
    cancelled: bool | None = None
    executable: _Build | None = None


class _Stage(msgspec.Struct):
    name: str | None = None
    status: str | None = None


class _Stages(msgspec.Struct):
    stages: list[_Stage] | None = None


class _Question(msgspec.Struct):
    id: str | None = None
    message: str | None = None


class _Case(msgspec.Struct):
    className: str | None = None
    name: str | None = None
    status: str | None = None
    errorDetails: str | None = None


class _Suite(msgspec.Struct):
    cases: list[_Case] | None = None


class _Report(msgspec.Struct):
    suites: list[_Suite] | None = None


class _Wrong(msgspec.Struct):
    error: str | list[Any] | None = None


class _Verdict(msgspec.Struct):
    result: str | None = None
    errors: list[_Wrong | str] | None = None


class _Validated(msgspec.Struct):
    data: _Verdict | None = None


class _Crumb(msgspec.Struct):
    crumbRequestField: str
    crumb: str
