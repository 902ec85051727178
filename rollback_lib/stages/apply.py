"""kubectl, wave by wave. What only the failed release had goes last, once every wave is healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rollback_lib.collectors import as_planned
from rollback_lib.collectors.rollout import Rollouts, all_well, watched
from rollback_lib.core import health
from rollback_lib.core.errors import FailedError, RefusedError, StaleError
from rollback_lib.core.health import Report
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, WORKLOADS
from rollback_lib.core.kube.objects import fingerprint
from rollback_lib.core.plan import aftermath
from rollback_lib.core.plan.model import CREATE, DELETE, RESTART, UPDATE, Plan, PlannedObject, PlannedService
from rollback_lib.core.releases.ledger import AnyKept, Quarantine
from rollback_lib.core.releases.live import Live
from rollback_lib.core.run import changes
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.core.traffic import slots
from rollback_lib.core.wording import some
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.writes import left_behind, stuck_pods, traffic
from rollback_lib.writes.objects import all_at_once, deletion, put

ID = "apply"
WRITES = True


def run(run: RunStore, ports: Ports, write: Writer) -> None:
    request, plan = run.get(Request), run.get(Plan)
    approval = run.get(Approval)
    if approval.hash != plan.hash:
        raise StaleError("the approval is for another plan.")
    if not plan.writes:
        return
    as_planned.check(run, ports, plan)
    if opened := traffic.opened_by_others(run, ports, plan, ID):
        raise FailedError(
            f"{' '.join(opened)} The plan was to change the shop behind closed doors, so this stops here."
        )
    at = ports.clock.now().isoformat(timespec="milliseconds")
    of_ledger = not request.undo  # what an undo brings back proves nothing, for or against a release
    if of_ledger:
        remember(ports, write, aftermath.quarantine(request, plan, run.get(Live), at), "quarantine")
    _apply(run, ports, write, request, plan)
    if of_ledger:
        remember(ports, write, aftermath.last_run(request, plan, at), "last-run")


def remember(ports: Ports, write: Writer, record: AnyKept | None, key: str) -> None:
    """Keep a record of ours; where that is not possible it is said, and the rollback goes on."""
    if record is None:
        return
    said = f"quarantine of {record.release or 'what ran'}" if isinstance(record, Quarantine) else "where the run went"
    try:
        write.do(changes.keep(record, key, f"{said} kept in the ledger"))
    except RefusedError as error:
        ports.progress.say(f"  ! {said} could not be kept in the ledger: {error}")


def _apply(run: RunStore, ports: Ports, write: Writer, request: Request, plan: Plan) -> None:
    settings = request.settings
    rollouts = Rollouts(
        ports, watched(plan), rollout_timeout=seconds(settings.verify.rollout_timeout),
        crash_restarts=settings.verify.crash_restarts, aside=[ObjectRef.parse(sick) for sick in request.undo_sick],
    )  # fmt: skip
    waves = [w for w in plan.waves if any(_has_a_turn(plan, o) for s in w for o in s.objects)]
    for number, wave in enumerate(waves):
        objects = [o for s in wave for o in s.objects if o.change in (CREATE, UPDATE, RESTART) and not o.after_rollout]
        if objects:
            ports.progress.say(
                _wave_line(number, len(waves), [s for s in wave if any(o in objects for o in s.objects)])
            )
        for group in (
            [o for o in objects if o.ref.type not in WORKLOADS],
            [o for o in objects if o.ref.type in WORKLOADS],
        ):
            all_at_once([partial(put, run, ports, write, o) for o in group])
        stuck_pods.free(ports, write, plan, wave, rollouts)
        left_behind.take_away(ports, write, wave, rollouts)
        if waves[number + 1 :]:
            _before_next_wave(rollouts, waves[: number + 1], settings.services.order_wait)
    last = [o for s in plan.services for o in s.objects if o.after_rollout and o.change == UPDATE]
    orphans = [o for o in plan.orphans if o.change == DELETE]
    if last or orphans:
        reports = rollouts.until_over("Before what comes last")
        if not all_well(rollouts.waited_for(reports)):
            return  # verify says what is wrong; nothing is taken away in a run that failed
        for planned in last:
            put(run, ports, write, planned)
        live = ports.cluster.snapshot([o.kind for o in orphans]) if orphans else None
        for orphan in orphans:
            found = live.get(orphan.ref) if live else None
            if found is not None:
                as_planned = fingerprint(slots.as_open(found)) == orphan.before
                before = fingerprint(found) if as_planned else orphan.before
                write.do(deletion(orphan.ref, found, before))


def _has_a_turn(plan: Plan, planned: PlannedObject) -> bool:
    return planned.change in (CREATE, UPDATE, RESTART) or plan.sticks(planned)


def _wave_line(number: int, count: int, wave: Sequence[PlannedService]) -> str:
    said = some([s.name for s in wave])
    return f"  wave {number + 1} of {count}: {said}" if count > 1 else f"  {said}"


def _before_next_wave(rollouts: Rollouts, waves: Sequence[Sequence[PlannedService]], wait_for: str) -> None:
    """Every earlier service has a Ready pod, old or new; with ``order_wait: updated`` its rollout is done."""
    mine = {o.ref for w in waves for s in w for o in s.objects if o.ref.type in AWAITED}

    def enough(reports: Mapping[ObjectRef, Report]) -> bool:
        if wait_for == "updated":
            return all_well({k: r for k, r in reports.items() if k in mine})
        return all(health.ready_now(view) for key, view in rollouts.waited_for(rollouts.views).items() if key in mine)

    reports = rollouts.until(enough, "Before the next wave")
    reports = rollouts.waited_for(reports)
    if not enough(reports):
        failed = [r.message for k, r in reports.items() if k in mine and r.health is health.Health.FAILED]
        if failed:
            raise FailedError(failed[0])
