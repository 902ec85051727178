"""What `rollback history` tells: the releases with their state, and what going back to each would mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from rollback_lib.core.images.reference import repository_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.readouts.status import LastRun, told
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import matching
from rollback_lib.core.releases.ledger import Entry, Ledger, Quarantine
from rollback_lib.core.releases.matching import Matched
from rollback_lib.core.releases.tags import UNKNOWN, ReleaseRef, Tag
from rollback_lib.core.wording import some, wrapped

_UNRECORDED: Final = 10  # of the newest tags without a record
_SHOWN: Final = 4

CURRENT, GOOD, BAD, QUARANTINED, UNPROVEN = "current", "good", "bad", "quarantined", "unproven"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One release. ``at``: when it was recorded, else its commit's date. ``images``: service → digests.

    ``gone`` and ``unclear``: recorded images that the registry has not any more, or cannot tell of. ``changes``: the
    recorded objects that are not as they were; None where there is no record.
    """

    release: str
    state: str
    commit: str
    at: str = ""
    by: str = ""
    build: str = ""
    pinned: bool = False
    images: Mapping[str, tuple[str, ...]] = {}
    gone: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    changes: tuple[str, ...] | None = None
    migrations: tuple[str, ...] = ()  # what the schema has by now and this release does not know
    moved_tag: bool = False
    quarantine: Quarantine | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``services``: the release of each service where they are mixed."""

    application: str
    environment: str
    current: ReleaseRef
    services: tuple[tuple[str, str], ...] = ()
    releases: tuple[Release, ...] = ()
    unnamed: tuple[Quarantine, ...] = ()
    problems: tuple[str, ...] = ()
    runs: tuple[LastRun, ...] = ()
    now: str = ""


def references(ledger: Ledger) -> tuple[str, ...]:
    """Every recorded image of the team's, as the registry is asked for it."""
    return tuple(sorted({r for e in ledger.entries for _, r in _images(e)}))


def _images(entry: Entry) -> list[tuple[str, str]]:
    return [
        (w.service, f"{repository_of(c.image)}@{c.digest}")
        for w in entry.workloads
        for c in w.containers
        if c.own and c.digest and c.image
    ]


def releases(
    ledger: Ledger, matched: Matched, tags: Sequence[Tag], answers: Mapping[str, Answer],
    hashes: Mapping[ObjectRef, str],
) -> tuple[Release, ...]:  # fmt: skip
    """The recorded and the quarantined, newest record first, then the newest tags that are neither.

    ``tags``: the releases in git, newest first; ``hashes``: of the live objects, by kind and name.
    """
    commits = {t.name: t.commit for t in tags}
    found = [_recorded(e, ledger, matched, commits, answers, hashes) for e in ledger.entries]
    known = {e.release for e in ledger.entries}
    others = [t for t in tags if t.name not in known]
    shown = [t for i, t in enumerate(others) if i < _UNRECORDED or ledger.quarantine(t.name, t.commit)]
    found += [_unrecorded(t, ledger, matched) for t in shown]
    gone = [q for q in ledger.quarantines if q.release and q.release not in known and q.release not in commits]
    found += [Release(release=q.release, state=QUARANTINED, commit=q.commit, quarantine=q) for q in gone]
    return tuple(found)


def _recorded(
    entry: Entry, ledger: Ledger, matched: Matched, commits: Mapping[str, str], answers: Mapping[str, Answer],
    hashes: Mapping[ObjectRef, str],
) -> Release:  # fmt: skip
    images: dict[str, tuple[str, ...]] = {}
    for service, reference in _images(entry):
        images[service] = tuple(dict.fromkeys((*images.get(service, ()), reference.partition("@")[2])))
    state = {r: (a.state if (a := answers.get(r)) else "unknown") for _, r in _images(entry)}
    mark = ledger.quarantine(entry.release, entry.commit)
    blocked = ledger.blocked(entry.digests)
    fate = QUARANTINED if mark else GOOD if entry.verified else BAD if blocked else UNPROVEN
    return Release(
        release=entry.release, state=CURRENT if matched.current.release == entry.release else fate, commit=entry.commit,
        at=entry.recorded_at, by=entry.by, build=entry.build, pinned=entry.pinned, images=images, quarantine=mark,
        gone=tuple(sorted(r for r, s in state.items() if s == "absent")),
        unclear=tuple(sorted(r for r, s in state.items() if s == "unknown")),
        changes=matching.changed_objects(entry, hashes),
        moved_tag=commits.get(entry.release, entry.commit) != entry.commit,
    )  # fmt: skip


def _unrecorded(tag: Tag, ledger: Ledger, matched: Matched) -> Release:
    mark = ledger.quarantine(tag.name, tag.commit)
    runs = matched.current.release == tag.name
    state = CURRENT if runs else QUARANTINED if mark else UNPROVEN
    return Release(release=tag.name, state=state, commit=tag.commit, at=tag.date, quarantine=mark)


def text(history: History, *, runs: bool = False) -> str:
    """For a terminal of 80 columns."""
    return redact("\n".join(_runs(history) if runs else _lines(history))) + "\n"


def _runs(history: History) -> Iterator[str]:
    yield f"{history.application} {history.environment}: runs of this machine, newest first"
    for run in history.runs:
        yield from _wrapped(told(run), "  ")
    if not history.runs:
        yield "  none"


def _lines(history: History) -> Iterator[str]:
    current = history.current
    how = f" ({current.chosen_by})" if current.chosen_by else ""
    what = "release unknown" if current.release == UNKNOWN.release else current.release
    yield from _wrapped(f"{history.application} {history.environment}: {what}{how}", "")
    if not any(r.changes is not None for r in history.releases) and not history.problems:
        yield "  Nothing is recorded yet: `rollback record-release` after a good deploy."
    for release in history.releases:
        yield ""
        yield from _release(release, history.now)
    for mark in history.unnamed:
        yield ""
        yield from _wrapped(f"quarantined  (release unknown): what ran before run {mark.run}, {_why(mark)}", "")
    if history.problems:
        yield ""
    for said in history.problems:
        yield from _wrapped(said, "  ! ")


def _release(release: Release, now: str) -> Iterator[str]:
    also = "  QUARANTINED" if release.quarantine and release.state == CURRENT else ""
    when = f"{_age(release.at, now)} ago" if release.at else ""
    who = f" by {release.by}" if release.by else ""
    did = "recorded " if release.changes is not None else "committed " if when else ""
    pin = ", pinned" if release.pinned else ""
    yield from _wrapped(f"{release.state:<12} {release.release}  {did}{when}{who}{pin}{also}", "")
    if release.quarantine:
        yield from _wrapped(_why(release.quarantine), " " * 13)
    if release.images:
        some = [f"{s} {'+'.join(d[7:19] for d in ds)}" for s, ds in sorted(release.images.items())]
        more = f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
        yield from _wrapped(", ".join(some[:_SHOWN]) + more, " " * 13)
    if release.state != CURRENT:
        yield from _wrapped(going_back(release), " " * 13)


def _why(mark: Quarantine) -> str:
    return f"{mark.reason or 'no reason was given'}, {mark.at[:16].replace('T', ' ')} by {mark.by or 'unknown'}"


def going_back(release: Release) -> str:
    """What would happen on going back to it."""
    if release.quarantine:
        return "going back: refused unless --accept quarantined"
    if release.changes is None:
        return "going back: only by --to; nothing proves that it ran well"
    said = []
    if release.moved_tag:
        said.append(f"refused unless --accept moved-tag:{release.release} (its tag has moved)")
    if release.gone:
        said.append(f"{len(release.gone)} images are GONE from the registry ({release.gone[0]})")
    elif release.unclear:
        said.append(f"the registry does not tell of {len(release.unclear)} images")
    else:
        said.append("images are there" if release.images else "no image is recorded")
    count = len(release.changes)
    names = ", ".join(release.changes[:3]) + (" …" if count > 3 else "")
    said.append(f"configuration of {count} objects changes ({names})" if count else "configuration stays")
    if release.migrations:
        many = len(release.migrations)
        said.append(f"the schema has moved: {some(release.migrations)} {'is' if many == 1 else 'are'} unknown to it")
    return "going back: " + "; ".join(said)


def _age(at: str, now: str) -> str:
    try:
        seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()
    except (ValueError, TypeError):
        return "unknown time"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _wrapped(said: str, start: str) -> list[str]:
    return wrapped(said, start, start or " " * 13)
