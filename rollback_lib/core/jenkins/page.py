"""What the page of a Jenkins build says of a run: lines that the Jenkinsfile reads, one fact a line.

A build can die at any moment, and its page then says for good what it said last. So the page is written before what it
speaks of: that the cluster is being changed stands there before the first write.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from rollback_lib.core.errors import EXIT_DONE
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.plan.text import cautions, summary
from rollback_lib.core.redact import redact
from rollback_lib.core.report.observation import counted
from rollback_lib.core.report.words import LANGUAGES, Pair
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Request, Verification

FILE: Final = "report/jenkins.txt"
PLAN_FILE: Final = "report/plan.txt"
_LIMIT: Final = 500  # characters of one fact: it stands in a page, not in a log

# looks: before there is a plan. planned: there is one. changes: before the first write. ended: nothing comes after.
Moment = Literal["looks", "planned", "changes", "ended"]

# (in the title, in the description)
_SAYS: Final[dict[str, tuple[Pair, Pair]]] = {
    "looks": (
        ("looks", "mira"),
        ("Looks at {where} since {at}. Nothing was changed.", "Mira {where} desde las {at}. No se ha cambiado nada."),
    ),
    "asks": (
        ("waits for approval", "espera la aprobación"),
        (
            "Waits for approval until {until}; {who} can say yes. Nothing was changed.",
            "Espera la aprobación hasta las {until}; puede darla {who}. No se ha cambiado nada.",
        ),
    ),
    "approved": (
        ("approved", "aprobado"),
        (
            "Approved; waits for an agent and for the lock. Nothing was changed yet.",
            "Aprobado; espera un agente y el bloqueo. Aún no se ha cambiado nada.",
        ),
    ),
    "goes": (
        ("goes on", "sigue"),
        (
            "Nobody has to approve it; waits for an agent and for the lock. Nothing was changed yet.",
            "Nadie tiene que aprobarlo; espera un agente y el bloqueo. Aún no se ha cambiado nada.",
        ),
    ),
    "changes": (
        ("is changing", "cambiando"),
        (
            "Is changing {where} since {at}; how it ended is not known. `rollback status` says how it stands now.",
            "Cambiando {where} desde las {at}; no se sabe cómo terminó. `rollback status` dice cómo está ahora.",
        ),
    ),
    "verifies": (
        ("verifies", "verifica"),
        (
            "Verifies {where} since {at}: there is nothing to change. What it found is not known.",
            "Verifica {where} desde las {at}: no hay nada que cambiar. No se sabe qué encontró.",
        ),
    ),
}
_ANYBODY: Final[Pair] = ("whoever may build this job", "quien pueda lanzar este trabajo")


def text(
    request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, last_line: str,
    seconds: int, moment: Moment, *, now: datetime, wait: timedelta, approvers: str = "",
) -> str:  # fmt: skip
    """``name``, ``description``, ``hash``, ``go``, ``ask``, ``question``, ``approved``: the value after one blank.

    ``go``: there is something left to do behind the plan. ``ask``: a person has to say yes to it first. ``approved`` is
    the description once somebody did. ``now`` is in the zone that people read; a question waits for ``wait``, for
    ``approvers`` (all who may build, where it is empty).
    """
    goes_on = _goes_on(request, plan, ending)
    asks = goes_on and _needs_yes(request, plan)
    at = LANGUAGES.index(request.settings.language)

    def said(key: str) -> tuple[str, str]:
        title, description = (both[at] for both in _SAYS[key])
        who = approvers or _ANYBODY[at]
        description = description.format(where=request.environment, at=_time(now), until=_time(now + wait), who=who)
        return f"{_where(request, plan)}, {title}", description

    key = _key(moment, plan, goes_on=goes_on, asks=asks)
    name, description = said(key) if key else (_name(request, plan, ending, verification, seconds), last_line)
    facts = {
        "name": name,
        "description": description,
        "hash": plan.hash if plan else "",
        "go": _word(goes_on),
        "ask": _word(asks),
        "question": _question(plan) if plan else "",
        "approved": said("approved")[1],
    }
    return "".join(f"{name} {_line(value)}\n" for name, value in facts.items())


def _key(moment: Moment, plan: Plan | None, *, goes_on: bool, asks: bool) -> str:
    """What of `_SAYS` is true; empty where the run's own ending says it."""
    if moment == "looks":
        return moment
    if moment == "changes":
        return "verifies" if plan is not None and not plan.writes else "changes"
    return ("asks" if asks else "goes") if moment == "planned" and goes_on else ""


def _time(at: datetime) -> str:
    return f"{at:%H:%M %Z}".strip()


def _goes_on(request: Request, plan: Plan | None, ending: Ending) -> bool:
    return plan is not None and not plan.refusals and not request.dry_run and ending.code == EXIT_DONE


def _needs_yes(request: Request, plan: Plan | None) -> bool:
    return plan is not None and plan.writes and request.target_environment.approval == "required"


def _question(plan: Plan) -> str:
    accepted = f"Accepted: {', '.join(plan.accepted)}." if plan.accepted else ""
    said = filter(None, (summary(plan), *cautions(plan), accepted))
    return (
        f"Roll {plan.environment} back from {plan.current.release} to {plan.target.release}? {' '.join(said)} "
        f"Cluster {plan.cluster.context or plan.cluster.server}, namespace {plan.namespace}. Plan {plan.hash[:12]}; "
        f"the whole plan with its diff is {PLAN_FILE} among the artifacts, and in the log."
    )


def _name(request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, seconds: int) -> str:
    said = _where(request, plan)
    if ending.code != EXIT_DONE:
        return f"{said}, ended with {ending.code}"
    if verification is None:
        return f"{said}, only looked"
    seen = counted(plan, verification) if plan else None
    return f"{said}, {seen.ready}/{seen.has}, {seconds} s" if seen else said


def _where(request: Request, plan: Plan | None) -> str:
    releases = f"{plan.current.release} → {plan.target.release}" if plan else f"→ {request.to}"
    return f"{releases} {request.environment}"


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(value: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in redact(value))
    return " ".join(plain.split())[:_LIMIT]
