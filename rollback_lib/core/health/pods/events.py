"""What the cluster's events say about one object."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from rollback_lib.core.health.pods.reading import Json, text, when
from rollback_lib.core.kube.server_answers import without_quotes

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIMES: Final = (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("firstTimestamp",))


class Said(msgspec.Struct, frozen=True, order=True):
    at: datetime
    reason: str
    message: str


def about(events: Iterable[Json], thing: object) -> tuple[Said, ...]:
    """Events about ``thing``, newest first, from either events API (v1's involvedObject, or regarding)."""
    uid, name = text(thing, "metadata", "uid"), text(thing, "metadata", "name")
    return tuple(sorted((_said(e) for e in events if _concerns(e, uid, name)), reverse=True))


def flat(message: str) -> str:
    return " ".join(without_quotes(message).split())


def _concerns(event: Json, uid: str, name: str) -> bool:
    target = "involvedObject" if "involvedObject" in event else "regarding"
    theirs = text(event, target, "uid")
    if theirs or uid:  # a StatefulSet's next pod has the same name: its uid tells them apart
        return theirs == uid
    return bool(name) and text(event, target, "name") == name


def _said(event: Json) -> Said:
    at = next((t for path in TIMES if (t := when(event, *path))), LONG_AGO)
    return Said(at, text(event, "reason"), flat(text(event, "message") or text(event, "note")))
