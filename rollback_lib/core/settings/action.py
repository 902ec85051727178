"""What a build of the job does: its parameter ACTION. Cheap to import, as `parameters` is."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Action(enum.StrEnum):
    """The first is the default; the last two change no workload, and are no run."""

    ROLL_BACK = "roll back"
    RESUME = "resume"
    UNDO = "undo"
    REOPEN = "reopen traffic"
    FREE = "free the lock"

    @property
    def is_run(self) -> bool:
        return self not in (Action.REOPEN, Action.FREE)


def asked(values: Mapping[str, object]) -> Action:
    """The action in options by their names (`parameters`)."""
    return Action(str(values.get("action") or Action.ROLL_BACK))
