"""An automatic rollback: its deploy is verified, the loop guard asked, its outcome kept in the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rollback_lib.collectors import upstream as collector
from rollback_lib.core import errors
from rollback_lib.core.errors import RefusedError, UsageError
from rollback_lib.core.jenkins import loop_guard, upstream
from rollback_lib.core.jenkins.loop_guard import Attempt, History
from rollback_lib.core.jenkins.upstream import Upstream
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.redact import redact
from rollback_lib.core.run.journal import Mark, ending
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.ports import Jenkins, Ports, RunStore

STAGE: Final = "admit"  # in the journal: no stage of the plan, and it ends a run all the same
_KEY: Final = "history"
_TRIES: Final = 5


def admit(run: RunStore, ports: Ports, server: Callable[[], Jenkins], own_job: str) -> str:
    """Let a run that a failed deploy asked for go on, once; what is said of it. Raises RefusedError, and journals it.

    A run that a person started is none of its business. A dry run is verified, and not counted.
    """
    request = run.get(Request)
    if not request.upstream_job:
        return "Started by a person: nothing to verify."
    run.append(Mark.STAGE_BEGIN, STAGE)
    try:
        told = _admitted(run, request, ports, server(), own_job)
    except errors.RollbackError as error:
        run.append(Mark.STAGE_FAILED, STAGE, error=redact(str(error)), code=error.exit_code)
        raise
    run.append(Mark.STAGE_DONE, STAGE)
    where = f" in {', '.join(told.failed_stages)}" if told.failed_stages else ""
    return f"{told.job} {told.build} failed{where} after it began to change the cluster: {told.url}"


def settle(run: RunStore, ports: Ports) -> str:
    """Keep how the run ended, for the next one that asks."""
    request = run.get(Request)
    if request.dry_run:
        return "Only looked: nothing to keep."
    how = ending(run.events())
    name = _name(request)
    for _ in range(_TRIES):
        record = ports.records.get("ConfigMap", name)
        if record is None:
            return "No automatic rollback is known here."
        before = _history(record)
        after = loop_guard.settled(before, request.run, how, automatic=bool(request.upstream_job))
        if after == before or ports.records.put(_with(record, after)) is not None:
            return "Kept."
    raise RefusedError(f"ConfigMap {name} was changed by others {_TRIES} times in a row; run it again.")


def _admitted(run: RunStore, request: Request, ports: Ports, server: Jenkins, own_job: str) -> Upstream:
    if not (request.upstream_build and request.request_id):
        raise UsageError("UPSTREAM_JOB needs UPSTREAM_BUILD and REQUEST_ID beside it")
    plan, rules = run.get(Plan), request.settings.automatic
    job, number = request.upstream_job, int(request.upstream_build)
    build = server.build(job, number)
    if build is None:
        raise RefusedError(f"Jenkins has no build {number} of {job}, or we may not see it.")
    told = collector.told(server, job, build)
    run.write(upstream.FILE, msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    against = upstream.refusals(
        told, running=build.running, jobs=rules.jobs, application=request.application, environment=request.environment
    )
    if against:
        raise RefusedError(*against)
    asked = Attempt(
        request_id=request.request_id, run=request.run, at=ports.clock.now().isoformat(timespec="seconds"), job=job,
        build=number, left=plan.current.release, target=plan.target.release,
    )  # fmt: skip
    _claim(request, ports, asked, upstream.is_rollback(build, own_job))
    return told


def _claim(request: Request, ports: Ports, asked: Attempt, upstream_is_rollback: bool) -> None:
    rules, name = request.settings.automatic, _name(request)
    for _ in range(_TRIES):
        record = ports.records.get("ConfigMap", name) or _new(request, name)
        history = _history(record)
        if any(a.run == asked.run for a in history.attempts):
            return  # this run itself, entered again
        against = loop_guard.refusals(
            history.attempts, asked, upstream_is_rollback=upstream_is_rollback, limit=rules.limit,
            window=seconds(rules.window),
        )  # fmt: skip
        if against:
            raise RefusedError(*against)
        if request.dry_run or ports.records.put(_with(record, loop_guard.with_attempt(history, asked))) is not None:
            return
    raise RefusedError(f"ConfigMap {name} was changed by others {_TRIES} times in a row; run it again.")


def _name(request: Request) -> str:
    return f"rollback-automatic-{request.application}-{request.environment}"


def _new(request: Request, name: str) -> Object:
    labels = {"rollback-lib/application": request.application}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def _history(record: Object) -> History:
    text = (record.get("data") or {}).get(_KEY, "")
    if not text:
        return History()
    try:
        return msgspec.json.decode(text, type=History)
    except (msgspec.DecodeError, msgspec.ValidationError):
        name = record["metadata"]["name"]
        raise RefusedError(f"ConfigMap {name} does not read, so no automatic rollback is let through.") from None


def _with(record: Object, history: History) -> Object:
    return {**record, "data": {**(record.get("data") or {}), _KEY: msgspec.json.encode(history).decode()}}
