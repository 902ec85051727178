"""The ledger: what really ran for each release that proved good, what is quarantined, and where the last run went.

Each record is a ConfigMap of ours in the application's namespace. It carries its own checksum: one that was edited by
hand, or cut short, is named and passed over, never trusted. Never the content of a Secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef

Object = dict[str, Any]

APPLICATION: Final = "rollback-lib/application"
ENVIRONMENT: Final = "rollback-lib/ledger"  # its value is the environment: one list gives all records of one ledger
KIND: Final = "ConfigMap"
VERSION: Final = 1
MARKS_KEPT: Final = 100
_RECORD, _CHECKSUM = "record", "sha256"


class RecordedWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload of a service. ``template`` is the hash of its pod template as live, images aside."""

    service: str
    kind: str
    name: str
    template: str = ""
    containers: tuple[RecordedContainer, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)

    @property
    def by_ref(self) -> dict[ContainerRef, RecordedContainer]:
        return {ContainerRef(self.ref, c.name, c.init, c.volume): c for c in self.containers}


class RecordedObject(msgspec.Struct, frozen=True, kw_only=True):
    """The hash of one object as live (`core.releases.live.object_hash`); never of a Secret."""

    kind: str
    name: str
    hash: str

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)


class LedgerRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kept"):
    """What every record says of itself."""

    version: int = VERSION
    application: str
    environment: str


class Entry(LedgerRecord, frozen=True, kw_only=True, tag="release"):
    """A release as it ran. ``verified``: it was proven healthy when it was recorded.

    ``others`` are workloads of the team's that ran beside it and are not in its manifests; ``beyond``: what carries
    the team's images and no rollback of ours can put back. ``overlay`` says what
    differed from the tag's manifests (``Deployment/cart cart: env LEVEL=prod``), redacted.
    """

    release: str
    commit: str
    recorded_at: str  # RFC 3339, UTC
    by: str = ""
    build: str = ""
    workloads: tuple[RecordedWorkload, ...] = ()
    objects: tuple[RecordedObject, ...] = ()
    others: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    overlay: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    pinned: bool = False
    verified: bool = False

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(w.service for w in self.workloads))

    @property
    def digests(self) -> tuple[str, ...]:
        """All digests of the team's own images."""
        each = (c for w in self.workloads for c in w.containers if c.own)
        return tuple(dict.fromkeys(d for c in each for d in (c.digest, *c.digests) if d))

    def image(self, ref: ContainerRef) -> RecordedContainer | None:
        """The container, where it is known which image it ran."""
        return next((c for w in self.workloads if (c := w.by_ref.get(ref)) and c.digest), None)


class Quarantine(LedgerRecord, frozen=True, kw_only=True, tag="quarantine"):
    """A release that must not come back by itself; ``release`` is empty where only its digests are known.

    ``digests`` are those that the failed release has and the one that was gone back to has not.
    """

    release: str
    commit: str = ""
    digests: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""
    at: str = ""
    run: str = ""


class LastRun(LedgerRecord, frozen=True, kw_only=True, tag="last-run"):
    """Where the last rollback went, from any machine. ``whole``: with all services."""

    run: str
    release: str
    commit: str
    at: str
    by: str = ""
    workloads: tuple[RecordedWorkload, ...] = ()
    whole: bool = True


AnyKept = Entry | Quarantine | LastRun


class Held(NamedTuple):
    """Why a release must not come back by itself. ``digest``: of the image that tells, where its name does not."""

    digest: str
    mark: Quarantine


def first_held(images: Mapping[str, Quarantine], digests: Iterable[str]) -> Held | None:
    """What holds the first of these digests that is quarantined. ``images``: `Ledger.held_images`."""
    return next((Held(d, images[d]) for d in digests if d in images), None)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All records of one environment. ``entries`` newest first by the time they were recorded.

    ``problems`` name the records that are passed over; ``unread`` says why nothing could be read at all.
    """

    entries: tuple[Entry, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    last_run: LastRun | None = None
    problems: tuple[str, ...] = ()
    unread: str = ""

    def entry(self, release: str) -> Entry | None:
        return next((e for e in self.entries if e.release == release), None)

    def quarantine(self, release: str, commit: str = "") -> Quarantine | None:
        """The mark that holds this release, or its commit under whatever name."""
        named = [q for q in self.quarantines if release and q.release == release]
        same = [q for q in self.quarantines if commit and q.commit == commit]
        return next(iter([*named, *same]), None)

    @property
    def good(self) -> tuple[Entry, ...]:
        """The entries that were proven healthy and are not quarantined, newest first."""
        return tuple(e for e in self.entries if e.verified and not self.quarantine(e.release, e.commit))

    def held(self, release: str, commit: str = "", digests: Iterable[str] = ()) -> Held | None:
        """What keeps a release from coming back: a mark on it, on its commit, or on the digest of an image of it."""
        mark = self.quarantine(release, commit)
        return Held("", mark) if mark else self.blocked(digests)

    def blocked(self, digests: Iterable[str]) -> Held | None:
        """What holds the first of these digests that is quarantined."""
        return first_held(self.held_images, digests)

    @property
    def held_images(self) -> dict[str, Quarantine]:
        """The digests that are quarantined, each with its newest mark.

        Never a digest that a good release has too: a service which both share is not what was bad.
        """
        shared = {d for e in self.good for d in e.digests}
        return {d: q for q in reversed(self.quarantines) for d in q.digests if d not in shared}


def labels(application: str, environment: str) -> dict[str, str]:
    """What all records of one ledger carry; both are legal label values by the rules of rollback.yaml."""
    return {APPLICATION: application, ENVIRONMENT: environment}


def name(kept: AnyKept) -> str:
    """The record's name: legal whatever the release is called (slashes, 200 characters, accents)."""
    where = f"{kept.application}-{kept.environment}"
    if isinstance(kept, Entry):
        return f"rollback-ledger-{where}-{_short_hash(kept.release)}"
    if isinstance(kept, Quarantine):
        return f"rollback-quarantine-{where}-{_short_hash(kept.release or f'run {kept.run}')}"
    return f"rollback-last-run-{where}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def encode(kept: AnyKept, version: str = "") -> Object:
    """The record as a ConfigMap. ``version``: the resourceVersion that it replaces; empty for a new one."""
    text = msgspec.json.encode(kept, order="sorted").decode()
    metadata = {"name": name(kept), "labels": labels(kept.application, kept.environment)}
    if version:
        metadata["resourceVersion"] = version
    data = {_RECORD: text, _CHECKSUM: hashlib.sha256(text.encode()).hexdigest()}
    return {"apiVersion": "v1", "kind": KIND, "metadata": metadata, "data": data}


def decode(found: Mapping[str, Any]) -> AnyKept | str:
    """The record that a ConfigMap holds, or why it is not trusted."""
    named = str((found.get("metadata") or {}).get("name"))
    data = found.get("data")
    text = data.get(_RECORD) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(text, str):
        return f"ConfigMap {named} holds no record; it is passed over."
    if data.get(_CHECKSUM) != hashlib.sha256(text.encode("utf-8", "replace")).hexdigest():
        return f"ConfigMap {named} was edited or cut short (its checksum is wrong); it is passed over."
    try:
        if (version := msgspec.json.decode(text, type=_Version).version) > VERSION:
            return f"ConfigMap {named} is of version {version}, of a newer rollback; it is passed over."
        kept: AnyKept = msgspec.json.decode(text, type=AnyKept)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return f"ConfigMap {named} does not read ({error}); it is passed over."
    if name(kept) != named:
        return f"ConfigMap {named} is a copy of {name(kept)}; it is passed over."
    return kept


class _Version(msgspec.Struct):
    version: int = VERSION


def read(found: Sequence[Mapping[str, Any]], application: str, environment: str) -> Ledger:
    """The ledger that these ConfigMaps are."""
    kept = [decode(one) for one in found]
    mine = [k for k in kept if not isinstance(k, str) and (k.application, k.environment) == (application, environment)]
    entries = [k for k in mine if isinstance(k, Entry)]
    marks = [k for k in mine if isinstance(k, Quarantine)]
    return Ledger(
        entries=tuple(sorted(entries, key=lambda e: (e.recorded_at, e.release), reverse=True)),
        quarantines=tuple(sorted(marks, key=lambda q: (q.at, q.release), reverse=True)),
        last_run=next((k for k in mine if isinstance(k, LastRun)), None),
        problems=tuple(k for k in kept if isinstance(k, str)),
    )


def surplus(ledger: Ledger, keep: int, written: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the records that go, so that only so many stay: the oldest, never a pinned one or one of ``written``."""
    over = len(ledger.entries) - keep
    free = [e for e in reversed(ledger.entries) if not e.pinned and e.release not in written]
    old = ledger.quarantines[MARKS_KEPT:]
    return (*(name(e) for e in free[: max(over, 0)]), *(name(q) for q in old))
