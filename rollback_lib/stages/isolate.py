"""Takes the lock, and closes traffic if the plan says so. From here to `reopen` nobody else changes the application."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rollback_lib.collectors import ledger
from rollback_lib.collectors.outage import through
from rollback_lib.collectors.rollout import Rollouts, Watched, all_well
from rollback_lib.core.errors import (
    FailedError,
    RefusedError,
    RollbackError,
    StaleError,
    UnreachableError,
)
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object, fingerprint, kind_of, name_of, ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run import lock
from rollback_lib.core.run.changes import CreateObject, take_lock
from rollback_lib.core.run.journal import CLOSES, ending, traffic_key
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.settings.model import Isolation, seconds
from rollback_lib.core.traffic import isolation, maintenance, slots
from rollback_lib.core.traffic.isolation import Isolating
from rollback_lib.core.wording import some
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.writes import traffic

ID = "isolate"
WRITES = True
# A controller that sets a Service back does so every few seconds: for so long it is watched at least.
_WATCHED: Final = 3.0


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    plan = run.get(Plan)
    if run.get(Approval).hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if not plan.writes:
        return
    write.do(take_lock(lock.name(plan.application)))
    if not ending(run.events()).touched:
        _still_so(run.get(Request), plan, ports)
    if plan.closes:
        _close(run, ports, write, plan)


def _still_so(request: Request, plan: Plan, ports: Ports) -> None:
    """While a person thought, or the lock was waited for, another run may have done the same, or something else."""
    try:
        later = through(ports, lambda: list(ledger.later_runs(request, plan, ports.records)))
    except RefusedError:
        return  # we may not look: what it has changed is found object by object
    if later:
        raise StaleError(f"run {some(later)} wrote after this plan was made. Plan again.")


def _close(run: RunStore, ports: Ports, write: Writer, plan: Plan) -> None:
    request = run.get(Request)
    settings = request.target_environment.isolation
    kinds = [*isolation.kinds(settings), *(maintenance.KINDS if plan.isolation.ours else ())]
    versions = {t.kind: t.api_version for t in plan.isolation.targets}
    snapshot = through(ports, lambda: ports.cluster.snapshot(kinds, versions))
    found = isolation.decide(settings, snapshot, request.runs)
    if found.refusals:
        raise RefusedError(*found.refusals)
    if found.plan.decisions != plan.isolation.decisions:
        names = ", ".join(str(t.ref) for t in plan.isolation.targets)
        raise StaleError(f"{names}: what is to be closed changed since the plan was made. Plan again.")
    since = ports.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        if plan.isolation.ours:
            _page_ready(request, settings, found, snapshot, ports, write)
        for live in found.live:
            key = traffic_key(CLOSES, kind_of(live), name_of(live), run.events())
            write.do(isolation.closing_change(live, found.page, run=request.run, since=since, key=key))
        _drain(ports, plan, seconds(plan.isolation.drain))
    except RollbackError as error:
        gone = isinstance(error, UnreachableError) or isinstance(error.__cause__, UnreachableError)
        if gone or not isinstance(error, (FailedError, RefusedError, StaleError)):
            raise  # the cluster is gone, somebody stops us, or the lock is lost: nothing new is begun
        # nothing else has been changed, so nothing is gained by a shop that is half closed
        try:
            traffic.open_all(run, ports, write, plan)
        except RollbackError as another:
            ports.progress.say(f"  {another}")
        raise


def _page_ready(
    request: Request, settings: Isolation, found: Isolating, snapshot: Snapshot, ports: Ports, write: Writer
) -> None:
    """Our maintenance page, ready before traffic moves."""
    assert settings.maintenance is not None
    services = [o for o in found.live if kind_of(o) == "Service"]
    told = request.settings.announce
    made = maintenance.objects(
        request.run, request.application, settings.maintenance, services, service=settings.mode == "ingress",
        gce=any(isolation.is_gce(o) for o in found.live), announced=told.text if told else "",
    )  # fmt: skip
    for body in made:
        write.do(_creation(body, snapshot.get(ref_of(body))))
    verify = request.settings.verify
    rollouts = Rollouts(
        ports, [Watched(ObjectRef("Deployment", maintenance.name(request.run)))],
        rollout_timeout=seconds(verify.rollout_timeout), crash_restarts=verify.crash_restarts,
    )  # fmt: skip
    reports = rollouts.until_over("Waiting for the maintenance page")
    if not reports or not all_well(reports):
        why = "; ".join(r.message for r in reports.values()) or "it is gone"
        raise FailedError(f"the maintenance page does not come up, so traffic was not closed: {why}")


def _creation(body: Object, there: Object | None) -> CreateObject:
    """``there``: made already, by this run when it died; asked for again, it is confirmed."""
    kind, name = kind_of(body), name_of(body)
    return CreateObject(
        key=f"page/create/{kind.lower()}", kind=kind, name=name, api_version=str(body["apiVersion"]), before="",
        after=fingerprint(there), manifest=body,
    )  # fmt: skip


def _drain(ports: Ports, plan: Plan, patience: float) -> None:
    """Requests in flight get their time; meanwhile an isolation that somebody undoes is found."""
    until = ports.clock.now() + timedelta(seconds=max(patience, _WATCHED))
    while True:
        if undone := _undone(ports, plan):
            raise FailedError(f"{' '.join(undone)} Nothing of the shop was changed.")
        left = (until - ports.clock.now()).total_seconds()
        if left <= 0:
            return
        ports.progress.waiting(f"Traffic is closed; requests in flight end, {left:.0f} s")
        ports.clock.sleep(min(0.5, left))


def _undone(ports: Ports, plan: Plan) -> list[str]:
    targets = plan.isolation.targets
    snapshot = traffic.look(ports, targets)
    said = (slots.undone(snapshot.get(t.ref), t.ref) for t in targets)
    return [s for s in said if s]
