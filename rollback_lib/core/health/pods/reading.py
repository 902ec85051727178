"""Reading raw API objects. Whatever is missing, null or of the wrong type reads as its empty value.

A half-written status is normal a moment after a patch, and a controller or webhook of someone else may write anything:
judging health must not raise on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]

LARGEST: Final = 2**31 - 1  # the API's own int32; anything beyond is not a count


def dig(source: object, *path: str) -> object:
    """The value at ``path``, or None."""
    for key in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(key)
    return source


def part(source: object, *path: str) -> Json:
    found = dig(source, *path)
    return found if isinstance(found, Mapping) else {}


def parts(source: object, *path: str) -> tuple[Json, ...]:
    """The objects of a list; whatever in it is no object is left out."""
    found = dig(source, *path)
    return tuple(x for x in found if isinstance(x, Mapping)) if isinstance(found, list | tuple) else ()


def text(source: object, *path: str) -> str:
    found = dig(source, *path)
    return found if isinstance(found, str) else ""


def number(source: object, *path: str, missing: int = 0) -> int:
    found = dig(source, *path)
    if not isinstance(found, int) or isinstance(found, bool):
        return missing
    return min(max(found, 0), LARGEST)


def share(value: object, of: int, *, missing: str, up: bool) -> int:
    """An int-or-percent ("25%", 1) of ``of`` pods, rounded as the controllers do: surge up, unavailable down."""
    for candidate in (value, missing):
        if isinstance(candidate, int) and not isinstance(candidate, bool):
            return min(max(candidate, 0), LARGEST)
        if isinstance(candidate, str) and candidate.endswith("%") and candidate[:-1].isdecimal():
            percent = min(int(candidate[:-1][:9]), LARGEST) * of
            return -(-percent // 100) if up else percent // 100
    return 0


def when(source: object, *path: str) -> datetime | None:
    """A time as the API writes it (UTC, whole seconds, or microseconds in events)."""
    try:
        found = datetime.fromisoformat(text(source, *path))
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def condition(source: object, kind: str) -> Json:
    return next((c for c in parts(source, "status", "conditions") if text(c, "type") == kind), {})


def owned_by(thing: object, uid: str) -> bool:
    return bool(uid) and any(text(o, "uid") == uid for o in parts(thing, "metadata", "ownerReferences"))


def observed(workload: object) -> bool:
    """Whether its controller has seen the spec that stands now. Before that, status speaks of an older one."""
    return number(workload, "status", "observedGeneration") >= number(workload, "metadata", "generation")
