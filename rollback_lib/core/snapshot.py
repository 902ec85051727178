"""What the API server said at one time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rollback_lib.core.resources import Object


class Snapshot(msgspec.Struct, frozen=True):
    """Objects of the namespace at one time, by kind and name. ``refused`` has kinds that we may not list, and why."""

    objects: Mapping[str, Mapping[str, Object]]
    refused: Mapping[str, str] = {}

    def get(self, kind: str, name: str) -> Object | None:
        return self.objects.get(kind, {}).get(name)

    def all(self, kind: str) -> tuple[Object, ...]:
        return tuple(self.objects.get(kind, {}).values())


class DryRun(msgspec.Struct, frozen=True):
    """What the server would store (``object``), what it warned of, or why it refuses (``status``, ``refused``)."""

    object: Object | None
    warnings: Sequence[str] = ()
    refused: str = ""
    status: int = 200
