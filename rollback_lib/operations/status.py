"""What runs now: the release, each workload's health and images, and how the last run ended."""

from __future__ import annotations

from rollback_lib import pipeline
from rollback_lib.collectors.rollout import Rollouts, Watched
from rollback_lib.core.current import UNKNOWN
from rollback_lib.core.journal import ending
from rollback_lib.core.resources import AWAITED, containers, template
from rollback_lib.core.run import Images, Request, Resolution
from rollback_lib.core.settings import seconds
from rollback_lib.core.state_text import LastRun, RunningWorkload, State
from rollback_lib.ports import Ports, RunStore


def look(run: RunStore, ports: Ports, last: RunStore | None) -> State:
    """The state. ``run`` is a scratch run to the newest release; ``last`` the newest real one, if there is one.

    Raises RefusedError where the cluster does not answer; a registry that does not only makes the release unknown.
    """
    request = run.get(Request)
    identity = ports.cluster.identity()
    found = pipeline.advance(run, ports, until="images")
    resolution, images = run.find(Resolution), run.find(Images)
    watched = (
        [Watched(o.kind, o.name, patched=False) for o in resolution.objects if o.kind in AWAITED] if resolution else []
    )
    verify = request.settings.verify
    rollouts = Rollouts(
        ports, watched, rollout_timeout=seconds(verify.rollout_timeout), crash_restarts=verify.crash_restarts
    )
    workloads = [
        RunningWorkload(
            report=report,
            images=tuple(
                (str(c.get("name")), str(c.get("image"))) for _, c in containers(template(rollouts.views[key].workload))
            ),
        )
        for key, report in sorted(rollouts.look().items())
    ]
    return State(
        application=request.application,
        environment=request.environment,
        cluster=identity,
        current=images.current if images else UNKNOWN,
        why=found.error.splitlines()[0] if found.error else "no release's registry tags are what runs",
        workloads=tuple(workloads),
        mutable_tags=images.mutable_tags if images else (),
        last_run=_last(last),
    )


def _last(run: RunStore | None) -> LastRun | None:
    request = run.find(Request) if run else None
    if run is None or request is None:
        return None
    how = ending(run.events())
    return LastRun(run=request.run, started=request.started, to=request.to, code=how.code, finished=how.finished)
