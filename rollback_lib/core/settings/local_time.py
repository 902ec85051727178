"""Time zones by their names, where this machine knows them."""

from __future__ import annotations

from datetime import tzinfo


def zone(name: str) -> tzinfo | None:
    """The zone; None, which is this machine's own, where there is no name or nobody here knows it."""
    from zoneinfo import ZoneInfo  # only for those who name one

    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


def is_known(name: str) -> bool:
    """Whether there is such a zone. A machine without a database of zones (Windows) takes any name."""
    return zone(name) is not None or zone("UTC") is None
