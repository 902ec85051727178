"""Proves what runs: rollouts healthy, the planned digests in the pods, the live template as planned, smoke tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.collectors import as_planned, proof
from rollback_lib.collectors.rollout import Rollouts, all_well, watched
from rollback_lib.core import health
from rollback_lib.core.errors import CheckError
from rollback_lib.core.health import Health, Report, View
from rollback_lib.core.images.ladder import same_image
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import image_ids, name_of
from rollback_lib.core.plan.model import CREATE, NONE, RESTART, UPDATE, Plan, PlannedContainer
from rollback_lib.core.redact import redact
from rollback_lib.core.run.records import CheckResult, Detection, Measure, Request, Verification, VerifiedWorkload
from rollback_lib.core.settings.model import Settings, seconds
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import reaching
from rollback_lib.writes import traffic

ID = "verify"
WRITES = False
_LOG_LINES: Final = 12


def run(run: RunStore, ports: Ports, write: Writer) -> Verification:
    request, plan = run.get(Request), run.get(Plan)
    rollouts = Rollouts(
        ports, watched(plan), rollout_timeout=seconds(request.settings.verify.rollout_timeout),
        crash_restarts=request.settings.verify.crash_restarts,
        aside=[ObjectRef.parse(sick) for sick in request.undo_sick],
    )  # fmt: skip
    reports = rollouts.until_over()
    decide = rollouts.waited_for(reports)
    problems = _missing(plan, reports)
    problems += [r.message for r in decide.values() if r.health is not Health.HEALTHY and r.desired]
    reached: list[CheckResult] = []
    as_before = [r.message for k, r in reports.items() if k not in decide and not all_well({k: r})]
    workloads = tuple(_verified(plan, key, r, rollouts.views[key], ports) for key, r in sorted(reports.items()))
    problems += [w.unproven for w in workloads if w.unproven and w.desired]
    if all_well(decide):
        live = as_planned.live(plan, ports)
        problems += as_planned.differing(run, plan, live)
        reached = reaching.look(run, ports, plan, live, rollouts.snapshot)
        (as_before if request.undo else problems).extend(c.text for c in reached if not c.good)
    checks = [*map(_rolled_out, workloads), *reached]
    if not problems:
        detection = run.find(Detection)
        before = detection.measures if detection is not None else ()
        checks += _proven(request.settings, plan, rollouts, reports, before, ports)
        # an undo goes back to what was rolled back from because it was sick: as before is all that is asked of it
        (as_before if request.undo else problems).extend(c.text for c in checks if not c.good)
    for said in traffic.opened_by_others(run, ports, plan, ID):
        ports.progress.say(f"  {said}")
    found = Verification(
        healthy=not (problems or as_before), as_before=tuple(dict.fromkeys(as_before)), workloads=workloads,
        smoke=tuple(c.text for c in checks if c.kind == "smoke"),
        checks=tuple(checks), problems=tuple(problems), at=ports.clock.now().isoformat(timespec="seconds"),
    )  # fmt: skip
    if problems:
        run.put(found)
        raise CheckError("\n".join(problems))
    return found


def _rolled_out(workload: VerifiedWorkload) -> CheckResult:
    text = workload.unproven or workload.message
    good = (workload.health == Health.HEALTHY and not workload.unproven) or not workload.desired
    return CheckResult(service=workload.service, kind="rollout", name=str(workload.ref), good=good, text=text)


def _proven(
    settings: Settings,
    plan: Plan,
    rollouts: Rollouts,
    reports: Mapping[ObjectRef, Report],
    before: Sequence[Measure],
    ports: Ports,
) -> list[CheckResult]:
    """Requests first: they are what users do. What needs time comes last, and only while all else is good."""

    def whose(service: str) -> list[ObjectRef]:
        return _workloads_of(plan, service)

    found = proof.requests(settings, whose, rollouts.views, ports)
    found += proof.log_signs(settings, rollouts.views, reports, ports)
    if all(c.good for c in found):
        found += proof.soak(settings, rollouts, whose, ports)
    return found + proof.metrics(settings, ports, before, binding=bool(settings.verify.soak))


def _missing(plan: Plan, reports: Mapping[ObjectRef, Report]) -> list[str]:
    return [
        f"{o.ref} is gone."
        for s in plan.services
        for o in s.objects
        if o.ref.type in AWAITED and o.change in (CREATE, UPDATE, RESTART, NONE) and o.ref not in reports
    ]


def _verified(plan: Plan, key: ObjectRef, report: Report, view: View, ports: Ports) -> VerifiedWorkload:
    service = next(s for s in plan.services if any(o.ref == key for o in s.objects))
    wanted = [c for c in service.containers if c.workload == str(key)]
    digests, unproven = _digests(wanted, view)
    logs: list[str] = []
    if report.health is Health.FAILED:
        for cause in report.causes[:3]:
            if cause.pod and cause.container:
                logs += _logs(ports, cause.pod, cause.container)
    return VerifiedWorkload(
        service=service.name, kind=report.kind, name=report.name, health=str(report.health),
        message="; ".join(filter(None, (report.message, *_silent_volumes(wanted, view)))),
        ready=report.ready, desired=report.desired, causes=tuple(c.name for c in report.causes), digests=digests,
        logs=tuple(logs), unproven=unproven if report.health is Health.HEALTHY else "",
    )  # fmt: skip


def _logs(ports: Ports, pod: str, container: str) -> list[str]:
    for previous in (True, False):
        text = ports.cluster.logs(pod, container, previous=previous, lines=_LOG_LINES).text
        if text and not text.startswith("unable to retrieve"):  # the kubelet's own words for a log that is gone
            # as one text: a key of many lines is none in any of them
            return [f"{pod}/{container}: {line}" for line in redact(text).splitlines()]
    return []


def _silent_volumes(wanted: Sequence[PlannedContainer], view: View) -> list[str]:
    """What no pod reports: most servers do not say which image a volume is."""
    said = {ref for pod in health.newest_pods(view) for ref, _ in image_ids(view.workload, pod)}
    return [f"no pod says which image volume {c.name} holds" for c in wanted if c.volume and c.ref not in said]


def _digests(wanted: Sequence[PlannedContainer], view: View) -> tuple[tuple[str, ...], str]:
    """(what the newest pods run, why that is not what was planned)."""
    seen: list[str] = []
    by_ref = {c.ref: c for c in wanted}
    for pod in health.newest_pods(view):
        for ref, image in image_ids(view.workload, pod):
            planned = by_ref.get(ref)
            seen.append(digest_of(image) or image)
            if planned and planned.digests and image and not same_image(planned.digests, image):
                return tuple(seen), (
                    f"{planned.workload}: pod {name_of(pod)} runs {digest_of(image) or image} in {ref.what} "
                    f"{planned.name}, and the plan says {planned.digest}."
                )
    return tuple(dict.fromkeys(seen)), ""


def _workloads_of(plan: Plan, service: str) -> list[ObjectRef]:
    return [o.ref for s in plan.services if s.name == service for o in s.objects if o.ref.type in AWAITED]
