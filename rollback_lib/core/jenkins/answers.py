"""What a Jenkins server answers, as values. Pure: JSON in, structs out; a key that is missing is no error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.jenkins.console import plain

GOOD: Final = "SUCCESS"
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


def build(data: Mapping[str, Any]) -> Build:
    actions = [action for action in data.get("actions") or [] if isinstance(action, Mapping)]
    parameters = [p for action in actions for p in action.get("parameters") or []]
    causes = [cause for action in actions for cause in action.get("causes") or []]
    return Build(
        number=int(data.get("number") or 0), url=str(data.get("url") or ""), running=bool(data.get("building")),
        result=str(data.get("result") or ""),
        parameters={str(p.get("name")): str(p.get("value", "")) for p in parameters},
        upstream=tuple(str(cause["upstreamProject"]) for cause in causes if cause.get("upstreamProject")),
        artifacts=tuple(str(a.get("relativePath")) for a in data.get("artifacts") or []),
        queue_id=int(data.get("queueId") or 0), started=float(data.get("timestamp") or 0) / 1000,
    )  # fmt: skip


def queue_item(data: Mapping[str, Any]) -> QueueItem:
    """A left item may have no executable yet: that is still waiting (api4jenkins #107)."""
    executable = data.get("executable") or {}
    return QueueItem(
        why=str(data.get("why") or ""), cancelled=bool(data.get("cancelled")), build=int(executable.get("number") or 0)
    )


def stages(data: Mapping[str, Any]) -> tuple[BuildStage, ...]:
    return tuple(
        BuildStage(name=str(s.get("name") or ""), status=str(s.get("status") or "")) for s in data.get("stages") or []
    )


def questions(data: Sequence[Mapping[str, Any]]) -> tuple[Question, ...]:
    return tuple(Question(id=str(q.get("id") or ""), message=str(q.get("message") or "")) for q in data)


def parameters(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Each parameter of a job, with its choices; without any where it is no choice."""
    properties = [p for p in data.get("property") or [] if isinstance(p, Mapping)]
    defined = [d for p in properties for d in p.get("parameterDefinitions") or []]
    return {str(d.get("name")): tuple(map(str, d.get("choices") or [])) for d in defined}
