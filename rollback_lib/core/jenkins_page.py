"""What the page of a Jenkins build says of a run: lines that the Jenkinsfile reads, one fact a line."""

from __future__ import annotations

from typing import Final

from rollback_lib.core.errors import EXIT_DONE
from rollback_lib.core.journal import Ending
from rollback_lib.core.plan import Plan
from rollback_lib.core.plan_text import summary
from rollback_lib.core.redact import redact
from rollback_lib.core.run import Request, Verification

FILE: Final = "report/jenkins.txt"
PLAN_FILE: Final = "report/plan.txt"
_LIMIT: Final = 500  # characters of one fact: it stands in a page, not in a log


def text(
    request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, last_line: str, seconds: int
) -> str:
    """``name``, ``description``, ``hash``, ``go``, ``ask`` and ``question``, each with its value after one blank.

    ``go``: there is something left to do behind the plan. ``ask``: a person has to say yes to it first.
    """
    facts = {
        "name": _name(request, plan, ending, verification, seconds),
        "description": last_line,
        "hash": plan.hash if plan else "",
        "go": _word(_goes_on(request, plan, ending)),
        "ask": _word(_goes_on(request, plan, ending) and _needs_yes(request, plan)),
        "question": _question(plan) if plan else "",
    }
    return "".join(f"{name} {_line(value)}\n" for name, value in facts.items())


def _goes_on(request: Request, plan: Plan | None, ending: Ending) -> bool:
    return plan is not None and not plan.refusals and not request.dry_run and ending.code == EXIT_DONE


def _needs_yes(request: Request, plan: Plan | None) -> bool:
    return plan is not None and plan.writes and request.target_environment.approval == "required"


def _question(plan: Plan) -> str:
    accepted = f" Accepted: {', '.join(plan.accepted)}." if plan.accepted else ""
    return (
        f"Roll {plan.environment} back from {plan.current.release} to {plan.target.release}? {summary(plan)}{accepted} "
        f"Cluster {plan.cluster.context or plan.cluster.server}, namespace {plan.namespace}. Plan {plan.hash[:12]}; "
        f"the whole plan with its diff is {PLAN_FILE} among the artifacts, and in the log."
    )


def _name(request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, seconds: int) -> str:
    where = f"{plan.current.release} → {plan.target.release}" if plan else f"→ {request.to}"
    said = f"{where} {request.environment}"
    if ending.code != EXIT_DONE:
        return f"{said}, ended with {ending.code}"
    if verification is None:
        return f"{said}, only looked"
    ready = sum(w.ready == w.desired and w.health == "healthy" for w in verification.workloads)
    return f"{said}, {ready}/{len(verification.workloads)}, {seconds} s"


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(value: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in redact(value))
    return " ".join(plain.split())[:_LIMIT]
