"""`rollback status`: what runs now, found as a rollback finds it, and asked of the cluster once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from rollback_lib.collectors import lock_reader, smoke, threads
from rollback_lib.collectors.rollout import Rollouts, Watched
from rollback_lib.core import health
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.health import Report, View
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import image_ids, name_of, named_images
from rollback_lib.core.readouts.status import RunningImage, RunningWorkload, Status
from rollback_lib.core.releases import beyond
from rollback_lib.core.report import observation
from rollback_lib.core.report.observation import Looked
from rollback_lib.core.run import cluster_copy, lock, ways
from rollback_lib.core.run.lock import Held
from rollback_lib.core.run.records import CheckResult, Request
from rollback_lib.core.run.ways import Way
from rollback_lib.core.settings.model import Smoke, seconds
from rollback_lib.core.traffic import slots
from rollback_lib.operations import history, running
from rollback_lib.ports import Ports, Session


def look(session: Session) -> Status:
    """What runs. Raises RefusedError where the cluster cannot be reached; nothing else keeps it from answering."""
    settings, environment, ports = session.settings, session.environment, session.ports
    identity = ports.cluster.identity()
    found = running.find(session)
    there = ports.cluster.snapshot(AWAITED)
    live = [ObjectRef(kind, name_of(w)) for kind in AWAITED for w in there.all(kind)]
    wanted = live
    if found.resolution:
        wanted = [o.ref for o in found.resolution.objects if o.ref.type in AWAITED and not o.namespace]
    rollouts = Rollouts(
        ports, [Watched(ref, patched=False) for ref in dict.fromkeys(wanted)],
        rollout_timeout=seconds(settings.verify.rollout_timeout), crash_restarts=settings.verify.crash_restarts,
    )  # fmt: skip
    reports = rollouts.look() if wanted else {}
    services = {o.ref: o.service for o in found.resolution.objects} if found.resolution else {}

    def ask(test: Smoke) -> CheckResult:
        mine = [ref for ref in rollouts.views if test.service in (services.get(ref), ref.name)]
        return smoke.once(test, mine, rollouts.views, ports)

    beside = beyond.running(rollouts.snapshot, settings) if rollouts.snapshot else ()
    held, locked = _lock(settings.application, ports)
    place = settings.environments[environment].isolation
    seen = observation.looked(ports.cluster.snapshot(slots.CLOSABLE), place, at="", seq=0)
    return Status(
        application=settings.application, environment=environment, cluster=identity, current=found.current,
        why_unknown=found.why, mutable_tags=found.mutable_tags,
        workloads=tuple(
            _workload(ref, reports.get(ref), rollouts.views)
            for ref in dict.fromkeys(wanted)
        ),
        others=tuple(map(str, (*(w for w in live if w not in wanted), *beside))),
        last_run=next(iter(history.past_runs(session).runs), None), lock=locked, next=_next(session, held, seen),
        traffic=seen.traffic, traffic_why=seen.why, closed=tuple(map(str, seen.closed)),
        smoke=tuple(threads.each(ask, settings.verify.smoke)),
    )  # fmt: skip


def _lock(application: str, ports: Ports) -> tuple[Held | None, str]:
    """Who holds it, and the same in words."""
    try:
        held = lock_reader.find(ports.records, application)
    except RollbackError as error:
        return None, f"nobody knows whom: {running.first_lines(str(error))}"
    return held, lock.who(held, ports.clock.now()) if held is not None else ""


def _next(session: Session, held: Held | None, seen: Looked) -> tuple[Way, ...]:
    """What leads on from here. A run that has the lock can be gone on with where its directory or its copy is."""
    run, closed = ways.holder(held) or next((c.run for c in seen.closed if not c.problem), ""), bool(seen.closed)
    kept = any(r.get(Request).run == run for r in session.runs.all()) if run else True
    if run and not kept:
        with contextlib.suppress(RollbackError):
            kept = session.ports.records.get("ConfigMap", cluster_copy.name(run)) is not None
    left = ways.of_lock(held, kept=kept, closed=closed)
    return ways.ways(left, run if kept or held is not None else "", session.environment)


def _workload(ref: ObjectRef, report: Report | None, views: Mapping[ObjectRef, View]) -> RunningWorkload:
    if report is None:
        return RunningWorkload(kind=ref.kind, name=ref.name, health="missing", message="It is not in the cluster.")
    view = views[ref]
    newest_pods = health.newest_pods(view)
    newest_names = {name_of(p) for p in newest_pods}
    older = [p for p in health.owned(view) if health.is_ready(p) and name_of(p) not in newest_names]
    images = tuple(
        RunningImage(
            container=ref.name, init=ref.init, volume=ref.volume, image=image.text,
            digests=_digests(view, newest_pods, ref), older=_digests(view, older, ref),
        )
        for ref, image in named_images(view.workload)
    )  # fmt: skip
    return RunningWorkload(
        kind=ref.kind, name=ref.name, health=str(report.health), ready=report.ready, desired=report.desired,
        message=report.message, images=images,
    )  # fmt: skip


def _digests(view: View, pods: Sequence[Mapping[str, Any]], container: ContainerRef) -> tuple[str, ...]:
    ids = [image_id for p in pods for ref, image_id in image_ids(view.workload, p) if ref == container]
    return tuple(dict.fromkeys(digest_of(i) or i for i in ids if i))
