"""What the page of a build says where its ACTION is no run: the same lines as `page`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.jenkins.page import lines, lock_of
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.record import canonical
from rollback_lib.core.report.observation import Closed
from rollback_lib.core.report.words import LANGUAGES, Pair
from rollback_lib.core.run.lock import Held
from rollback_lib.core.settings.action import Action

FILE: Final = "report/action.json"

_ASKS: Final[Mapping[Action, Pair]] = {
    Action.REOPEN: ("Open what is closed in {where}? {what}.", "¿Abrir lo que está cerrado en {where}? {what}."),
    Action.FREE: (
        "Free the lock of {application} in {where}? It is held by {what}. What that left half done stays so.",
        "¿Liberar el bloqueo de {application} en {where}? Lo tiene {what}. Lo que dejó a medias queda así.",
    ),
}
_NOTHING: Final[Mapping[Action, Pair]] = {
    Action.REOPEN: ("Nothing is closed by a run in {where}.", "Ningún rollback tiene nada cerrado en {where}."),
    Action.FREE: ("{application} is not locked in {where}.", "{application} no está bloqueada en {where}."),
}
_SAYS: Final[Mapping[str, Pair]] = {
    "asks": ("waits for approval; nothing was changed", "espera la aprobación; no se ha cambiado nada"),
    "approved": ("approved; waits for an agent and for the lock", "aprobado; espera un agente y el bloqueo"),
    "changes": ("begun; how it ended is not known", "empezado; no se sabe cómo terminó"),
    "nothing": ("nothing to do", "nada que hacer"),
    "done": ("done", "hecho"),
    "ended": ("ended with {code}", "terminó con {code}"),
}


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the two actions that are no run would change, as it was found. ``hash`` is what a yes is for.

    ``holder`` and ``whose`` are of the lock, in an id and in words; ``closed`` is what a run has closed; ``unread``
    what nothing says of.
    """

    action: Action
    application: str
    environment: str
    where: str
    at: str
    hash: str = ""
    holder: str = ""
    whose: str = ""
    closed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        return bool(self.hash)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The record of such an action, ``report/action.json``: who asked, who said yes, what was done."""

    look: Look
    by: str = ""
    origin: str = ""
    reason: str = ""
    approved_by: str = ""
    at: str = ""
    code: int = 0
    said: str = ""


def hash_of(action: Action, cluster: ClusterIdentity, found: Held | Sequence[Closed]) -> str:
    """Of what a yes is for: this hold of the lock and no other, or these objects as these runs have closed them."""
    what: Any = found.hold if isinstance(found, Held) else sorted((str(c.ref), c.run, c.since) for c in found)
    place = cluster.namespace_uid or cluster.server
    return hashlib.sha256(canonical([action, place, cluster.namespace, what])).hexdigest()


def asking(look: Look, language: str, *, only_look: bool = False) -> str:
    """The facts before anything is done: ``go`` and ``ask`` where there is something to do, and it may be."""
    at = LANGUAGES.index(language)
    what = look.whose or ", ".join(look.closed)
    words = {"where": look.where, "application": look.application, "what": what}
    question = _ASKS[look.action][at].format(**words) if look.is_needed else ""
    nothing = " ".join([_NOTHING[look.action][at].format(**words), *look.unread])
    said = "yes" if look.is_needed and not only_look else "no"
    facts = {
        "name": _name(look.action, look.environment, "asks" if look.is_needed else "nothing", at),
        "description": question or nothing,
        "hash": look.hash, "go": said, "ask": said, "question": question,
        "lock": lock_of(look.application, look.environment),
        "approved": f"{question} {_SAYS['approved'][at]}",
        "changing": f"{question} {_SAYS['changes'][at]}",
    }  # fmt: skip
    return lines({name: (value,) for name, value in facts.items()})


def done(record: Done, language: str) -> str:
    """The facts of its end; nothing is left to do."""
    at = LANGUAGES.index(language)
    name = _name(record.look.action, record.look.environment, "ended" if record.code else "done", at, record.code)
    return lines({"name": (name,), "description": record.said.splitlines(), "go": ("no",), "ask": ("no",)})


def _name(action: Action, environment: str, says: str, at: int, code: int = 0) -> str:
    return f"{action} {environment}, {_SAYS[says][at].format(code=code)}".strip()
