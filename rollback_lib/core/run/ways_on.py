"""What can be done with a run that did not end well: one table, for last lines, Jenkins's page and its ACTION. Pure."""

from __future__ import annotations

import enum

from rollback_lib.core.errors import EXIT_DONE, EXIT_LOCKED, EXIT_NO
from rollback_lib.core.run.journal import CLOSED, Ending


class Way(enum.StrEnum):
    """One way on, by its word for ACTION."""

    ROLL_BACK = "roll back"
    RESUME = "resume"
    UNDO = "undo"
    REOPEN = "reopen traffic"
    FREE = "free the lock"


def of_its_own(*, undoes: bool) -> tuple[Way, ...]:
    """Of a run that has the lock, or died with it. ``undoes``: it undoes another one, and is only finished."""
    return (Way.RESUME,) if undoes else (Way.RESUME, Way.UNDO)


def ways_on(stands: Ending, *, undoes: bool = False) -> tuple[Way, ...]:
    """The likeliest first; none where nothing is left to do but to mend what was wrong, or no ACTION does it (tags that
    were not moved)."""
    if stands.locked:
        return of_its_own(undoes=undoes)
    if stands.code in (EXIT_DONE, EXIT_NO) or stands.stage in ("reopen", "retag"):
        return ()
    first = (Way.REOPEN,) if stands.traffic == CLOSED else ()
    if stands.touched:
        return (*first, Way.ROLL_BACK) if undoes else (*first, Way.ROLL_BACK, Way.UNDO)
    return (*first, Way.FREE) if stands.code == EXIT_LOCKED else first
