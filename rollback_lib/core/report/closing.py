"""How a run ended, for whoever reads its build's page, in the language of the team: `last_line`, or the same in words
of theirs. What others said (an error, an object's name) stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollback_lib.core import errors
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.report import followups, observation
from rollback_lib.core.report.last_line import last_line
from rollback_lib.core.report.words import follow_up, words
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Verification
from rollback_lib.core.wording import counted, some

_BEGINS: Final = {
    errors.EXIT_REFUSED: "Rechazado (3).",
    errors.EXIT_LOCKED: "Bloqueado (6).",
    errors.EXIT_NOT_APPROVED: "Sin aprobar (7).",
    errors.EXIT_INTERRUPTED: "Interrumpido (130).",
    errors.EXIT_BUG: "Es un error de rollback (70).",
    errors.EXIT_USAGE: "La petición está mal (2).",
}
# Follow-ups that whoever deploys next has to know at once.
_AT_ONCE: Final = ("unclear", *followups.OF_TAGS, "bots", "left-tag")


def closing(language: str, ending: Ending, plan: Plan | None, verification: Verification | None, seconds: float) -> str:
    """What was changed, whether traffic is open, and what has to be known at once. ``seconds``: since it began."""
    if language != "es":
        return last_line(ending, plan, verification, seconds)
    return " ".join(_in_spanish(ending, plan, verification, seconds))


def _in_spanish(ending: Ending, plan: Plan | None, found: Verification | None, seconds: float) -> Iterator[str]:
    said = words("es")
    if ending.code == errors.EXIT_DONE and plan is not None and found is not None:
        began = "Deshecho" if plan.undoes else "Hecho"
        seen = observation.counted(plan, found)
        what = plan.undone_to or f"lo de antes de {plan.undoes}" if plan.undoes else plan.target.release
        yield f"{began} en {seconds:.0f} s:" if ending.changed else "Nada que hacer:"
        again = " otra vez" if ending.changed else ""
        yield f"{plan.environment} ejecuta{again} {what}, {seen.ready} de {seen.has} listos."
        if seen.zero:
            yield said["lead-unproven"].format(names=some(seen.zero))
    elif ending.code == errors.EXIT_DONE:
        yield "Hecho hasta aquí." if ending.touched else "Solo se miró."
    else:
        yield _BEGINS.get(ending.code) or f"{said['failed-in'].upper()} {ending.stage} ({ending.code})."
    objects, tags = len(ending.objects), len(ending.moved_tags)
    changed = [counted(objects, "objeto cambiado", "objetos cambiados")] if objects else []
    changed += [counted(tags, "etiqueta movida", "etiquetas movidas")] if tags else []
    by = f" ({some(ending.closed_by)})" if ending.closed_by else ""
    whole = " y ".join(changed) or said["n-unchanged"]
    yield f"{whole}; {said[f'n-is-{ending.traffic}'].format(by=by)}"
    if ending.missing:
        yield f"FALTA: {', '.join(ending.missing)}, que se borró para volver a crearlo y no se ha creado."
    if ending.locked_by and ending.code != errors.EXIT_LOCKED:
        yield f"El bloqueo lo tiene otro: {ending.locked_by}."
    for found_todo in followups.derive(None, plan, ending, None, ()):
        if found_todo.code in _AT_ONCE:
            yield follow_up(found_todo.code, dict(found_todo.values), found_todo.text, "es")
