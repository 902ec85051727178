"""The stages in order, and the one loop that runs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from rollback_lib.collectors import run_record, traffic
from rollback_lib.core import errors
from rollback_lib.core.redact import redact
from rollback_lib.core.report.observation import Looked, how_it_stands, is_answered
from rollback_lib.core.run.journal import LOCK_RELEASED, Ending, Event, Mark, done_stages, ending, holds_lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.run.records import Request
from rollback_lib.pipeline.background import Background, NoProgress
from rollback_lib.pipeline.holding import Holding
from rollback_lib.pipeline.limits import limited
from rollback_lib.pipeline.notifications import Notifications
from rollback_lib.pipeline.run_copy import RunCopy, forget_old
from rollback_lib.pipeline.writer import JournalledWriter
from rollback_lib.ports import Ports, RunStore, Stage
from rollback_lib.stages import (
    apply,
    approve,
    detect,
    document,
    images,
    incident,
    isolate,
    preflight,
    reopen,
    resolve,
    retag,
    rewrite,
    verify,
)

STAGES: Final[tuple[Stage, ...]] = (
    detect, incident, resolve, images, rewrite, preflight, approve, isolate, apply, verify, reopen, document,
)  # fmt: skip
APART: Final[tuple[Stage, ...]] = (retag,)  # run by name alone, for what is no rollback
# These look for evidence beside the stages up to this one, which waits for them: evidence costs a run no time.
IN_BACKGROUND: Final[Mapping[str, str]] = {
    detect.ID: preflight.ID,
    incident.ID: next(s.ID for s in STAGES if s.WRITES),
}
_UNDER_LOCK: Final = (isolate.ID, apply.ID, verify.ID, reopen.ID)


def advance(run: RunStore, ports: Ports, *, until: str = "document", only: str | None = None) -> Ending:
    """Do what is left of the run, up to and with ``until``, or the one stage ``only``; say how it stands.

    ``plan``, ``run``, ``stage`` and ``resume`` are this call with other arguments. An error ends the stages, and
    `document` still runs when it is within ``until``. A run that holds the lock keeps it unless it ended well or has
    changed nothing. Raises only errors that came before a journal could be kept.
    """
    problem: Exception | None = None
    seen, is_seen = run.find(Looked), False
    began, telling = ports.clock.now(), Notifications(run, ports)
    holding, copy, beside = _holding(run, ports), RunCopy(run, ports), Background()
    try:
        for stage in STAGES if only is None else (*STAGES, *APART):
            if only is not None and only != stage.ID:
                continue
            if problem is not None and stage.ID != "document":
                continue
            if problem is not None and not is_seen:
                is_seen = _see_traffic(run, ports, seen, problem)
            if only is None and stage.ID in done_stages(run.events()) and stage.ID != "document":
                continue
            within = limited(run, ports, stage, began) if stage.ID in _UNDER_LOCK else ports
            began = began if stage.ID in _UNDER_LOCK else ports.clock.now()  # a person's approval takes its time
            write = JournalledWriter(run, within, stage, holding, copy)
            if only is None and stage.ID in IN_BACKGROUND:
                if _is_needed(stage.ID, until, run):
                    unseen = replace(ports, progress=NoProgress())
                    beside.begin(IN_BACKGROUND[stage.ID], partial(_enter, stage, run, unseen, write))
                continue
            try:
                if stage.ID == document.ID:
                    beside.end()
                _enter(stage, run, within, write, partial(beside.wait, stage.ID))
                if stage.ID in (reopen.ID, retag.ID):
                    write.all_is_done()
            except errors.LostError as error:
                _see_traffic(run, ports, seen, error)
                stands = run_record.stands(run)
                code = errors.EXIT_FAILED_OPEN if stands.touched else errors.EXIT_LOCKED
                return msgspec.structs.replace(stands, code=code, error=str(error), stage=stage.ID, locked=False)
            except Exception as error:
                if stage.ID != "document" and problem is None:
                    problem = error
                    if holding.is_mine and not ending(run.events()).touched:
                        _let_go_of_nothing(run, write)
            if holding.is_mine and stage.ID != document.ID and (stage.ID == apply.ID or problem is not None):
                copy.keep()
            telling.after(stage.ID)
            if until == stage.ID:
                break
        if problem is not None and not is_seen:
            _see_traffic(run, ports, seen, problem)
    finally:
        beside.end()
        if holding.is_mine and problem is not None:
            forget_old(ports.records, run.get(Request).application)
        holding.rest()
        telling.wait()
    return _ending(run, problem)


def stands(run: RunStore) -> Ending:
    """How the run stands by its journal and by what was seen. Enters no stage."""
    return run_record.stands(run)


def _see_traffic(run: RunStore, ports: Ports, before: Looked | None, problem: Exception) -> bool:
    """Where it ends without knowing how traffic is: ask the cluster, unless it is that which does not answer.

    ``before``: what another process saw. That holds while the run has the lock, since nobody else closes meanwhile.
    """
    now, events = run.find(Looked), run.events()
    known = holds_lock(events) or now != before
    if not (is_answered(events, now) and known) and not run.get(Request).offline:
        traffic.look(run, ports, reached=not isinstance(problem, errors.UnreachableError))
    return True


def _ending(run: RunStore, problem: Exception | None) -> Ending:
    """How the run stands; and by what ended it where the journal could not take that any more."""
    events, seen = run.events(), run.find(Looked)
    found = how_it_stands(events, seen)
    if problem is None or found.error:
        return found
    code, text = errors.code_and_text(problem)
    stage = next((e.stage for e in reversed(events) if e.stage != document.ID), "")
    lost = Event(seq=len(events), at="", mark=Mark.STAGE_FAILED, stage=stage, error=redact(text), code=code,
                 codes=errors.codes_of(problem))  # fmt: skip
    return how_it_stands([*events, lost], seen)


def _is_needed(beside: str, until: str, run: RunStore) -> bool:
    """Whether a stage that waits for this evidence is still to come: evidence after a change would be of the change."""
    order, needed_by = [s.ID for s in STAGES], IN_BACKGROUND[beside]
    return until in order[order.index(needed_by) :] and needed_by not in done_stages(run.events())


def _holding(run: RunStore, ports: Ports) -> Holding:
    request = run.get(Request)
    claim = Claim(
        holder=request.run, by=request.by, origin=request.origin, environment=request.environment,
        undoes=request.undo,
        since=ports.clock.now().isoformat(timespec="seconds"),
    )  # fmt: skip
    return Holding(ports, request.application, claim, take_over=request.take_over, instead_of=request.undo)


def _let_go_of_nothing(run: RunStore, write: JournalledWriter) -> None:
    """A run that stops before it has changed anything leaves neither lock nor copy."""
    try:
        write.let_go()
    except Exception as error:  # the first error is the one that is told
        with contextlib.suppress(errors.RefusedError):
            run.append(Mark.NOT_DONE, reopen.ID, key=LOCK_RELEASED, error=redact(str(error)))


def _enter(
    stage: Stage, run: RunStore, ports: Ports, write: JournalledWriter, first: Callable[[], None] | None = None
) -> None:
    run.append(Mark.STAGE_BEGIN, stage.ID)
    ports.progress.stage(stage.ID)
    try:
        if first:
            first()  # in here, so that what went wrong with it is this stage's failure
        if stage.ID in _UNDER_LOCK and holds_lock(run.events()):
            write.hold()  # of this run, and maybe of a process that is gone: it shows no life while we wait
        record = stage.run(run, ports, write)
        if record is not None:
            run.put(record)
    except errors.LostError:
        raise
    except Exception as error:
        code, text = errors.code_and_text(error)
        with contextlib.suppress(errors.RefusedError):  # the first error is the one that is told
            if code == errors.EXIT_BUG:
                _keep_traceback(run, error)
            run.append(Mark.STAGE_FAILED, stage.ID, error=redact(text), code=code, codes=errors.codes_of(error))
        raise
    run.append(Mark.STAGE_DONE, stage.ID)


def _keep_traceback(run: RunStore, error: BaseException) -> None:
    import traceback

    run.write("traceback.txt", redact("".join(traceback.format_exception(error))).encode())
