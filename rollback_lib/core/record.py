"""What is kept of a run as one file, and the one JSON form of a value."""

from __future__ import annotations

from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a stage found, kept as one file of the run directory."""


def canonical(value: Any) -> bytes:
    """The one JSON form of a value: sorted keys, no blanks. Equal values have equal bytes."""
    return msgspec.json.encode(value, order="sorted")
