"""The Python API: what ``import rollback_lib`` offers (docs/library.md). Everything else may change.

A program gets no signal handler, no print and no thought of the current folder: it gives variables and progress, and
gets values. Whatever the product says on purpose is a `RollbackError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollback_lib import session as sessions
from rollback_lib.core.errors import (
    BugError,
    CheckError,
    FailedError,
    InterruptedRunError,
    LockedError,
    NotApprovedError,
    Refusal,
    RefusedError,
    RollbackError,
    StaleError,
    UnreachableError,
    UsageError,
    of_code,
)
from rollback_lib.core.plan import model, text
from rollback_lib.core.plan.model import PlannedService
from rollback_lib.core.readouts.history import History
from rollback_lib.core.readouts.status import Status
from rollback_lib.core.releases.recording import Result
from rollback_lib.core.settings.parameters import LAST_GOOD
from rollback_lib.operations import history, record_release, resume, status, undo
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import Approved, Ports, Progress, Session

__all__ = (
    "Approval", "Approve", "BugError", "CheckError", "FailedError", "History", "InterruptedRunError", "LockedError",
    "NotApprovedError", "Outcome", "Plan", "Progress", "Refusal", "RefusedError", "Result", "RollbackError", "Shop",
    "StaleError", "Status", "UnreachableError", "UsageError", "shop", "yes",
)  # fmt: skip


@dataclass(frozen=True)
class Approval:
    """A person's yes. ``by`` is who said it, as the record names them."""

    by: str


@dataclass(frozen=True)
class Plan:
    """What a rollback would do. It holds while the cluster stays as it was: `Shop.run` refuses any other (7).

    ``environment`` and ``release`` say where and what to go back to; ``services`` what happens to each object;
    ``refusals`` what is against it, each with the code that accepts it, if one does; ``run_dir`` is where it lies.
    """

    hash: str
    environment: str
    release: str
    services: tuple[PlannedService, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    run_dir: str
    _record: model.Plan
    _asked: Mapping[str, Any]

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed at all."""
        return self._record.writes

    def text(self) -> str:
        """The plan as the command line shows it, 80 columns wide."""
        return text.text(self._record)


Approve = Callable[[Plan], Approval | None]


def yes(by: str) -> Approve:
    """Approve whatever is planned, as ``by``: for a program that has asked already."""
    return lambda plan: Approval(by)


class Shop:
    """One environment of one application. Made by `shop`; not for two threads at once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return self._session.environment

    def plan(
        self, to: str = LAST_GOOD, *, services: Sequence[str] = (), accept: Sequence[str] = (),
        isolate: bool | None = None, retag: bool = False,
    ) -> Plan:  # fmt: skip
        """What a rollback would do; changes nothing and tells nobody.

        ``to``: a release, or ``last-good``. ``services``: only these; empty: all. ``accept``: codes of refusals.
        ``isolate``: close traffic meanwhile; None: as the settings say. Raises RefusedError where git, registry or
        cluster do not let a plan be made; what is against a plan that could be made stands in its ``refusals``.
        """
        asked = {"to": to, "service": tuple(services), "accept": tuple(accept), "isolate": isolate, "retag": retag}
        run = self._session.runs.new(operation.new_request(self._session, asked, dry_run=True))
        outcome = operation.plan(run, self._session.ports)
        if outcome.plan is None:
            raise of_code(outcome.code, outcome.ending.error)
        return _plan(outcome.plan, run.place, asked)

    def run(self, plan: Plan, *, approve: Approve, reason: str = "") -> Outcome:
        """Roll back as planned, to the end: approve, apply, verify, write it down.

        ``approve`` is asked once, with the plan as it is then; None means no. How it ended stands in the outcome
        (`Outcome.code`, README "Exit codes"); another plan than ``plan`` is 7, and nothing was changed.
        """
        asked = {**plan._asked, "reason": reason, "plan_hash": plan.hash}
        run = self._session.runs.new(operation.new_request(self._session, asked))
        return operation.execute(run, self._ports(approve, asked))

    def resume(self, run: str = "", *, approve: Approve | None = None, take_over: bool = False) -> Outcome | None:
        """Finish a run that died or failed; None where there is none. Without a name the one that holds the lock.

        ``approve`` is asked only where nobody had approved yet. ``take_over``: from a process that shows no life.
        """
        found = resume.find(self._session, run)
        if found is None:
            return None
        resume.answered(found, yes=False, take_over=take_over)
        return resume.resume(found, self._ports(approve, {}), of=resume.undone_by(self._session, found))

    def undo(self, run: str, *, approve: Approve, reason: str = "") -> Outcome:
        """Go back to the state before a run, by a plan of its own that is approved on its own."""
        of, asked = undo.find(self._session, run), {"reason": reason}
        request = undo.request(operation.new_request(self._session, asked), of)
        return undo.undo(self._session.runs.new(request), of, self._ports(approve, asked))

    def verify(self, to: str = LAST_GOOD, *, services: Sequence[str] = ()) -> Outcome:
        """Whether a release runs, whole and healthy; changes nothing. Raises CheckError where another one runs."""
        asked = {"to": to, "service": tuple(services)}
        run = self._session.runs.trial(operation.new_request(self._session, asked, dry_run=True))
        outcome = operation.verify(run, self._session.ports)
        if outcome.code == CheckError.exit_code and outcome.verification is None:
            raise CheckError(outcome.ending.error)
        return outcome

    def status(self) -> Status:
        """What runs now. Raises RefusedError where the cluster cannot be reached."""
        return status.look(self._session)

    def history(self) -> History:
        """The releases: which ran well, which may not come back, and what going back to each means."""
        return history.look(self._session)

    def record(self, release: str, *, pin: bool = False, keep_tag: str = "") -> Result:
        """After a good deploy: prove that the release runs and is healthy, and keep what runs in the ledger.

        ``pin``: keep the record for good. ``keep_tag``: a pattern such as ``keep-{release}`` for registry tags that
        keep its images. Raises CheckError where it is sick, quarantined or not what runs; then nothing is recorded.
        """
        settings, environment = self._session.settings, self._session.environment
        asked = record_release.Options(settings, environment, release, pin=pin, keep_tag=keep_tag)
        return record_release.record(asked, self._session.ports)

    def _ports(self, approve: Approve | None, asked: Mapping[str, Any]) -> Ports:
        return replace(self._session.ports, approver=_Program(approve, asked))


@contextmanager
def shop(
    config: str | os.PathLike[str] = "rollback.yaml", *, environment: str = "",
    environ: Mapping[str, str] | None = None, progress: Progress | None = None,
) -> Iterator[Shop]:  # fmt: skip
    """The application that a settings file describes, until the block ends.

    ``environment`` may be left out when there is one. ``environ``: variables such as KUBECONFIG and the credentials;
    None: a copy of this process's. ``progress`` is told of stages and waits; None: nobody is. Raises UsageError where
    the file or the environment is wrong.
    """
    file = Path(config).absolute()
    place = sessions.Place(file.parent, dict(os.environ) if environ is None else environ, str(file))
    nobody = _Program(None, {})
    with sessions.begin(place, progress or _Silent(), nobody, environment=environment) as session:
        yield Shop(session)


def _plan(record: model.Plan, place: str, asked: Mapping[str, Any]) -> Plan:
    return Plan(
        hash=record.hash, environment=record.environment, release=record.target.release, services=record.services,
        refusals=record.refusals, warnings=record.warnings, run_dir=place, _record=record, _asked=asked,
    )  # fmt: skip


class _Program:
    """`Approver` of a program: there is no terminal, and only the plan is for it to approve."""

    def __init__(self, approve: Approve | None, asked: Mapping[str, Any]) -> None:
        self._approve, self._asked = approve, asked

    def ask(self, question: str) -> None:
        return None

    def approve(self, plan: model.Plan, question: str, place: str) -> Approved | None:
        if self._approve is None:
            return None
        given = self._approve(_plan(plan, place, self._asked))
        return Approved(given is not None, given.by if given else "", "program")


class _Silent:
    def stage(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...

    def waiting(self, text: str) -> None: ...
