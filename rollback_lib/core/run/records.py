"""What a run knows: one struct a stage, one file a struct. The run directory is the only state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images.rungs import ContainerImage
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.record import Record
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.releases.ledger import Entry, Quarantine
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.settings.model import Environment, Settings


class Request(Record, frozen=True, kw_only=True):
    """Who asked for what, when, why and from where. Written once, before the first stage."""

    run: str  # the run id
    application: str
    environment: str
    to: str  # a release, or last-good
    services: tuple[str, ...] = ()  # empty: all
    reason: str = ""
    evidence: tuple[str, ...] = ()  # files of this machine that a person gave
    by: str = ""
    origin: str = ""  # a Jenkins build address, or user@host
    started: str = ""  # RFC 3339, UTC
    accept: tuple[str, ...] = ()
    yes: bool = False  # approved on the command line; never from the environment
    dry_run: bool = False
    plan_hash: str = ""
    offline: bool = False
    isolate: bool = False  # close traffic, as settings say how
    undo: str = ""  # the run that is undone: its lock passes to this one
    undo_created: tuple[str, ...] = ()  # what it created, which goes again
    undo_release: str = ""  # what ran before it
    undo_sick: tuple[str, ...] = ()  # workloads that were not well then: as before is all that is asked of them
    undo_missing: tuple[str, ...] = ()  # what it deleted to make it again, and did not
    take_over: bool = False  # take the lock from a deploy, or from a dead run
    retag: bool = False  # point mutable tags at the restored images
    repository: str = ""
    upstream_job: str = ""  # the deploy whose failure asked for this; empty where a person did
    upstream_build: str = ""
    request_id: str = ""
    settings: Settings

    @property
    def runs(self) -> tuple[str, ...]:
        """This run, and the one that it undoes: what that one has closed is closed for this one."""
        return (self.run, self.undo) if self.undo else (self.run,)

    @property
    def target_environment(self) -> Environment:
        """The settings of the environment that is rolled back."""
        return self.settings.environments[self.environment]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence, redacted and on one line. ``since`` is RFC 3339 in UTC, empty where nothing tells.

    ``service`` is empty where it speaks of the whole application, or of nothing that is known. ``cause`` has the name
    that Kubernetes or the source gives it, such as ``CrashLoopBackOff``.
    """

    severity: Literal["broken", "suspect", "note"]
    source: str  # workloads, events, logs, versions, alertmanager, prometheus, junit, locust, person …
    text: str
    service: str = ""
    since: str = ""
    cause: str = ""
    link: str = ""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitoring query gave for one service; ``service`` is empty where the series names none."""

    name: str
    value: float
    service: str = ""


class Detection(Record, frozen=True, kw_only=True):
    """What `detect` found. ``reasons`` say in sentences why the verdict is what it is; never empty.

    ``measures``: what each query gave before anything was changed, for `verify` to compare with.
    """

    verdict: Literal["broken", "suspect", "healthy"]
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    measures: tuple[Measure, ...] = ()
    since: str = ""  # the first evidence
    at: str = ""
    seconds: float = 0.0  # that looking took


class Incident(Record, frozen=True, kw_only=True):
    """What `incident` opened and saved before it could vanish. ``evidence`` has files below the run directory."""

    id: str
    opened: str
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # what could not be saved, and why


class Resolution(Record, frozen=True, kw_only=True):
    """What `resolve` found: what runs by the ledger, the target, the services, their files.

    ``current`` is ``unknown`` where the ledger does not tell; then `images` asks the registry. ``recorded`` is what the
    ledger has of the target, ``in_ledger`` all releases that it knows, ``held`` the digests that are quarantined.
    ``refusals`` stand in the plan with everything else that is against it.
    """

    target: ReleaseRef
    releases: tuple[ReleaseRef, ...]  # all of them, newest first by commit date
    objects: tuple[SourceObject, ...]
    files: tuple[str, ...]
    services: tuple[tuple[str, int], ...]  # name, wave
    repository_url: str = ""
    current: ReleaseRef = ReleaseRef(release="unknown")
    recorded: Entry | None = None
    in_ledger: tuple[str, ...] = ()
    held: Mapping[str, Quarantine] = msgspec.field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()


class Images(Record, frozen=True, kw_only=True):
    """What `images` proved."""

    current: ReleaseRef
    images: tuple[ContainerImage, ...] = ()
    mutable_tags: tuple[MutableTag, ...] = ()
    proven: bool = True  # False: `--offline`, nobody was asked
    accepted: tuple[str, ...] = ()  # codes that made a difference
    refusals: tuple[Refusal, ...] = ()  # for the plan, like those of `Resolution`
    warnings: tuple[str, ...] = ()


class Rewritten(Record, frozen=True, kw_only=True):
    """Which files stand in ``manifests/``, and in which of them values were merged after the splice."""

    files: tuple[str, ...]
    merged: tuple[str, ...] = ()
    bots: tuple[Bot, ...] = ()  # who writes images of these files by itself


class Approval(Record, frozen=True, kw_only=True):
    """Who approved which plan, and how."""

    hash: str
    by: str
    how: str
    at: str


class WorkloadState(msgspec.Struct, frozen=True, kw_only=True):
    """How one workload is: its health by `core.health`, and how many of the pods that it wants are ready."""

    kind: str
    name: str
    health: str
    message: str = ""
    ready: int = 0
    desired: int = 0


class VerifiedWorkload(WorkloadState, frozen=True, kw_only=True):
    """One workload after the change."""

    service: str
    causes: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()  # what its pods report
    logs: tuple[str, ...] = ()  # redacted last lines of what failed
    unproven: str = ""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One time that something was asked. ``at`` is RFC 3339, UTC."""

    at: str
    good: bool
    text: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one service, for the report. ``kind``: rollout, traffic, smoke, flow, logs, metric or soak."""

    service: str
    kind: str
    name: str
    good: bool
    text: str
    seconds: float = 0.0
    tries: tuple[Try, ...] = ()


class Verification(Record, frozen=True, kw_only=True):
    """What `verify` saw at the end."""

    healthy: bool
    workloads: tuple[VerifiedWorkload, ...]
    smoke: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    problems: tuple[str, ...] = ()
    as_before: tuple[str, ...] = ()  # what is not well and need not be: an undo goes back to what was sick
    at: str = ""
