"""What runs now, for people: 80 columns, one workload a line."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rollback_lib.core.health import Report
from rollback_lib.core.plan import ClusterIdentity
from rollback_lib.core.redact import visible
from rollback_lib.core.run import MutableTag, ReleaseRef


class RunningWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload as it is. ``images``: (container, reference in the live template)."""

    report: Report
    images: tuple[tuple[str, str], ...] = ()


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run in this repository."""

    run: str
    started: str
    to: str
    code: int
    finished: bool


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What `rollback status` found. ``why``: why the current release is not known, where it is not."""

    application: str
    environment: str
    cluster: ClusterIdentity
    current: ReleaseRef
    why: str = ""
    workloads: tuple[RunningWorkload, ...] = ()
    mutable_tags: tuple[MutableTag, ...] = ()
    last_run: LastRun | None = None


def text(state: State) -> str:
    """The state as text."""
    lines = [
        f"{state.application} {state.environment}: {_current(state)}",
        f"  namespace {state.cluster.namespace} at {state.cluster.server}",
        "",
    ]
    width = max((len(w.report.name) for w in state.workloads), default=0)
    for workload in state.workloads:
        report = workload.report
        lines.append(f"{report.name:<{width}}  {report.ready}/{report.desired}  {report.health}")
        lines += [f"{'':<{width}}  {_short(image)}" for _, image in workload.images]
        if report.causes:
            lines.append(f"{'':<{width}}  {report.causes[0].text}")
    if not state.workloads:
        lines.append("No workload of this application runs here.")
    lines += ["", *_more(state)]
    return visible("\n".join(lines).rstrip()) + "\n"


def _current(state: State) -> str:
    if state.current.release != "unknown":
        return f"{state.current.release} runs ({state.current.chosen_by})"
    return "which release runs cannot be told" + (f": {state.why}" if state.why else "")


def _more(state: State) -> Sequence[str]:
    said = []
    if state.mutable_tags:
        names = sorted({m.reference.rsplit(":", 1)[-1] for m in state.mutable_tags})
        which = sorted({m.release for m in state.mutable_tags if m.release})
        told = f" ({', '.join(which)})" if which else ""
        said.append(
            f":{', :'.join(names)} in {len(state.mutable_tags)} repositories is another image than what runs{told}."
        )
    if state.last_run:
        last = state.last_run
        how = f"ended with {last.code}" if last.finished else "did not end"
        said.append(f"Last run: {last.run}, to {last.to}, {how}.")
    return said


def _short(image: str) -> str:
    name, at, digest = image.partition("@")
    return f"{name}@{digest[:19]}…" if at else name
