"""The changes that a run can make: a tagged union, and the only things that `Writer.do` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from rollback_lib.core.kube import field_owners, go_json
from rollback_lib.core.kube.field_owners import Appliers
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.releases import ledger
from rollback_lib.core.releases.ledger import AnyKept
from rollback_lib.core.run.journal import LOCK_RELEASED, LOCK_TAKEN, RECORDS

KEEPS_QUARANTINE: Final = "keep-quarantine"
KEEPS_RUN: Final = "keep-run"
WRITE_LIMIT: Final = 100.0  # seconds after which a kubectl that was started has ended, well or not


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """One write.

    ``key`` is stable, so that a run entered again knows what it has done. ``before`` and ``after`` are fingerprints:
    live is before → act; live is after → confirm; anything else → somebody changed it, stop.
    """

    key: str
    kind: str
    name: str
    api_version: str
    before: str
    after: str

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name)

    @property
    def what(self) -> str:
        """The change in words, for the journal and for people."""
        return str(self.ref)

    @property
    def code(self) -> str:
        """Which change it is; what it is about is its ``subject``."""
        return str(type(self).__struct_config__.tag)

    @property
    def subject(self) -> str:
        return str(self.ref)


class PatchObject(Change, frozen=True, kw_only=True, tag="patch"):
    """Put an object back by one ``kubectl patch --type=json``, behind its own ``test`` operations."""

    operations: tuple[Operation, ...]
    appliers: Appliers = Appliers()  # whose fields it writes: they are theirs again afterwards

    @property
    def what(self) -> str:
        return f"{self.ref} put back"


class CloseTraffic(PatchObject, frozen=True, kw_only=True, tag="close-traffic"):
    """Close traffic at one object; what it was is kept on it (`core.traffic.slots`)."""

    @property
    def what(self) -> str:
        return f"{self.ref} closed"


class OpenTraffic(PatchObject, frozen=True, kw_only=True, tag="open-traffic"):
    """Open traffic at one object as it was."""

    @property
    def what(self) -> str:
        return f"{self.ref} opened"


class CreateObject(Change, frozen=True, kw_only=True, tag="create"):
    """Create what the failed release removed, exactly as ``manifests/`` has it; or our maintenance page."""

    manifest: Object
    recorded: bool = False  # what was asked for stands in the manifest's annotation already
    appliers: Appliers = Appliers()  # of the object that this one takes the place of

    @property
    def what(self) -> str:
        return f"{self.ref} created"


class DeleteObject(Change, frozen=True, kw_only=True, tag="delete"):
    """Delete an orphan, a stuck pod, what is made again, or our maintenance page. Only the object with this ``uid``."""

    uid: str
    keep_pods: bool = False  # of a workload that is made again
    pods_first: bool = False  # it is gone once they are

    @property
    def what(self) -> str:
        return f"{self.ref} deleted"


class TakeLock(Change, frozen=True, kw_only=True, tag="take-lock"):
    """Take the lock, or take it over from a process of this run that is gone. Our own record, not the shop's."""

    @property
    def what(self) -> str:
        return "lock taken"


class ReleaseLock(Change, frozen=True, kw_only=True, tag="release-lock"):
    """Give the lock back."""

    @property
    def what(self) -> str:
        return "lock released"


def giving_back(change: PatchObject | CreateObject, now: Object) -> PatchObject | None:
    """The patch after which the fields that ``change`` wrote are their appliers'; None where they are. It changes who
    owns what and nothing else, so that it may be made again."""
    operations = field_owners.given_back(now, change.appliers)
    if not operations:
        return None
    state = fingerprint(now)
    return PatchObject(
        key=f"{change.key}/owners", kind=change.kind, name=change.name, api_version=change.api_version,
        before=state, after=state, operations=operations,
    )  # fmt: skip


def not_given_back(change: Change, now: Object | None) -> str:
    """What it means that the fields stay ours, in a sentence; empty where they do not."""
    if not isinstance(change, (PatchObject, CreateObject)) or now is None or giving_back(change, now) is None:
        return ""
    names = ", ".join(dict.fromkeys(str(e["manager"]) for e in change.appliers.entries))
    return (
        f"{change.ref} is applied server-side by {names}, and its fields could not be given back: the next apply of "
        f"another manifest will be a conflict, which --force-conflicts ends."
    )


def take_lock(name: str) -> TakeLock:
    """The change that takes the Lease of this name."""
    return TakeLock(key=LOCK_TAKEN, kind="Lease", name=name, api_version="coordination.k8s.io/v1", before="", after="")


def release_lock(name: str) -> ReleaseLock:
    """The change that gives the Lease of this name back."""
    return ReleaseLock(
        key=LOCK_RELEASED, kind="Lease", name=name, api_version="coordination.k8s.io/v1", before="", after=""
    )


class KeepRecord(Change, frozen=True, kw_only=True, tag="record"):
    """Keep a record of our own (`core.releases.ledger`): no change of the application, and not counted as one."""

    record: AnyKept
    said: str

    @property
    def code(self) -> str:
        return KEEPS_QUARANTINE if isinstance(self.record, ledger.Quarantine) else KEEPS_RUN

    @property
    def subject(self) -> str:
        return self.record.release

    @property
    def what(self) -> str:
        return self.said


def keep(record: AnyKept, key: str, said: str) -> KeepRecord:
    """The change that keeps a record; ``key`` is unique within the run.

    Without fingerprints: a webhook that labels what is stored must not fail a rollback for a note of ours.
    """
    return KeepRecord(
        key=RECORDS + key, kind=ledger.KIND, name=ledger.name(record), api_version="v1", before="",
        after="", record=record, said=said,
    )  # fmt: skip


class PointTag(Change, frozen=True, kw_only=True, tag="point-tag"):
    """Point a registry tag at another image: not the cluster's. ``name`` is the reference, the fingerprints digests."""

    @property
    def what(self) -> str:
        return f"{self.name} pointed at {self.after[:19]}"

    @property
    def subject(self) -> str:
        return self.name


def patch_text(operations: Sequence[Operation]) -> bytes:
    """The JSON patch as the API server takes it: it compares the bytes of a ``test`` with what it has."""
    return go_json.encode(msgspec.to_builtins(operations))


def patch_file(operations: Sequence[Operation]) -> bytes:
    """The same for kubectl, which reads its file as YAML and writes it anew before it sends it."""
    return go_json.in_yaml(msgspec.to_builtins(operations))


def last_line(text: str) -> str:
    """The last line of what a command said that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


_BUSY: Final = ("InternalError", "ServiceUnavailable", "TooManyRequests", "Timeout", "ServerTimeout")
_BROKEN: Final = (
    "Unable to connect to the server", "The connection to the server", "error: client rate limiter",
    "error: unexpected error when reading response body",
)  # fmt: skip
_REFUSED: Final = re.compile(r"^Error from server \((\w+)\)")


def worth_another_try(said: str) -> bool:
    """Whether kubectl failed in a way that says nothing of the change: a busy server, or a connection that broke.

    ``said`` is its last line. A reason that kubectl gives (`metav1.StatusReason`) is final, but for those that tell of
    the server's own trouble; "Unauthorized" comes without one.
    """
    found = _REFUSED.match(said)
    return found.group(1) in _BUSY if found else said.startswith(_BROKEN)


def compact(obj: Object) -> bytes:
    """An object as one line of JSON."""
    return json.dumps(obj, separators=(",", ":")).encode()
