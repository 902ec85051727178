"""What a run leaves in the ledger: the mark on the release that it went back from, and where it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.plan.model import LEFT, Plan, PlannedContainer, PlannedService
from rollback_lib.core.redact import redact
from rollback_lib.core.releases.ledger import LastRun, Quarantine, RecordedWorkload
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.matching import MIXED
from rollback_lib.core.releases.tags import UNKNOWN
from rollback_lib.core.run.records import Request


def quarantine(request: Request, plan: Plan, live: Live, at: str) -> Quarantine | None:
    """The mark on what runs before the rollback; None where nothing tells it from the target.

    Its digests are those that its pods run and the target has not: a service that both share was not what was bad.
    """
    failed = plan.current
    known = failed.release not in (UNKNOWN.release, MIXED)
    if known and failed.release == plan.target.release:
        return None
    planned = {c.ref: c for s in plan.services for c in s.containers if c.own}
    kept = {d for c in planned.values() for d in (c.digest, *c.digests)}
    ran = {digest_of(image_id) for ref, c in live.by_ref.items() if ref in planned for image_id in (*c.newest, c.image)}
    digests = tuple(sorted(ran - kept - {""}))
    if not known and not digests:
        return None
    return Quarantine(
        application=plan.application, environment=plan.environment, release=failed.release if known else "",
        commit=failed.commit, digests=digests, reason=redact(request.reason) or f"rolled back to {plan.target.release}",
        by=request.by, at=at, run=request.run,
    )  # fmt: skip


def last_run(request: Request, plan: Plan, at: str) -> LastRun:
    """Where the run went, with the digests that tell later whether that is still what runs."""
    return LastRun(
        application=plan.application, environment=plan.environment, run=request.run, release=plan.target.release,
        commit=plan.target.commit, at=at, by=request.by, whole=not request.services,
        workloads=tuple(w for s in plan.services for w in _workloads(s)),
    )  # fmt: skip


def _workloads(service: PlannedService) -> Iterable[RecordedWorkload]:
    left = {o.ref for o in service.objects if o.change == LEFT}
    grouped: Mapping[ObjectRef, list[PlannedContainer]] = {c.ref.workload: [] for c in service.containers}
    for c in service.containers:
        grouped[c.ref.workload].append(c)
    for workload, containers in grouped.items():
        if workload not in left:
            yield RecordedWorkload(
                service=service.name, kind=workload.kind, name=workload.name,
                containers=tuple(
                    RecordedContainer(
                        name=c.name, init=c.init, volume=c.volume, own=c.own, image=c.to, digest=c.digest,
                        digests=c.digests,
                    )
                    for c in containers
                ),
            )  # fmt: skip
