"""The stages in order, the one loop that runs them, and the journalled writer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from rollback_lib.collectors.asking import begin
from rollback_lib.core import errors
from rollback_lib.core.changes import Change, PointTag
from rollback_lib.core.image_reference import repository_of, tag_of
from rollback_lib.core.journal import Ending, Mark, done_stages, ending, result_of
from rollback_lib.core.redact import redact
from rollback_lib.core.resources import fingerprint
from rollback_lib.ports import Ports, RunStore, Stage, Writer
from rollback_lib.stages import (
    apply,
    approve,
    detect,
    document,
    images,
    incident,
    preflight,
    resolve,
    retag,
    rewrite,
    verify,
)

STAGES: Final[tuple[Stage, ...]] = (
    detect, incident, resolve, images, rewrite, preflight, approve, apply, verify, retag, document,
)  # fmt: skip
# Looking for evidence goes on beside the stages up to this one, which waits for it: evidence costs a run no time.
BESIDE: Final[Mapping[str, str]] = {
    detect.ID: preflight.ID,
    incident.ID: next(s.ID for s in STAGES if s.WRITES),
}


class JournalledWriter:
    """Announce, act, confirm. What the journal calls done is not done again. Safe to call from several threads."""

    def __init__(self, run: RunStore, ports: Ports, stage: Stage) -> None:
        self._run, self._ports, self._stage = run, ports, stage
        self._lock = threading.Lock()

    def do(self, change: Change) -> Mapping[str, str]:
        """Make the change once. Raises StaleError or FailedError; BugError when the stage may not write."""
        stage = self._stage.ID
        if not self._stage.WRITES:
            raise errors.BugError(f"stage {stage} may not write, and asked for {change.key}")
        with self._lock:
            known = result_of(self._run.events(), change.key)
            if known is not None:
                return known
            self._ports.clock.check()
            self._run.append(
                Mark.ANNOUNCED, stage, key=change.key, before=change.before, after=change.after, what=change.what
            )
        try:
            result = self._act(change)
        except (errors.StaleError, errors.RefusedError) as error:  # read back: the server took nothing
            self._run.append(
                Mark.NOT_DONE, stage, key=change.key, what=change.what, error=redact(str(error)), code=error.exit_code
            )
            raise
        self._run.append(Mark.DONE, stage, key=change.key, what=change.what, result=result)
        return result

    def _act(self, change: Change) -> Mapping[str, str]:
        if isinstance(change, PointTag):
            repository, tag = repository_of(change.name), tag_of(change.name)
            self._ports.tags.put_tag(repository, change.after, tag, was=change.before)
            return {"fingerprint": change.after}
        now = self._ports.acts.act(change, self._run)
        result = {"uid": str((now or {}).get("metadata", {}).get("uid", "")), "fingerprint": fingerprint(now)}
        if change.after and result["fingerprint"] != change.after:
            raise errors.FailedError(
                f"{change.kind}/{change.name} was written, but is not what the plan says: another program changes it "
                f"as it is stored. See `kubectl get {change.kind.lower()} {change.name} -o yaml`."
            )
        return result


def advance(run: RunStore, ports: Ports, *, until: str = "document", only: str | None = None) -> Ending:
    """Do what is left of the run, up to and with ``until``, or the one stage ``only``; say how it stands.

    ``plan``, ``run`` and ``stage`` are this call with other arguments. An error ends the stages, and `document` still
    runs when it is within ``until``. Raises only errors that came before a journal could be kept.
    """
    problem: BaseException | None = None
    beside = _Beside(run, ports)
    for stage in STAGES:
        if only is not None and only != stage.ID:
            continue
        if problem is not None and stage.ID != "document":
            continue
        if only is None and stage.ID in done_stages(run.events()) and stage.ID != "document":
            continue
        if only is None and stage.ID in BESIDE:
            if _reaches(until, BESIDE[stage.ID]):
                beside.begin(stage)
            continue
        try:
            beside.wait(stage.ID)
            _enter(stage, run, ports, JournalledWriter(run, ports, stage))
        except Exception as error:
            if stage.ID != "document" and problem is None:
                problem = error
        if until == stage.ID:
            break
    beside.wait("")
    return ending(run.events())


def _reaches(until: str, stage: str) -> bool:
    order = [s.ID for s in STAGES]
    return until in order and order.index(until) >= order.index(stage)


class _Beside:
    """Stages that only look, in their order, in a thread of their own. Each has its own deadline."""

    def __init__(self, run: RunStore, ports: Ports) -> None:
        self._run, self._ports = run, replace(ports, progress=_Unseen())
        self._begun: dict[str, Future[None]] = {}

    def begin(self, stage: Stage) -> None:
        before = list(self._begun.values())

        def enter() -> None:
            for earlier in before:
                earlier.exception()
            _enter(stage, self._run, self._ports, JournalledWriter(self._run, self._ports, stage))

        self._begun[stage.ID] = begin(enter)

    def wait(self, stage: str) -> None:
        """Until what ``stage`` needs is there; raises what went wrong. All of it at the end and before `document`."""
        for name in list(self._begun):
            if stage == BESIDE[name]:
                self._begun.pop(name).result()
            elif stage in (document.ID, ""):
                self._begun.pop(name).exception()


class _Unseen:
    """What goes on beside is told when it is over."""

    def stage(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...

    def waiting(self, text: str) -> None: ...


def _enter(stage: Stage, run: RunStore, ports: Ports, write: Writer) -> None:
    run.append(Mark.STAGE_BEGIN, stage.ID)
    ports.progress.stage(stage.ID)
    try:
        record = stage.run(run, ports, write)
        if record is not None:
            run.put(record)
    except Exception as error:
        code = error.exit_code if isinstance(error, errors.RollbackError) else errors.EXIT_BUG
        text = str(error) if isinstance(error, errors.RollbackError) else f"{type(error).__name__}: {error}"
        if code == errors.EXIT_BUG:
            _keep_traceback(run, error)
        run.append(Mark.STAGE_FAILED, stage.ID, error=redact(text), code=code)
        raise
    run.append(Mark.STAGE_DONE, stage.ID)


def _keep_traceback(run: RunStore, error: BaseException) -> None:
    import traceback

    run.write("traceback.txt", redact("".join(traceback.format_exception(error))).encode())
