"""plan, run and one stage: three ways into the same loop."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from rollback_lib.collectors import run_record, traffic
from rollback_lib.core.errors import EXIT_DONE, EXIT_NO, Problem, UsageError
from rollback_lib.core.plan import differences
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import LEFT, NONE, Has, Plan
from rollback_lib.core.redact import short
from rollback_lib.core.report.last_line import last_line
from rollback_lib.core.report.model import Report
from rollback_lib.core.run.journal import Ending, ending
from rollback_lib.core.run.records import Approval, Request, Verification
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.settings.parameters import REASON_LIMIT
from rollback_lib.core.wording import counted, some
from rollback_lib.operations import standing
from rollback_lib.pipeline import loop
from rollback_lib.ports import Ports, RunStore, Session

STAGES = tuple(stage.ID for stage in loop.STAGES)


class Outcome(NamedTuple):
    """How it ended. ``text`` is the last line that a person reads; ``store`` has everything else."""

    ending: Ending
    plan: Plan | None
    verification: Verification | None
    text: str
    store: RunStore

    @property
    def code(self) -> int:
        """The exit code (README, "Exit codes")."""
        return self.ending.code

    @property
    def last_line(self) -> str:
        """What was changed, and how traffic stands, in one line."""
        return self.text

    @property
    def run_dir(self) -> str:
        """Where the run keeps its files."""
        return self.store.place

    @property
    def report(self) -> Report:
        """The record of the run, as ``report/report.json`` has it."""
        return run_record.read(self.store)[0]


def request(
    values: Mapping[str, Any],
    settings: Settings,
    environment: str,
    *,
    run: str,
    by: str,
    origin: str,
    started: datetime,
    repository: str,
) -> Request:
    """The request of a new run, from the options as they were given. Raises UsageError where it cannot be meant."""
    isolation = settings.environments[environment].isolation
    given = values.get("isolate")
    if given and isolation.mode == "none":
        raise UsageError(
            Problem(
                f"nothing says what to close: environments.{environment}.isolation has mode 'none'", key="--isolate",
                fix="set it in rollback.yaml, such as: isolation: {mode: service, targets: [api-gateway]}",
            )
        )  # fmt: skip
    return Request(
        run=run, application=settings.application, environment=environment, to=str(values.get("to") or "last-good"),
        services=tuple(values.get("service") or ()), reason=short(str(values.get("reason") or ""), REASON_LIMIT),
        evidence=tuple(values.get("evidence") or ()), by=by, origin=origin,
        started=started.isoformat(timespec="milliseconds"), accept=tuple(values.get("accept") or ()),
        yes=bool(values.get("yes")), dry_run=bool(values.get("dry_run")), plan_hash=str(values.get("plan_hash") or ""),
        offline=bool(values.get("offline")), take_over=bool(values.get("take_over")),
        isolate=isolation.default if given is None else bool(given), retag=bool(values.get("retag")),
        repository=repository, settings=settings,
        upstream_job=str(values.get("upstream_job") or ""), upstream_build=str(values.get("upstream_build") or ""),
        request_id=str(values.get("request_id") or ""),
    )  # fmt: skip


def new_run_id(environment: str, now: datetime) -> str:
    """Sorts by time, and is legal in the name of a ConfigMap."""
    return f"{now:%Y%m%d-%H%M%S}-{environment}-{secrets.token_hex(2)}"


def new_request(session: Session, values: Mapping[str, Any], *, dry_run: bool = False) -> Request:
    """The request of a new run. Raises UsageError where it cannot be meant."""
    now = session.ports.clock.now()
    values = {**values, "dry_run": dry_run or values.get("dry_run")}
    return request(
        values, session.settings, session.environment, run=new_run_id(session.environment, now), by=session.by,
        origin=session.origin, started=now, repository=session.folder,
    )  # fmt: skip


def asked_again(run: RunStore, request: Request, *, own: bool = True) -> None:
    """Whether the run directory that was named is one to go on in. ``own``: it was made here (`Runs.is_own`).

    Raises UsageError where it holds a run that is over, or one that was asked for something else: its end would be told
    as if it were the answer. Nor does an approval count that somebody brought here.
    """
    there = run.get(Request)
    if there.run == request.run:
        return
    stands = ending(run.events())
    what = f"{run.place} holds run {there.run}, " + (
        f"the undo of run {there.undo}" if there.undo else f"to {there.to}"
    )
    if not own and run.find(Approval) is not None:
        fix = f"name a new folder, or be asked about it: rollback resume --run-dir {run.place}"
        raise UsageError(Problem(f"{what}, approved and not made here", key="--run-dir", fix=fix))
    if stands.finished and stands.code == EXIT_DONE and not stands.locked:
        raise UsageError(Problem(f"{what}, which is over", key="--run-dir", fix="name a new folder, or leave it out"))
    if (there.to, there.services, there.environment, there.undo, there.dry_run) != (
        request.to, request.services, request.environment, request.undo, request.dry_run,
    ):  # fmt: skip
        look = ", which only looks" if there.dry_run else ""
        fix = "name a new folder" + ("" if there.dry_run else f", or go on: rollback resume --run-dir {run.place}")
        raise UsageError(Problem(f"{what}{look}; this asks for something else", key="--run-dir", fix=fix))


def plan(run: RunStore, ports: Ports) -> Outcome:
    """Stages up to preflight: only looks."""
    return _outcome(run, ports, loop.advance(run, ports, until="preflight"))


def with_values(plan: Plan, ports: Ports) -> Plan:
    """The plan of this process with all values in its differences: for a terminal, and kept nowhere."""
    drafts: Sequence[Draft] = ports.once.of((Draft, plan.run), tuple)
    exact = {d.ref: differences.lines(d.live, d.after, exact=True) for d in drafts if d.after}
    replace = msgspec.structs.replace
    return replace(plan, services=tuple(
        replace(s, objects=tuple(replace(o, diff=exact.get(o.ref, ()) if o.diff else ()) for o in s.objects))
        for s in plan.services
    ))  # fmt: skip


def execute(run: RunStore, ports: Ports) -> Outcome:
    """All stages; with ``dry_run`` only those that look."""
    if run.get(Request).dry_run:
        return plan(run, ports)
    standing.entered_again(run, ports)
    return _outcome(run, ports, loop.advance(run, ports))


def one(run: RunStore, ports: Ports, stage: str) -> Outcome:
    """One stage, as Jenkins calls them. A dry run enters none that writes."""
    if run.get(Request).dry_run and stage in _AFTER_LOOKING:
        return _outcome(run, ports, loop.stands(run))
    if stage in _WITH_THE_LOCK:
        standing.entered_again(run, ports)
    return _outcome(run, ports, loop.advance(run, ports, only=stage))


def stands(run: RunStore, ports: Ports) -> Outcome:
    """How it stands; enters no stage."""
    return _outcome(run, ports, loop.stands(run))


_WITH_THE_LOCK: Sequence[str] = STAGES[STAGES.index("isolate") : STAGES.index("document")]
# All from the approval to the record; and nothing is saved of an incident that is only looked at.
_AFTER_LOOKING: Sequence[str] = ("incident", *STAGES[STAGES.index("approve") : STAGES.index("document")])


def verify(run: RunStore, ports: Ports) -> Outcome:
    """Whether the release runs, whole and healthy; changes nothing. Code 1 where it does not."""
    looked = loop.advance(run, ports, until="preflight")
    found = run.find(Plan)
    has = found.has if found else Has()
    if found is None or (looked.code != EXIT_DONE and not has.nothing_there):
        return _outcome(run, ports, looked)
    differs = [str(o.ref) for s in found.services for o in s.objects if o.change not in (NONE, LEFT)]
    said = []
    if has.gone:
        count = f"{len(has.gone)} of the {counted(len(has.all), 'workload', 'workloads')} of {found.target.release}"
        said.append(f"GONE, {count}: {some(has.gone, 6)}.")
    if differs:
        said.append(f"{counted(len(differs), 'object differs', 'objects differ')} ({some(differs, 6)}).")
    if said:
        text = f"{found.environment} does not run {found.target.release}: {' '.join(said)} `rollback plan` shows how."
        no = msgspec.structs.replace(looked, code=EXIT_NO, error=text, codes=(), stage="verify")
        return _outcome(run, ports, no)
    return _outcome(run, ports, loop.advance(run, ports, only="verify"))


def not_known(run: RunStore, ports: Ports, why: str) -> Outcome:
    """The answer of `verify` where it is asked about what runs, and that is no release which can be named."""
    traffic.look(run, ports)
    text = f"what runs is no release that we can name: {why}"
    return _outcome(run, ports, msgspec.structs.replace(loop.stands(run), code=EXIT_NO, error=text, stage="verify"))


def _outcome(run: RunStore, ports: Ports, ending: Ending) -> Outcome:
    found, verification = run.find(Plan), run.find(Verification)
    started = datetime.fromisoformat(run.get(Request).started)
    seconds = (ports.clock.now() - started).total_seconds()
    return Outcome(ending, found, verification, last_line(ending, found, verification, seconds), run)
