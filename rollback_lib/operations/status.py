"""`rollback status`: what runs now, found as a rollback finds it, and asked of the cluster once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rollback_lib.collectors.rollout import Rollouts, Watched
from rollback_lib.core import health
from rollback_lib.core.errors import RollbackError, code_and_text, codes_of
from rollback_lib.core.health import Report, View
from rollback_lib.core.images.ladder import UNKNOWN as REGISTRY_UNKNOWN
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import container_statuses, name_of, named_containers
from rollback_lib.core.readouts.status import RunningImage, RunningWorkload, Status
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.current import UNKNOWN, MutableTag
from rollback_lib.core.releases.matching import MIXED
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run import lock
from rollback_lib.core.run.records import Resolution
from rollback_lib.core.settings.model import seconds
from rollback_lib.core.traffic import slots
from rollback_lib.operations import history, reopen
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import holding
from rollback_lib.ports import Ports, Session
from rollback_lib.releases import proving, resolving, what_runs
from rollback_lib.releases.what_runs import Now

_TRIED: Final = 3  # releases that are tried while the images of the newer ones cannot be proven


def look(session: Session) -> Status:
    """What runs. Raises RefusedError where the cluster cannot be reached; nothing else keeps it from answering."""
    settings, environment, ports = session.settings, session.environment, session.ports
    identity = ports.cluster.identity()
    found = _current(session)
    running = ports.cluster.snapshot(AWAITED)
    live = [ObjectRef(kind, name_of(w)) for kind in AWAITED for w in running.all(kind)]
    wanted = live
    if found.resolution:
        wanted = [o.ref for o in found.resolution.objects if o.ref.type in AWAITED and not o.namespace]
    rollouts = Rollouts(
        ports, [Watched(ref, patched=False) for ref in dict.fromkeys(wanted)],
        rollout_timeout=seconds(settings.verify.rollout_timeout), crash_restarts=settings.verify.crash_restarts,
    )  # fmt: skip
    reports = rollouts.look() if wanted else {}
    return Status(
        application=settings.application, environment=environment, cluster=identity, current=found.current,
        why_unknown=found.why, mutable_tags=found.mutable_tags,
        workloads=tuple(
            _workload(ref, reports.get(ref), rollouts.views)
            for ref in dict.fromkeys(wanted)
        ),
        others=tuple(str(w) for w in live if w not in wanted),
        last_run=next(iter(history.past_runs(session).runs), None), lock=_lock(settings.application, ports),
        closed=tuple(map(str, reopen.closed(ports.cluster.snapshot(slots.CLOSABLE)))),
    )  # fmt: skip


def _lock(application: str, ports: Ports) -> str:
    try:
        held = holding.find(ports.records, application)
    except RollbackError as error:
        return f"nobody knows whom: {_first_lines(str(error))}"
    return lock.who(held, ports.clock.now()) if held is not None else ""


class _Found(NamedTuple):
    current: ReleaseRef
    why: str = ""
    resolution: Resolution | None = None
    mutable_tags: tuple[MutableTag, ...] = ()
    codes: tuple[str, ...] = ()  # of the refusals in ``why``


def _current(session: Session) -> _Found:
    """The release that runs. The newest are tried until the images of one are proven: then what runs can be named."""
    settings, ports = session.settings, session.ports
    try:
        tags = ports.git.tags()
        names = [t.name for t in release.releases(tags, settings.releases.tag)]
        if not names:
            return _Found(UNKNOWN, str(release.no_releases(tags, settings.releases.tag)))
    except RollbackError as error:
        return _Found(UNKNOWN, str(error))
    try:
        now = what_runs.look(operation.new_request(session, {}, dry_run=True), ports)
    except Exception as error:
        return _Found(UNKNOWN, _first_lines(redact(code_and_text(error)[1])))
    asked: dict[str, Answer] = {}
    first: _Found | None = None
    for name in names[:_TRIED]:
        found = _towards(session, name, now, asked)
        first = first or found
        if found.current.release != UNKNOWN.release:
            # mutable tags are judged beside what runs, and its own manifests name its workloads
            same = found.current.release in (name, MIXED)
            return found if same else _beside(found, _towards(session, found.current.release, now, asked))
        if not found.why:
            compared = ", ".join(names[: _TRIED + 1])
            why = f"what runs is, as a whole, none of the releases that were compared: {compared}."
            return found._replace(why=why, mutable_tags=())
        if REGISTRY_UNKNOWN in (code.partition(":")[0] for code in found.codes):
            break  # a registry that cannot tell about one release will not about the next
    assert first is not None
    return first._replace(why=_first_lines(first.why))


def _beside(found: _Found, own: _Found) -> _Found:
    if own.current == found.current or own.current.release == found.current.release:
        return own
    return found._replace(mutable_tags=())


def _towards(session: Session, name: str, now: Now, asked: dict[str, Answer]) -> _Found:
    """What runs, as a rollback to this release would find it. ``asked``: what the registry has said so far."""
    request, resolution = operation.new_request(session, {"to": name}, dry_run=True), None
    try:
        resolution, _ = resolving.resolve(request, session.ports, lambda: now)
        found = proving.prove(request, resolution, now.live, session.ports, asked)
    except Exception as error:
        known = resolution.current if resolution else UNKNOWN  # the ledger may tell although an image is gone
        text, codes = redact(code_and_text(error)[1]), codes_of(error)
        return _Found(known, text or "nothing was found", resolution, codes=codes)
    return _Found(found.current, "", resolution, found.mutable_tags)


def _first_lines(text: str) -> str:
    lines = text.splitlines()
    return lines[0] + (f" (and {len(lines) - 1} more like it)" if len(lines) > 1 else "")


def _workload(ref: ObjectRef, report: Report | None, views: Mapping[ObjectRef, View]) -> RunningWorkload:
    if report is None:
        return RunningWorkload(kind=ref.kind, name=ref.name, health="missing", message="It is not in the cluster.")
    view = views[ref]
    newest_pods = health.newest_pods(view)
    newest_names = {name_of(p) for p in newest_pods}
    older = [p for p in health.owned(view) if health.is_ready(p) and name_of(p) not in newest_names]
    images = tuple(
        RunningImage(
            container=ref.name, init=ref.init, image=str(c.get("image") or ""),
            digests=_digests(view, newest_pods, ref), older=_digests(view, older, ref),
        )
        for ref, c in named_containers(view.workload)
    )  # fmt: skip
    return RunningWorkload(
        kind=ref.kind, name=ref.name, health=str(report.health), ready=report.ready, desired=report.desired,
        message=report.message, images=images,
    )  # fmt: skip


def _digests(view: View, pods: Sequence[Mapping[str, Any]], container: ContainerRef) -> tuple[str, ...]:
    said = [s for p in pods for ref, s in container_statuses(view.workload, p) if ref == container]
    ids = [str(s.get("imageID") or "") for s in said]
    return tuple(dict.fromkeys(digest_of(i) or i for i in ids if i))
