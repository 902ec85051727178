"""Which change a line of the journal is about, as values: the words are made where they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rollback_lib.core.kube.kinds import as_written
from rollback_lib.core.run.journal import APPLIES, CLOSES, OPENS, TAGS, Event, Mark

_POINTS = "point-tag"


class Changed(NamedTuple):
    """``change``: its code, empty where only words tell. ``to``: the digest that a tag gets."""

    change: str = ""
    subject: str = ""
    to: str = ""


def changed(event: Event, announced: Mapping[str, Event]) -> Changed:
    """``announced``: by key, the lines that stand before the changes."""
    if event.mark not in (Mark.DONE, Mark.NOT_DONE):
        return Changed()
    begun = announced.get(event.key)
    found = Changed(event.change, event.subject) if event.change else _by_key(event.key, begun)
    return found._replace(to=begun.after) if begun and found.change == _POINTS else found


def _by_key(key: str, begun: Event | None) -> Changed:
    """In a journal that was written before changes had codes: by the key, and by what there was before."""
    if key.startswith(TAGS):
        return Changed(_POINTS, key.removeprefix(TAGS))
    what, *rest = key.split("/")
    if len(rest) < 2:
        return Changed()
    change = {CLOSES: "close-traffic", OPENS: "open-traffic", "delete": "delete"}.get(what, "")
    if what == APPLIES.rstrip("/") and begun is not None:
        change = "delete" if "delete" in rest[2:3] else "patch" if begun.before else "create"
    return Changed(change, f"{as_written(rest[0])}/{rest[1]}") if change else Changed()
