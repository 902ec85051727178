"""The journal of a run, and what it says of the run's end. Pure: events in, an ending out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core import errors

TAGS: Final = "retag/"  # how the keys of changes to registry tags begin; the reference follows


class Mark(enum.StrEnum):
    """What happened. A change is announced before it is tried, then done, or not done (the server took nothing)."""

    STAGE_BEGIN = "stage-begin"
    STAGE_DONE = "stage-done"
    STAGE_FAILED = "stage-failed"
    ANNOUNCED = "announced"
    DONE = "done"
    NOT_DONE = "not-done"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of ``journal.jsonl``. ``at`` is RFC 3339; ``before`` and ``after`` are fingerprints, never values."""

    seq: int
    at: str
    mark: Mark
    stage: str
    key: str = ""
    before: str = ""
    after: str = ""
    what: str = ""
    result: Mapping[str, str] = msgspec.field(default_factory=dict)
    error: str = ""
    code: int = 0


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands. ``changed`` has what was written, in words; ``unclear`` what was begun and never confirmed.

    ``moved_tags`` and ``unclear_tags`` are the registry tags among these; ``left_tags`` somebody else moved before us.
    """

    code: int
    traffic: str  # open | closed
    changed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    error: str = ""
    stage: str = ""  # where it failed
    finished: bool = False
    moved_tags: tuple[str, ...] = ()
    left_tags: tuple[str, ...] = ()
    unclear_tags: tuple[str, ...] = ()

    @property
    def other_tags(self) -> tuple[str, ...]:
        """The tags of which it is no longer known that they name the failed image."""
        return (*self.moved_tags, *self.left_tags, *self.unclear_tags)


def done_stages(events: Sequence[Event]) -> frozenset[str]:
    """The stages that have ended well."""
    return frozenset(e.stage for e in events if e.mark is Mark.STAGE_DONE)


def result_of(events: Sequence[Event], key: str) -> Mapping[str, str] | None:
    """What the change ``key`` returned when it was done, or None if it was not."""
    return next((e.result for e in events if e.mark is Mark.DONE and e.key == key), None)


def ending(events: Sequence[Event]) -> Ending:
    """The exit code, what was changed, traffic and the first error.

    A failure's own code holds only while nothing was written: after that it is 4, or 5 with traffic closed. A bug (70)
    stays a bug. `document` never changes the code.
    """
    changed = tuple({e.key: e.what for e in events if e.mark is Mark.DONE}.values())
    last = {e.key: e for e in events if e.mark in (Mark.ANNOUNCED, Mark.DONE, Mark.NOT_DONE)}
    unclear = tuple(e.what for e in last.values() if e.mark is Mark.ANNOUNCED)
    failed = _failure(events)
    code = errors.EXIT_DONE
    if failed is not None:
        code = failed.code
        if (changed or unclear) and code != errors.EXIT_BUG:
            code = errors.EXIT_FAILED_OPEN
    return Ending(
        code=code,
        traffic="open",
        changed=changed,
        unclear=unclear,
        error=failed.error if failed else "",
        stage=failed.stage if failed else "",
        finished="document" in done_stages(events),
        moved_tags=_tags(e for e in last.values() if e.mark is Mark.DONE),
        unclear_tags=_tags(e for e in last.values() if e.mark is Mark.ANNOUNCED),
        left_tags=_tags(e for e in last.values() if e.mark is Mark.NOT_DONE and e.code == errors.StaleError.exit_code),
    )


def _tags(events: Iterable[Event]) -> tuple[str, ...]:
    return tuple(e.key.removeprefix(TAGS) for e in events if e.key.startswith(TAGS))


def _failure(events: Sequence[Event]) -> Event | None:
    """How the earliest stage that did not end well, entered again or not, failed the last time."""
    states: dict[str, Event] = {}  # in the order in which the stages were first entered
    for event in events:
        if event.stage != "document" and event.mark in (Mark.STAGE_BEGIN, Mark.STAGE_DONE, Mark.STAGE_FAILED):
            if event.mark is Mark.STAGE_BEGIN:
                states.setdefault(event.stage, event)
            else:
                states[event.stage] = event
    return next((e for e in states.values() if e.mark is Mark.STAGE_FAILED), None)
