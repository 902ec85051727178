"""What stands on objects as annotations: what the last apply asked for, and what a run of ours left there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from rollback_lib.core.kube.objects import LAST_APPLIED, Object, notes_of, template_hash


def last_applied(live: Mapping[str, Any]) -> Object | None:
    """What the last ``kubectl apply`` asked for, from its annotation; None where there is none, or it does not read."""
    text = notes_of(live).get(LAST_APPLIED)
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def as_kubectl_reads(value: Any) -> Any:
    """A value of a file or of that annotation, its numbers in one spelling: kubectl writes 1.0 and 1e0 as 1."""
    if isinstance(value, Mapping):
        return {k: as_kubectl_reads(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_kubectl_reads(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


OURS: Final = "rollback-lib/"


RELEASE: Final = f"{OURS}release"


TEMPLATE: Final = f"{OURS}template"


def restored_release(live: Mapping[str, Any]) -> str:
    """The release that a run of ours put here, by our mark; empty where there is none or it does not hold any more.

    It holds only while the template's hash in it is the live one: an ordinary deploy leaves the annotation in place
    (design §6, seen on a real cluster).
    """
    notes = notes_of(live)
    if not notes.get(TEMPLATE) or notes[TEMPLATE] != template_hash(live):
        return ""
    return notes.get(RELEASE, "")
