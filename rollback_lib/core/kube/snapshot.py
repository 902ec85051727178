"""What the API server said at one time."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import msgspec

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object

# The apiVersion for a kind, or for one object.
Versions = Mapping[str, str] | Mapping[ObjectRef, str]


class ClusterIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster: all of it stands in plan, approval and record, and in the hash."""

    context: str = ""
    server: str = ""
    namespace: str = ""
    namespace_uid: str = ""
    version: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Objects of the namespace at one time, by kind and name.

    ``refused`` has the kinds that cannot be listed, and why; single objects whose apiVersion is not served.
    ``unserved`` names those among them of which the cluster has none, since it does not know what they are.
    """

    objects: Mapping[str, Mapping[str, Object]]
    refused: Mapping[str | ObjectRef, str] = {}
    unserved: frozenset[str | ObjectRef] = frozenset()

    def get(self, ref: ObjectRef) -> Object | None:
        return None if ref.namespace else self.objects.get(ref.type, {}).get(ref.name)

    def why_not(self, ref: ObjectRef, api_version: str) -> str:
        """Why the object could not be read in this version; empty where it could, there or not."""
        usual = ref.type not in KINDS or api_version == KINDS[ref.type].api
        return self.refused.get(ref, "") or (self.refused.get(ref.type, "") if usual else "")

    def all(self, kind: str) -> tuple[Object, ...]:
        return tuple(self.objects.get(kind, {}).values())


class Events(msgspec.Struct, frozen=True):
    """The namespace's events, warnings first. ``lacking``: why these are not all; empty where they are."""

    all: tuple[Object, ...] = ()
    lacking: str = ""


class LogEnd(msgspec.Struct, frozen=True):
    """The newest part of a log; no text where there is no log (any more). ``cut``: it is not all of it."""

    text: str = ""
    cut: bool = False


class Presence(enum.StrEnum):
    """Whether an object is there. One with a deletionTimestamp is on its way out, and is not there (design §6)."""

    THERE = "there"
    LEAVING = "leaving"
    ABSENT = "absent"
    UNKNOWN = "unknown"  # we may not know


class DryRun(msgspec.Struct, frozen=True):
    """What the server would store (``object``), what it warned of, or why it refuses (``status``, ``refused``).

    ``taken``: another Service was seen to have the address, which the server does not look at in a dry run.
    """

    object: Object | None
    warnings: Sequence[str] = ()
    refused: str = ""
    status: int = 200
    taken: bool = False
