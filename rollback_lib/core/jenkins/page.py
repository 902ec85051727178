"""What the page of a Jenkins build says of a run: lines that the Jenkinsfile reads, one fact a line.

A build can die at any moment, and its page then says for good what it said last. So the page is written before what it
speaks of: that the cluster is being changed stands there before the first write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from rollback_lib.core.errors import EXIT_DONE
from rollback_lib.core.jenkins.question import much, question
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.redact import short
from rollback_lib.core.releases import deploying
from rollback_lib.core.report.last_line import ways_on
from rollback_lib.core.report.observation import counted
from rollback_lib.core.report.page import is_http
from rollback_lib.core.report.words import LANGUAGES, Pair, words
from rollback_lib.core.run import ways
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Request, Verification
from rollback_lib.core.run.ways import Left, Way
from rollback_lib.core.settings.action import Action

FILE: Final = "report/jenkins.txt"
PLAN_FILE: Final = "report/plan.txt"
REPORT_FILE: Final = "report/report.html"
WRONG_FILE: Final = "report/wrong-request.txt"
_ARCHIVED: Final = "artifact/.rollback/current/"  # below a build's address, as the Jenkinsfile archives the run
_LIMIT: Final = 500  # characters of one line: it stands in a page, not in a log
_ASKS: Final = 2000  # of the question, and of what it was that somebody asked
_WHY: Final = 3  # lines of an error

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
            "Is changing {where} since {at}; how it ended is not known. {much}",
            "Cambiando {where} desde las {at}; no se sabe cómo terminó. {much}",
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
_ENDED: Final[Pair] = ("ended with {code}", "terminó con {code}")
_ONLY_LOOKED: Final[Pair] = ("only looked", "solo miró")
_UNFINISHED: Final[Pair] = ("did not end", "no terminó")  # its process was killed, and its agent was not
_ANYBODY: Final[Pair] = ("whoever may build this job", "quien pueda lanzar este trabajo")
_LINES: Final[dict[str, Pair]] = {
    "reason": ("{why}: {text} ({who})", "{why}: {text} ({who})"),
    "plan": ("Plan: {place}", "Plan: {place}"),
    "report": ("Report: {place}", "Informe: {place}"),
    "deploy": ("Deploy: {job} #{build} {place}", "Despliegue: {job} #{build} {place}"),
    "died": (
        "If this build is over, it died: `rollback status` says how it stands. {ways}",
        "Si esta ejecución ya no corre, murió: `rollback status` dice cómo está. {ways}",
    ),
    "ways": ("Next, as ACTION: {ways}.", "Ahora, en ACTION: {ways}."),
    "wrong": (
        "The request is wrong ({code}). Nothing was changed.", "La petición está mal ({code}). No se ha cambiado nada.",
    ),
    "refused": ("It did not begin ({code}). Nothing was changed.", "No empezó ({code}). No se ha cambiado nada."),
    "asked": ("Asked for: {asked}", "Se pidió: {asked}"),
}  # fmt: skip
_WAYS: Final[dict[str, Pair]] = {  # by the command that ACTION stands for
    ways.RESUME: ("resume (finishes it)", "resume (la termina)"),
    ways.UNDO: ("undo (goes back to the state before it)", "undo (vuelve al estado anterior)"),
    ways.REOPEN: ("reopen traffic (only opens it)", "reopen traffic (solo abre el tráfico)"),
    ways.RUN: ("roll back (anew, once the cause is mended)", "roll back (de nuevo, ya sin la causa)"),
    ways.UNLOCK: ("free the lock (if nobody works there any more)", "free the lock (si ya nadie trabaja ahí)"),
}


def text(
    request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, last_line: str,
    seconds: int, moment: Moment, *, now: datetime, wait: timedelta, approvers: str = "", deploy_url: str = "",
    resumes: bool = False,
) -> str:  # fmt: skip
    """``name``, ``description``, ``hash``, ``go``, ``ask``, ``question``, ``approved``, ``lock``: the value after one
    blank.

    What has several lines comes as often. ``go``: there is something left to do behind the plan. ``ask``: a person has
    to say yes to it first. ``approved`` is the description once somebody did. ``now`` is in the zone that people read;
    a question waits for ``wait``, for ``approvers`` (all who may build, where it is empty). ``deploy_url``: of the
    deploy that asked for this. ``lock``: what builds that write queue for. ``resumes``: the run stopped, and this build
    goes on with it.
    """
    goes_on = _goes_on(request, plan, ending, resumes=resumes)
    asks = goes_on and _needs_yes(request, plan)
    at = LANGUAGES.index(request.settings.language)

    def said(key: str) -> tuple[str, str]:
        title, description = (both[at] for both in _SAYS[key])
        description = description.format(
            where=request.environment, at=_time(now), until=_time(now + wait), who=approvers or _ANYBODY[at],
            much=much(plan, at) if plan else "",
        )  # fmt: skip
        return f"{_where(request, plan)}, {title}", description

    key = _key(moment, plan, goes_on=goes_on, asks=asks)
    name, first = said(key) if key else (_name(request, plan, ending, verification, seconds), last_line)
    more = _next(plan, ending, at) if not key else _died(plan, at) if key == "changes" else ()
    below = tuple(_below(request, plan, at, key=key, deploy_url=deploy_url))
    place, stopped = _place(request, PLAN_FILE), ending if resumes else None
    facts = {
        "name": (name,),
        "description": (first, *more, *below),
        "hash": (plan.hash if plan else "",),
        "go": (_word(goes_on),),
        "ask": (_word(asks),),
        "question": (question(plan, request.settings.language, place, stopped) if plan else "",),
        "approved": (said("approved")[1], *below),
        "lock": (lock_of(request.application, request.environment),),
    }
    return lines(facts)


def of_no_run(
    code: int, problems: Sequence[str], asked: Mapping[str, str], language: str, *, wrong: bool
) -> tuple[str, str]:
    """(what the page shows where a request could not become a run, the same to be kept beside it).

    ``asked``: what was typed, by the job's names. ``wrong``: the request itself is, or rollback.yaml.
    """
    at = LANGUAGES.index(language) if language in LANGUAGES else 0
    first = _LINES["wrong" if wrong else "refused"][at].format(code=code)
    words = short("; ".join(f"{name} {' '.join(value.split())}" for name, value in asked.items()), _ASKS)
    told = _LINES["asked"][at].format(asked=words) if words else ""
    action = asked.get("ACTION", Action.ROLL_BACK)
    what = action if action != Action.ROLL_BACK else f"→ {asked['RELEASE']}" if "RELEASE" in asked else ""
    title = f"{what} {asked.get('ENVIRONMENT', '')}".strip() if what else ""
    ended = _ENDED[at].format(code=code)
    why = [f"✗ {problem}" for problem in problems]
    facts = {
        "name": (f"{title}, {ended}" if title else ended,),
        "description": tuple(filter(None, (first, *why[:_WHY], told))),
        "go": ("no",),
        "ask": ("no",),
    }
    return lines(facts), "".join(f"{short(line)}\n" for line in filter(None, (first, *why, told)))


def lock_of(application: str, environment: str) -> str:
    """The resource that builds hold while they write, one at a time; the deploy job takes the same one."""
    return f"deploy-{application}-{environment}"


def lines(facts: Mapping[str, Sequence[str]]) -> str:
    """One line of a fact a line, as the Jenkinsfile reads them: the value after one blank."""
    return "".join(
        f"{name} {_line(value, _ASKS if name == 'question' else _LIMIT)}\n"
        for name, values in facts.items()
        for value in values
    )


def _next(plan: Plan | None, ending: Ending, at: int) -> Iterator[str]:
    """Why it ended so, and what to choose next."""
    for line in ending.error.splitlines()[:_WHY] if ending.code != EXIT_DONE else ():
        yield f"✗ {line}"
    if said := _ways(ways_on(ending, plan), at):
        yield said


def _died(plan: Plan | None, at: int) -> Iterator[str]:
    """For a page that nobody writes again."""
    left = Left.UNDOING if plan and plan.undoes else Left.DEAD
    yield _LINES["died"][at].format(ways=_ways(ways.ways(left, plan.run if plan else ""), at))


def _ways(found: Sequence[Way], at: int) -> str:
    """What ACTION can do of these; empty where it can do none."""
    words = [_WAYS[way[0]][at] for way in found if way[0] in _WAYS]
    return _LINES["ways"][at].format(ways=", ".join(words)) if words else ""


def _below(request: Request, plan: Plan | None, at: int, *, key: str, deploy_url: str) -> Iterator[str]:
    """What stays true at each moment: what else is at work, why, and where to read more."""
    if plan and key:
        yield from deploying.said(plan.deploying, at)
    said = words(LANGUAGES[at])
    reason = short(" ".join(request.reason.split()), _LIMIT // 2) or said["no-reason"]
    yield _LINES["reason"][at].format(why=said["why"], text=reason, who=request.by or said["unknown"])
    if request.upstream_job:
        number = request.upstream_build
        place = deploy_url or _build(request, number)
        yield _LINES["deploy"][at].format(job=request.upstream_job, build=number, place=place).strip()
    if plan and key:
        yield _LINES["plan"][at].format(place=_place(request, PLAN_FILE))
    if not key:
        yield _LINES["report"][at].format(place=_place(request, REPORT_FILE))


def _place(request: Request, file: str) -> str:
    """Where a file of the run can be read: among the artifacts of its build."""
    return f"{request.origin.rstrip('/')}/{_ARCHIVED}{file}" if is_http(request.origin) else file


def _build(request: Request, number: str) -> str:
    server = request.origin.partition("/job/")[0]
    folders = "".join(f"/job/{part}" for part in request.upstream_job.split("/") if part)
    return f"{server}{folders}/{number}/" if is_http(request.origin) else ""


def _key(moment: Moment, plan: Plan | None, *, goes_on: bool, asks: bool) -> str:
    """What of `_SAYS` is true; empty where the run's own ending says it."""
    if moment == "looks":
        return moment
    if moment == "changes":
        return "verifies" if plan is not None and not plan.writes else "changes"
    return ("asks" if asks else "goes") if moment == "planned" and goes_on else ""


def _time(at: datetime) -> str:
    return f"{at:%H:%M %Z}".strip()


def _goes_on(request: Request, plan: Plan | None, ending: Ending, *, resumes: bool) -> bool:
    stops = ending.code != EXIT_DONE and not resumes
    return plan is not None and not plan.refusals and not request.dry_run and not stops


def _needs_yes(request: Request, plan: Plan | None) -> bool:
    return plan is not None and plan.writes and request.target_environment.approval == "required"


def _name(request: Request, plan: Plan | None, ending: Ending, verification: Verification | None, seconds: int) -> str:
    said = _where(request, plan)
    at = LANGUAGES.index(request.settings.language)
    if ending.code != EXIT_DONE:
        return f"{said}, {_ENDED[at].format(code=ending.code)}"
    if verification is None:
        return f"{said}, {(_UNFINISHED if ending.touched else _ONLY_LOOKED)[at]}"
    seen = counted(plan, verification) if plan else None
    return f"{said}, {seen.ready}/{seen.has}, {seconds} s" if seen else said


def _where(request: Request, plan: Plan | None) -> str:
    releases = f"{plan.current.release} → {plan.target.release}" if plan else f"→ {request.to}"
    return f"{releases} {request.environment}"


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(value: str, most: int) -> str:
    plain = "".join(c if c.isprintable() else " " for c in short(value, most))
    return " ".join(plain.split())
