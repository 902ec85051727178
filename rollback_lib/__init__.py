"""Turn a team's written rollback plan for Kubernetes microservices into software that runs.

The public names are those of `rollback_lib.api`, loaded when they are first used: importing the package costs no more
than ``rollback --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"  # a literal: importlib.metadata would cost every command 76 ms

if TYPE_CHECKING:
    from rollback_lib.api import (
        Approval,
        Approve,
        BugError,
        CheckError,
        FailedError,
        History,
        InterruptedRunError,
        LockedError,
        NotApprovedError,
        Outcome,
        Plan,
        Progress,
        Refusal,
        RefusedError,
        Result,
        RollbackError,
        Shop,
        StaleError,
        Status,
        UnreachableError,
        UsageError,
        shop,
        yes,
    )

__all__ = [
    "Approval",
    "Approve",
    "BugError",
    "CheckError",
    "FailedError",
    "History",
    "InterruptedRunError",
    "LockedError",
    "NotApprovedError",
    "Outcome",
    "Plan",
    "Progress",
    "Refusal",
    "RefusedError",
    "Result",
    "RollbackError",
    "Shop",
    "StaleError",
    "Status",
    "UnreachableError",
    "UsageError",
    "__version__",
    "shop",
    "yes",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rollback_lib import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
