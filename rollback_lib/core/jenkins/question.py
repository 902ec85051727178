"""What a person is asked before a cluster is changed, in the language of the team. Pure.

Whoever reads only this must know from where to where, in which cluster, what is deleted, how traffic is meanwhile, what
was accepted, and where the whole plan is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollback_lib.core.kube import owners
from rollback_lib.core.plan.model import CREATE, DELETE, LEFT, NONE, RESTART, UPDATE, Plan
from rollback_lib.core.plan.text import cautions, changes, summary
from rollback_lib.core.releases import deploying
from rollback_lib.core.report.words import LANGUAGES, Pair
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.wording import counted, some

_NAMED: Final = 6

_SAYS: Final[dict[str, Pair]] = {
    "back": ("Roll {where} back from {was} to {to}?", "¿Volver atrás en {where}, de {was} a {to}?"),
    "undo": (
        "Undo run {run} in {where}: from {was} back to {to}?",
        "¿Deshacer la ejecución {run} en {where}, de {was} a {to}?",
    ),
    "resume": (
        "Go on with run {run}, which stopped in {stage} with {changed}, in {where} from {was} to {to}?",
        "¿Seguir con la ejecución {run}, que se paró en {stage} con {changed}, en {where} de {was} a {to}?",
    ),
    "before": ("what ran before it", "lo que corría antes"),
    "middle": ("its middle", "la mitad"),
    "deleted": ("Deleted: {names}.", "Se borra: {names}."),
    "again": ("Deleted and made again: {names}.", "Se borra y se vuelve a crear: {names}."),
    "open": ("Traffic stays open.", "El tráfico sigue abierto."),
    "closed": ("Traffic is CLOSED meanwhile at {names}.", "Entretanto se CIERRA el tráfico en {names}."),
    "accepted": ("Accepted: {names}.", "Aceptado: {names}."),
    "cluster": ("Cluster {cluster}, namespace {namespace}.", "Clúster {cluster}, namespace {namespace}."),
    "plan": ("Plan {hash}: {place}", "Plan {hash}: {place}"),
}  # fmt: skip
_CHANGED: Final = (("object changed", "objects changed"), ("objeto cambiado", "objetos cambiados"))
_CHANGES: Final = {
    CREATE: "a crear", DELETE: "a borrar", RESTART: "a reiniciar", UPDATE: "a actualizar", NONE: "sin cambios",
    LEFT: "se dejan",
}  # fmt: skip


def question(plan: Plan, language: str, place: str, stopped: Ending | None = None) -> str:
    """One paragraph. ``place``: where the whole plan with its diff can be read. ``stopped``: how the run did that is
    gone on with."""
    return " ".join(_sentences(plan, LANGUAGES.index(language), place, stopped))


def much(plan: Plan, at: int) -> str:
    """How much is done, in one sentence. ``at``: which of `LANGUAGES`."""
    if not at:
        return summary(plan)
    return ", ".join(f"{n} {_CHANGES.get(change, change)}" for change, n in sorted(changes(plan).items())) + "."


def _sentences(plan: Plan, at: int, place: str, stopped: Ending | None) -> Iterator[str]:
    def say(key: str, **given: str) -> str:
        return _SAYS[key][at].format(**given)

    where, was = plan.environment, plan.current.release
    to = plan.undone_to or say("before") if plan.undoes else plan.target.release
    if stopped is not None:
        changed = counted(len(stopped.objects), *_CHANGED[at])
        stage = stopped.stage or say("middle")
        yield say("resume", where=where, was=was, to=to, run=plan.run, stage=stage, changed=changed)
    else:
        yield say("undo" if plan.undoes else "back", where=where, was=was, to=to, run=plan.undoes)
    yield from deploying.said(plan.deploying, at)
    if gone := [str(o.ref) for o in plan.orphans if o.change == DELETE]:
        yield say("deleted", names=some(gone, _NAMED))
    if again := [str(o.ref) for s in plan.services for o in s.objects if o.recreate]:
        yield say("again", names=some(again, _NAMED))
    if plan.closes:
        yield say("closed", names=some([str(t.ref) for t in plan.isolation.targets], _NAMED))
    else:
        yield say("open")
    if plan.accepted:
        yield say("accepted", names=", ".join(plan.accepted))
    yield much(plan, at)
    yield from _cautions(plan, at)
    yield say("cluster", cluster=plan.cluster.context or plan.cluster.server, namespace=plan.namespace)
    yield say("plan", hash=plan.hash[:12], place=place)


def _cautions(plan: Plan, at: int) -> Iterator[str]:
    if not at:
        yield from cautions(plan)
        return
    objects = [o for s in plan.services for o in s.objects]
    if scaling := [f"{o.ref} {_scaled(o.replicas)}" for o in objects if o.replicas]:
        yield f"Cambia cuántas réplicas corren: {some(scaling)}."
    for owner in sorted({o.owner for o in objects if o.owner}):
        theirs = some(sorted(str(o.ref) for o in objects if o.owner == owner))
        if owner.suspended:
            yield f"{owners.who(owner)} está suspendido para {theirs}: cuando se reanude, lo deshace."
        else:
            yield f"{owners.who(owner)} gestiona {theirs} y puede deshacer esto."


def _scaled(replicas: tuple[int | None, int | None]) -> str:
    was, then = ("las que le dan" if n is None else n for n in replicas)
    return f"{was} → {then}"
