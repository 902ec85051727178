"""The values of health: what is looked at, how patiently, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from rollback_lib.core.kube.identity import ObjectRef


class Health(enum.StrEnum):
    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    FAILED = "failed"
    UNPROVEN = "unproven"
    """Nothing to judge: 0 replicas, no node wants it, all its nodes are not Ready, or a kind that is not awaited."""


class Cause(msgspec.Struct, frozen=True):
    """Why a workload is not ready, by the name that Kubernetes has for it where it has one.

    ``text`` is one sentence for a person, with what to do. ``final`` means: give up now, waiting will not help; a
    report holds a final cause if and only if its health is FAILED.
    """

    name: str
    text: str
    pod: str = ""
    container: str = ""
    final: bool = False


class Report(msgspec.Struct, frozen=True):
    """What one look says.

    ``updated`` and ``ready`` count judged pods of the newest template; ``pods`` names all of them. UNPROVEN with
    ``desired`` above 0 may still change: a node may come back.
    """

    kind: str
    name: str
    health: Health
    message: str
    causes: tuple[Cause, ...] = ()
    ready: int = 0
    desired: int = 0
    updated: int = 0
    pods: tuple[str, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)


class View(msgspec.Struct, frozen=True):
    """One snapshot of one workload, as the API returns the objects.

    Read the workload first and the rest after it: what is read later may be newer, never older, than its status.
    ``pods``, ``replica_sets``, ``revisions`` and ``events`` may be those of the whole namespace; what belongs to the
    workload is found by ownerReferences. ``nodes``: name → Ready; None where we may not list nodes. ``lines``: the
    last log line of a container's last ended run by ``POD/CONTAINER``, redacted by who read it.
    """

    workload: Mapping[str, Any]
    replica_sets: tuple[Mapping[str, Any], ...] = ()
    pods: tuple[Mapping[str, Any], ...] = ()
    nodes: Mapping[str, bool] | None = None
    revisions: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    lines: Mapping[str, str] = {}


class Crash(msgspec.Struct, frozen=True):
    """One ended run of a container. ``run`` tells runs apart (the container's id, or when it ended)."""

    run: str
    exit_code: int
    line: str


class EarlierRounds(msgspec.Struct, frozen=True):
    """What earlier rounds saw; `look` makes the next one. Keys are ours: uid of the pod, name of the container."""

    since: Mapping[str, datetime] = {}  # symptom → when it was first seen of those times that it stood without a break
    crashes: Mapping[str, tuple[Crash, ...]] = {}  # the last few ended runs, oldest first
    restarts_before: Mapping[str, int] = {}  # restarts of pods that are older than our patch, when first seen


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for what. Times are aware and in UTC.

    ``patched_at``: when our patch was made, best as the API server has it (the ``time`` of our entry in
    managedFields); None if this workload was not changed by us: then there is one look, not a series, and conditions
    of any age count. ``deadline``: when `limit` is used up; a workload that still progresses then has failed.
    ``quick_crash``: every earlier wave is ready, so a crash that repeats itself word for word is not a wait for one
    of them. ``steady``: seconds that a container without a readiness probe must run before it counts as ready.
    """

    now: datetime
    patched_at: datetime | None = None
    deadline: datetime | None = None
    crash_restarts: int = 3
    quick_crash: bool = False
    steady: float = 3.0
    seen: EarlierRounds = EarlierRounds()

    def fresh(self, stamp: datetime | None) -> bool:
        """Whether something with this time was said after our patch. The API's times have whole seconds."""
        if self.patched_at is None:
            return True
        return stamp is not None and stamp >= self.patched_at.replace(microsecond=0)

    def stood(self, key: str, stamp: datetime | None) -> float:
        """Seconds that a symptom has stood: by our own rounds, or by its time in the cluster.

        The cluster's clock may not be ours: a time there never makes it older than our patch.
        """
        first = self.seen.since.get(key)
        ours = (self.now - first).total_seconds() if first else 0.0
        if stamp is None:
            return ours
        theirs = (self.now - stamp).total_seconds()
        if self.patched_at is not None:
            theirs = min(theirs, (self.now - self.patched_at).total_seconds())
        return max(ours, theirs)
