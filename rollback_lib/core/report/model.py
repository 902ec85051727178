"""The record of a run as data: ``report/report.json``, whose shape is published, and from which every page is made."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.plan.model import PlannedContainer, PlannedObject, PlannedTag
from rollback_lib.core.releases.tags import ReleaseRef, RepositoryIdentity
from rollback_lib.core.report.followups import FollowUp
from rollback_lib.core.run.records import Approval, Finding, Verification

VERSION: Final = 1  # raised when something is taken away or changes its meaning; more may come at any time


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the timeline. ``at`` is UTC, ``local`` the same moment with the offset of the environment's zone.

    Of a change ``change`` is its code, ``subject`` what it is about, and ``to`` the digest that a tag gets; ``text``
    says the same in English.
    """

    at: str
    local: str = ""
    what: str  # evidence, begun, failed, changed, not-changed, approved, healthy, told, not-told
    stage: str = ""
    text: str = ""
    change: str = ""
    subject: str = ""
    to: str = ""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The moments that a review asks for, RFC 3339; empty where they did not come."""

    first_evidence: str = ""
    started: str = ""
    approved: str = ""
    first_write: str = ""
    traffic_closed: str = ""
    traffic_opened: str = ""
    healthy: str = ""
    ended: str = ""


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: from the first evidence to the run, from the run to the yes, from the run to healthy."""

    detect: float | None = None
    decide: float | None = None
    restore: float | None = None


class ChangedContainer(PlannedContainer, frozen=True, kw_only=True):
    """Which image a container had and got. ``rung``: how we know (README, "Images").

    ``from_digest``: what the tag that it had names in the registry, where a mutable tag names another image.
    """

    from_digest: str = ""


class ChangedObject(PlannedObject, frozen=True, kw_only=True):
    """One object of the plan that was to change, stay, or be deleted. ``done``: the journal has it."""

    service: str
    done: bool
    containers: tuple[ChangedContainer, ...] = ()
    api_version: str = ""
    namespace: str = ""  # where it is not the run's

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name, self.namespace)


class MovedTag(PlannedTag, frozen=True, kw_only=True):
    """A registry tag that was to be pointed at the restored image."""

    done: bool


class StageTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long a stage took, all of its attempts together. ``failed``: why it did not end well, the last time."""

    stage: str
    seconds: float
    failed: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """report.json."""

    version: int = VERSION
    run: str = ""
    incident: str = ""
    application: str = ""
    environment: str = ""
    by: str = ""
    origin: str = ""
    reason: str = ""
    asked_for: str = ""
    from_release: ReleaseRef | None = None
    to_release: ReleaseRef | None = None
    plan_hash: str = ""
    namespace: str = ""
    cluster: ClusterIdentity | None = None
    repository: RepositoryIdentity | None = None
    approved: Approval | None = None
    accepted: tuple[str, ...] = ()
    exit_code: int = 0
    failed_in: str = ""
    error: str = ""
    traffic: str = "unknown"  # as it was seen: open, closed, unknown
    closed_by: tuple[str, ...] = ()  # who else has closed it
    changed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    undoes: str = ""  # the run that this one undoes
    as_before: tuple[str, ...] = ()  # what is not well, and was not before what is undone
    restored: bool = False  # the target runs, whole and healthy; what is at 0 replicas is unproven
    workloads: int = 0  # that the target has
    ready: int = 0  # of them, with all their pods
    unproven: tuple[str, ...] = ()  # at 0 replicas
    but: str = ""  # what of the target is not there, or left as it is, in words
    wrote: bool = False  # something was changed, or may have been
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    evidence: tuple[str, ...] = ()  # files below the run directory
    not_saved: tuple[str, ...] = ()
    affected: tuple[str, ...] = ()  # services
    times: Times = Times()
    took: Took = Took()
    timeline: tuple[Moment, ...] = ()
    objects: tuple[ChangedObject, ...] = ()
    leftovers: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    tags: tuple[MovedTag, ...] = ()
    left_tags: tuple[str, ...] = ()
    verification: Verification | None = None
    stages: tuple[StageTime, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    warnings: tuple[str, ...] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema of report.json; shipped as ``rollback_lib/report.schema.json``."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "report.json"}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode({**made, **msgspec.json.schema(Report)}))
    return plain
