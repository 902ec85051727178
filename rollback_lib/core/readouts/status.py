"""What runs now, as `rollback status` tells it: the values and their text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from rollback_lib.core import errors
from rollback_lib.core.evidence.smoke import NOT_ASKED
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.redact import redact
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.releases.matching import MIXED
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run import ways
from rollback_lib.core.run.journal import UNKNOWN, Ending
from rollback_lib.core.run.records import CheckResult, Request, WorkloadState
from rollback_lib.core.run.ways import Way
from rollback_lib.core.wording import wrapped

_DIGITS: Final = 12  # of a digest, for people; `--output json` has it whole
_ENDINGS: Final = {
    errors.EXIT_DONE: "done",
    errors.EXIT_NO: "a check said no",
    errors.EXIT_USAGE: "the request was wrong",
    errors.EXIT_REFUSED: "refused",
    errors.EXIT_FAILED_OPEN: "FAILED",
    errors.EXIT_FAILED_CLOSED: "FAILED, with traffic closed",
    errors.EXIT_LOCKED: "not begun, another run had the lock",
    errors.EXIT_NOT_APPROVED: "not approved",
    errors.EXIT_BUG: "a bug of rollback",
    errors.EXIT_INTERRUPTED: "interrupted",
}


class RunningImage(msgspec.Struct, frozen=True, kw_only=True):
    """One container. ``image``: as the live template names it; ``digests``: what the newest pods run.

    ``older``: what Ready pods of older revisions run, which still serve while the newest do not come up.
    """

    container: str
    init: bool = False
    volume: bool = False
    image: str
    digests: tuple[str, ...] = ()
    older: tuple[str, ...] = ()


class RunningWorkload(WorkloadState, frozen=True, kw_only=True):
    """One workload. Its health may be ``missing``, too: the release has it and the cluster has not."""

    images: tuple[RunningImage, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)

    @property
    def is_well(self) -> bool:
        return self.health == "healthy" and self.desired > 0

    @property
    def is_off(self) -> bool:
        """At 0 replicas: nothing of it is proven."""
        return self.health == "unproven" and not self.desired


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """The last run that was more than a look, on this machine."""

    run: str
    started: str
    by: str
    to: str
    code: int
    finished: bool
    changed: int
    unclear: int = 0
    traffic: str = UNKNOWN


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What runs. ``why_unknown`` says why ``current`` is unknown; ``others`` are workloads outside the manifests."""

    application: str
    environment: str
    cluster: ClusterIdentity
    current: ReleaseRef
    why_unknown: str = ""
    workloads: tuple[RunningWorkload, ...] = ()
    others: tuple[str, ...] = ()
    mutable_tags: tuple[MutableTag, ...] = ()
    last_run: LastRun | None = None
    traffic: str = UNKNOWN  # open | closed | unknown, as the cluster says
    traffic_why: str = ""  # why it is not known
    closed: tuple[str, ...] = ()  # what is closed, since when and by which run
    smoke: tuple[CheckResult, ...] = ()  # one try each; ``kind`` not-asked says nothing of the service
    lock: str = ""  # who holds it, in words; empty: it is free
    next: tuple[Way, ...] = ()  # the commands that end what a run or a deploy has left, the first one first


def last_run(request: Request, ending: Ending) -> LastRun:
    """What a run's request and journal say of it."""
    return LastRun(
        run=request.run, started=request.started, by=request.by, to=request.to, code=ending.code,
        finished=ending.finished, changed=len(ending.changed), unclear=len(ending.unclear), traffic=ending.traffic,
    )  # fmt: skip


def text(status: Status) -> str:
    """For a terminal of 80 columns: what runs, then what is not well, then the rest."""
    return redact("\n".join(_lines(status))) + "\n"


def _lines(status: Status) -> Iterator[str]:
    well = sum(w.is_well for w in status.workloads)
    known = bool(status.current.commit)
    mixed = status.current.release == MIXED
    what = status.current.release if known or mixed else "release unknown"
    off = [f"{w.kind}/{w.name}" for w in status.workloads if w.is_off]
    ready = f"{well} of {len(status.workloads)} workloads ready" + (f", {len(off)} at 0 replicas" if off else "")
    yield f"{status.application} {status.environment}: {what}, {ready}"
    if known:
        yield f"  commit    {status.current.commit[:12]} of {status.current.date or 'unknown date'}"
    elif mixed:
        yield from wrapped(status.current.chosen_by, "  services  ")
    else:
        yield from wrapped(status.why_unknown, "  unknown   ")
    yield f"  cluster   {status.cluster.context or '(the pod itself)'}  {status.cluster.server}"
    yield f"            namespace {status.cluster.namespace} ({status.cluster.namespace_uid})"
    for said in status.closed:
        yield from wrapped(f"CLOSED: {said}. `rollback reopen -e {status.environment}` opens it.", "  traffic   ")
    if status.traffic == UNKNOWN and status.traffic_why:
        yield from wrapped(f"not known: {status.traffic_why}", "  traffic   ")
    yield from wrapped(_last(status.last_run), "  last run  ")
    if status.lock:
        yield from wrapped(f"LOCKED by {status.lock}", "  lock      ")
    if status.next:
        yield from wrapped(f"{ways.text(status.next)}.", "  next      ")
    yield ""
    for workload in sorted(status.workloads, key=lambda w: w.is_well or w.is_off):
        yield from _workload(workload)
    yield from _smoke(status.smoke)
    if not status.workloads:
        yield "No workload of the application runs here."
    if status.others:
        yield ""
        yield from wrapped(f"Not in the release's manifests: {', '.join(status.others)}", "  · ")
    if status.mutable_tags:
        yield ""
        yield from wrapped(moved(status.mutable_tags), "  ! ")


def _smoke(tests: Sequence[CheckResult]) -> Iterator[str]:
    """What fails, and what was not asked; a test that is as expected needs no line."""
    for test in tests:
        if test.kind == NOT_ASKED or not test.good:
            yield from wrapped(test.text, "?    smoke  " if test.kind == NOT_ASKED else "FAIL smoke  ", " " * 12)


def _last(run: LastRun | None) -> str:
    return told(run) if run else "none on this machine"


def told(run: LastRun) -> str:
    """A run in one line."""
    try:
        when = f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        when = run.started or "unknown time"
    said = _ENDINGS.get(run.code, str(run.code)) if run.finished or run.code else "did NOT finish"
    objects = "object" if run.changed == 1 else "objects"
    unclear = f", {run.unclear} unclear" if run.unclear else ""
    return f"to {run.to}, {when}, by {run.by or 'unknown'}: {said} ({run.changed} {objects} changed{unclear}) {run.run}"


def _workload(workload: RunningWorkload) -> Iterator[str]:
    word = {"healthy": "ok", "progressing": "wait", "failed": "FAIL", "missing": "GONE"}.get(workload.health, "?")
    if workload.is_off:
        word = "off"
    yield f"{word:<4} {f'{workload.ready}/{workload.desired}':>5}  {workload.ref}"
    many = len(workload.images) > 1
    for image in workload.images:
        name = f"{'init ' if image.init else 'volume ' if image.volume else ''}{image.container}: " if many else ""
        if image.volume and not image.digests:
            yield from wrapped(f"{name}{_shorter(image.image)}; no pod says which image it holds", " " * 12)
            continue
        yield from wrapped(f"{name}{_shorter(image.image)} runs {_short(image.digests)}", " " * 12)
        if image.older and image.older != image.digests:
            yield from wrapped(f"{name}older pods that are Ready run {_short(image.older)}", " " * 12)
    if workload.message and workload.health not in ("healthy", "unproven"):
        yield from wrapped(workload.message, " " * 12)


def _short(digests: Sequence[str]) -> str:
    return " and ".join(d.rpartition(":")[2][:_DIGITS] for d in digests) or "nothing yet"


def _shorter(image: str) -> str:
    return re.sub(r"(@sha\d+:[0-9a-f]{12})[0-9a-f]+", r"\1…", image)


def moved(tags: Sequence[MutableTag]) -> str:
    """Which mutable tags name another image than the one that runs, and what comes of that."""
    names = ", ".join(sorted({":" + m.reference.rsplit(":", 1)[-1] for m in tags}))
    where = tags[0].reference.rsplit(":", 1)[0] if len(tags) == 1 else f"{len(tags)} repositories"
    releases = sorted({m.release for m in tags})
    known = " or ".join(releases) if all(releases) else "another image than the one that runs"
    return f"{names} in {where} is {known}: the next ordinary deploy brings it."
