"""One tree of errors. The class says whether the cluster was changed; the message says what to do next.

Exit codes are the contract with Jenkins and people (README, "Exit codes"). Which of 4 and 5 a failure is, and whether
a refusal came before the first write, is decided from the journal (`core.run.journal.ending`), not by who raised it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

EXIT_DONE: Final = 0
EXIT_NO: Final = 1
EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 3
EXIT_FAILED_OPEN: Final = 4
EXIT_FAILED_CLOSED: Final = 5
EXIT_LOCKED: Final = 6
EXIT_NOT_APPROVED: Final = 7
EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong in a file or on the command line. ``line`` and ``column`` count from 1; 0 means the whole."""

    text: str
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""
    fix: str = ""

    @property
    def place(self) -> str:
        """The file, with line and column as far as they are known."""
        return ":".join(str(part) for part in (self.file, self.line, self.line and self.column) if part)

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.place, self.key, self.text) if part)
        return f"{said} ({self.fix})" if self.fix else said


class Refusal(msgspec.Struct, frozen=True):
    """Why a rollback will not go ahead.

    ``code`` is what ``--accept`` takes to go on all the same (design: ``registry-unknown``, ``skip:KIND/NAME`` …);
    empty where nothing makes it acceptable. ``tried``: what was looked at in vain, told last.

    ``reason`` (`core.reasons.Reason`), ``subject`` (an object, a release, a place in a file) and ``facts`` (what was
    seen, never a secret) are the refusal as values; the rest of it is words, which nothing goes by. Empty in records of
    before, and where what is refused stands in no plan.
    """

    text: str
    code: str = ""
    fix: str = ""
    tried: str = ""
    reason: str = ""
    subject: str = ""
    facts: tuple[str, ...] = ()

    @property
    def decision(self) -> tuple[str, str, str, tuple[str, ...]]:
        """What makes it this refusal and no other, for a plan's hash: no word of ours."""
        return self.reason, self.code, self.subject, self.facts

    def __str__(self) -> str:
        accept = f"[--accept {self.code}]" if self.code else ""
        tried = f"Tried: {self.tried}." if self.tried else ""
        return " ".join(filter(None, (self.text, self.fix, accept, tried)))


class RollbackError(Exception):
    """Anything the product says on purpose. Never shown with a traceback."""

    exit_code: int = EXIT_BUG


class UsageError(RollbackError):
    """The command line, an environment variable or rollback.yaml is wrong. Nothing was read from a cluster."""

    exit_code = EXIT_USAGE

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class RefusedError(RollbackError):
    """Refused because of git, registry or cluster; raised only before a write, so nothing was changed."""

    exit_code = EXIT_REFUSED

    def __init__(self, *refusals: Refusal | str) -> None:
        self.refusals = tuple(Refusal(r) if isinstance(r, str) else r for r in refusals)
        super().__init__("\n".join(str(r) for r in self.refusals))


class CheckError(RollbackError):
    """A check ran and the answer is no. After changes that is 4 or 5; the journal decides."""

    exit_code = EXIT_NO


class FailedError(RollbackError):
    """Something went wrong after changes began."""

    exit_code = EXIT_FAILED_OPEN


class LockedError(RollbackError):
    """Somebody else holds the lock, or has taken it from us."""

    exit_code = EXIT_LOCKED


class LostError(LockedError):
    """Another process goes on with this run; it is the one that tells how the run ends."""


class ForbiddenError(RefusedError):
    """The cluster answers, and does not let us."""


class UnreachableError(RefusedError):
    """The cluster does not answer at all, which may pass."""


class AwayError(RefusedError):
    """Jenkins does not answer at all, which may pass: every restart takes minutes."""


class NotApprovedError(RollbackError):
    """Denied, expired, or not for this plan."""

    exit_code = EXIT_NOT_APPROVED


class StaleError(NotApprovedError):
    """The cluster is no longer what the plan was made for."""


class InterruptedRunError(RollbackError):
    """A person or Jenkins asked us to stop."""

    exit_code = EXIT_INTERRUPTED


class BugError(RollbackError):
    """A rule of our own was broken: never the user's fault."""

    exit_code = EXIT_BUG


_OF_CODE: Final[Mapping[int, type[RollbackError]]] = {
    EXIT_NO: CheckError,
    EXIT_USAGE: UsageError,
    EXIT_REFUSED: RefusedError,
    EXIT_FAILED_OPEN: FailedError,
    EXIT_FAILED_CLOSED: FailedError,
    EXIT_LOCKED: LockedError,
    EXIT_NOT_APPROVED: NotApprovedError,
    EXIT_INTERRUPTED: InterruptedRunError,
}


def of_code(code: int, text: str) -> RollbackError:
    """The error for how a run ended, where only its journal is left of it."""
    return _OF_CODE.get(code, BugError)(text)


def code_and_text(error: Exception) -> tuple[int, str]:
    """(exit code, what is said) of what ended something; of a bug its class, too."""
    if isinstance(error, RollbackError):
        return error.exit_code, str(error)
    return EXIT_BUG, f"{type(error).__name__}: {error}"


def codes_of(error: Exception) -> tuple[str, ...]:
    """The codes of the refusals that ended something, for ``--accept``; none where nothing makes it acceptable."""
    return tuple(r.code for r in error.refusals if r.code) if isinstance(error, RefusedError) else ()
