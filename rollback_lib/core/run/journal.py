"""The journal of a run, and what it says of the run's end. Pure: events in, an ending out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core import errors
from rollback_lib.core.kube.kinds import as_written
from rollback_lib.core.run.ways import Left

# The keys of the lock's changes: they are in the journal like all others, and change nothing of the shop's.
LOCK_TAKEN: Final = "lock/take"
LOCK_RELEASED: Final = "lock/release"
_LOCK: Final = (LOCK_TAKEN, LOCK_RELEASED)
RECORDS: Final = "record/"  # keys of changes that only write our own records: the application is as it was
TAGS: Final = "retag/"  # how the keys of changes to registry tags begin; the reference follows
# What is deleted and made again: how the keys of these changes go on after the object's own.
_GONE: Final = "/delete"
_MADE: Final = "/create"
_PUT_BACK: Final = "/put-back/"
APPLIES: Final = "apply/"  # how the keys of changes to an object of the plan begin; its kind and name follow
PAGES: Final = "page"  # how the keys of changes to our maintenance page begin; what is done and the kind follow
OPEN: Final = "open"
CLOSED: Final = "closed"
UNKNOWN: Final = "unknown"
# How the keys of changes to traffic begin; GONE: what was closed and is not there any more.
CLOSES: Final = "close"
OPENS: Final = "open"
GONE: Final = "gone"


class Mark(enum.StrEnum):
    """What happened. A change is announced before it is tried, then done, or not done (the server took nothing)."""

    STAGE_BEGIN = "stage-begin"
    STAGE_DONE = "stage-done"
    STAGE_FAILED = "stage-failed"
    ANNOUNCED = "announced"
    DONE = "done"
    NOT_DONE = "not-done"
    TOLD = "told"  # a notice arrived; ``what`` says which and where
    NOT_TOLD = "not-told"  # it did not, or nobody knows
    SEEN = "seen"  # found in the cluster, and no doing of this run


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
    change: str = ""  # which change it is (`core.run.changes`), and what it is about
    subject: str = ""
    result: Mapping[str, str] = msgspec.field(default_factory=dict)
    error: str = ""
    code: int = 0
    codes: tuple[str, ...] = ()  # of the refusals that ended a stage, as ``--accept`` takes them


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands. ``changed`` has what was written, in words; ``unclear`` what was begun and never confirmed.

    ``objects`` names the objects among what was written, each once and as ``kind/name`` in lower case.

    ``moved_tags`` and ``unclear_tags`` are the registry tags among these; ``left_tags`` somebody else moved before us.
    """

    code: int
    traffic: str = UNKNOWN  # open | closed | unknown; open only where it was seen (`core.report.observation`)
    closed_by: tuple[str, ...] = ()  # who else has closed it, and since when
    locked_by: str = ""  # who else held the lock when that was looked at, in words
    left: Left = Left.FREE  # how that one was left, and who it is
    holder: str = ""
    traffic_why: str = ""  # why it is not known, or what was not looked at
    changed: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    error: str = ""
    codes: tuple[str, ...] = ()  # of the refusals in ``error``
    stage: str = ""  # where it failed
    finished: bool = False
    locked: bool = False  # the run still holds the lock
    lock_lost: bool = False  # it was taken away from the run
    gone: tuple[str, ...] = ()  # closed by this run, and not there any more
    moved_tags: tuple[str, ...] = ()
    left_tags: tuple[str, ...] = ()
    unclear_tags: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # deleted to be made again, and not made again

    @property
    def touched(self) -> bool:
        """Whether anything was changed, or may have been."""
        return bool(self.changed or self.unclear)

    @property
    def other_tags(self) -> tuple[str, ...]:
        """The tags of which it is no longer known that they name the failed image."""
        return (*self.moved_tags, *self.left_tags, *self.unclear_tags)


def done_stages(events: Sequence[Event]) -> frozenset[str]:
    """The stages that have ended well. Closing is to be done again where what was closed was found open before the
    change that it was closed for had ended."""
    done = {e.stage for e in events if e.mark is Mark.STAGE_DONE}
    if "apply" not in done:
        closed = max((n for n, e in enumerate(events) if (e.mark, e.stage) == (Mark.STAGE_DONE, "isolate")), default=0)
        if any(e.mark is Mark.SEEN and e.key.startswith(f"{OPENS}/") for e in events[closed:]):
            done.discard("isolate")
    return frozenset(done)


def result_of(events: Sequence[Event], key: str) -> Mapping[str, str] | None:
    """What the change ``key`` returned when it was done, or None if it was not."""
    return next((e.result for e in events if e.mark is Mark.DONE and e.key == key), None)


def holds_lock(events: Sequence[Event]) -> bool:
    """Whether the run has the lock, or may have it: taken, or announced and not known to have failed."""
    taken = maybe = False
    for event in events:
        if event.key == LOCK_TAKEN:
            taken, maybe = taken or event.mark is Mark.DONE, event.mark is Mark.ANNOUNCED
        elif event.key == LOCK_RELEASED and event.mark in (Mark.DONE, Mark.SEEN):
            taken = maybe = False
    return taken or maybe


def lost_lock(events: Sequence[Event]) -> bool:
    """Whether the lock was found to have been taken away from the run, and it has not taken it again."""
    last = next((e for e in reversed(events) if e.key in _LOCK and e.mark in (Mark.DONE, Mark.SEEN)), None)
    return last is not None and last.mark is Mark.SEEN


def unconfirmed(events: Sequence[Event]) -> tuple[Event, ...]:
    """The changes of the shop that were announced, and of which nothing says how they ended."""
    return tuple(e for e in _last(events).values() if e.mark is Mark.ANNOUNCED)


def _last(events: Sequence[Event]) -> Mapping[str, Event]:
    """The last event of each change of the shop's."""
    return {e.key: e for e in events if _is_shops(e)}


def _is_shops(event: Event) -> bool:
    """Whether it is about a change, and not one of the lock or of a record of ours."""
    return bool(event.key) and event.key not in _LOCK and not event.key.startswith(RECORDS)


def _object(event: Event) -> str:
    """The object that a change is about, by its key; empty where it is a registry's tag."""
    if event.key.startswith(TAGS):
        return ""
    what, *rest = event.key.split("/")
    return f"{what}/{rest[1]}" if what == PAGES and rest[1:] else "/".join(rest[:2])


def lock_announced(events: Sequence[Event]) -> Event | None:
    """Taking the lock, where it was announced and nothing says how it ended: the request may still be on its way."""
    last = next((e for e in reversed(events) if e.key in _LOCK), None)
    return last if last is not None and last.key == LOCK_TAKEN and last.mark is Mark.ANNOUNCED else None


def ending(events: Sequence[Event]) -> Ending:
    """The exit code, what was changed, the first error, and traffic as far as this run itself has closed it.

    A failure's own code holds only while nothing was written: after that it is 4, or 5 with traffic closed. A bug (70)
    stays a bug. `document` never changes the code.
    """
    last = _last(events)
    changed = tuple({e.key: e.what for e in events if e.mark is Mark.DONE and _is_shops(e)}.values())
    unclear = tuple(e.what for e in unconfirmed(events))
    failed, closed = _failure(events), closed_targets(events)
    code = errors.EXIT_DONE
    if failed is not None:
        code = failed.code
        if code == errors.EXIT_FAILED_OPEN:
            code = errors.EXIT_REFUSED  # until something was written
        if (changed or unclear) and code != errors.EXIT_BUG:
            code = errors.EXIT_FAILED_CLOSED if closed else errors.EXIT_FAILED_OPEN
    return Ending(
        code=code,
        traffic=CLOSED if closed else UNKNOWN,
        changed=changed,
        objects=tuple(dict.fromkeys(o for e in events if e.mark is Mark.DONE and _is_shops(e) and (o := _object(e)))),
        unclear=unclear,
        error=failed.error if failed else "",
        codes=failed.codes if failed else (),
        stage=failed.stage if failed else "",
        finished="document" in done_stages(events),
        locked=holds_lock(events),
        lock_lost=lost_lock(events),
        gone=_gone(events),
        missing=_missing(events),
        moved_tags=_tags(e for e in last.values() if e.mark is Mark.DONE),
        unclear_tags=_tags(e for e in last.values() if e.mark is Mark.ANNOUNCED),
        left_tags=_tags(e for e in last.values() if e.mark is Mark.NOT_DONE and e.code == errors.StaleError.exit_code),
    )


def traffic_keys(what: str, kind: str, name: str) -> str:
    """What all keys of closing or opening one object begin with."""
    return f"{what}/{kind.lower()}/{name}"


def traffic_key(what: str, kind: str, name: str, events: Sequence[Event]) -> str:
    """The key of closing or opening one object: another one each time that it was opened again in between."""
    opened = f"{traffic_keys(OPENS, kind, name)}/"
    times = sum(e.mark in (Mark.DONE, Mark.SEEN) and e.key.startswith(opened) for e in events)
    return f"{traffic_keys(what, kind, name)}/{times + 1}"


def gone_key(key: str, uid: str = "") -> str:
    """The key of deleting what is made again. ``uid``: of one that was put back meanwhile, and has to go as well."""
    return f"{key}{_GONE}/{uid}" if uid else f"{key}{_GONE}"


def made_key(key: str) -> str:
    """The key of creating the new one."""
    return f"{key}{_MADE}"


def done_keys(key: str) -> frozenset[str]:
    """The keys by which the planned change of an object is done: the change itself, or the new one where it is made
    again. Deleting it, putting the old one back, and closing or opening traffic at it are others."""
    return frozenset((key, made_key(key)))


def put_back_key(events: Sequence[Event], key: str, way: int) -> str:
    """The key of creating the old one again; another one each time, and for each ``way`` to do it."""
    times = sum(e.mark is Mark.DONE and e.key.startswith(f"{key}{_PUT_BACK}") for e in events)
    return f"{key}{_PUT_BACK}{times + 1}" + (f"/{way}" if way else "")


def put_back_uids(events: Sequence[Event], key: str) -> frozenset[str]:
    """The uids that the old object has had since it was put back."""
    mine = f"{key}{_PUT_BACK}"
    return frozenset(e.result.get("uid", "") for e in events if e.mark is Mark.DONE and e.key.startswith(mine))


def _missing(events: Sequence[Event]) -> tuple[str, ...]:
    """What is deleted, and neither made again nor put back, as ``Kind/name``."""
    gone: dict[str, str] = {}
    for event in events:
        if event.mark is not Mark.DONE or not event.key.startswith(APPLIES):
            continue
        key, rest = "/".join(event.key.split("/")[:3]), "/" + "/".join(event.key.split("/")[3:])
        if rest.startswith(_GONE):
            _, kind, name = key.split("/")
            gone[key] = event.subject or f"{as_written(kind)}/{name}"
        elif rest == _MADE or rest.startswith(_PUT_BACK):
            gone.pop(key, None)
    return tuple(gone.values())


def closed_targets(events: Sequence[Event]) -> tuple[str, ...]:
    """What is closed, as ``kind/name`` in lower case. In doubt it is: open is only what was opened, or seen open."""
    closed: dict[str, None] = {}
    for event in events:
        what, _, rest = event.key.partition("/")
        target = rest.rpartition("/")[0]
        if what == CLOSES and event.mark in (Mark.ANNOUNCED, Mark.DONE):
            closed[target] = None
        elif (what == OPENS and event.mark in (Mark.DONE, Mark.SEEN)) or (
            what == CLOSES and event.mark is Mark.NOT_DONE
        ):
            closed.pop(target, None)
    return tuple(closed)


def _gone(events: Sequence[Event]) -> tuple[str, ...]:
    """What is closed by the journal and was found not to be there, as ``Kind/name``."""
    closed = closed_targets(events)
    found = {e.key: e.subject for e in events if e.mark is Mark.SEEN and e.key.startswith(f"{GONE}/")}
    return tuple(subject for key, subject in found.items() if key.removeprefix(f"{GONE}/") in closed)


def opened_targets(events: Sequence[Event]) -> frozenset[str]:
    """What these events say was opened, by this run or before its eyes, as ``kind/name`` in lower case."""
    return frozenset(
        rest.rpartition("/")[0]
        for e in events
        if e.mark in (Mark.DONE, Mark.SEEN) and (rest := e.key.removeprefix(f"{OPENS}/")) != e.key
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
