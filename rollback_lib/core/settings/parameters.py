"""The one schema of options: the command line, the environment and Jenkins' parameters are all made from it.

Cheap on purpose: `rollback --help` reads this and must not wait for YAML or msgspec, so errors are imported only when
there is one to raise.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from rollback_lib.core import names
from rollback_lib.core.settings.action import Action

if TYPE_CHECKING:
    from rollback_lib.core.errors import Problem

Kind = Literal["text", "list", "flag", "switch", "path", "choice"]
Value = str | bool | tuple[str, ...]

LAST_GOOD: Final = "last-good"
REASON_LIMIT: Final = 2000  # characters of a reason that are kept

RUNS: Final = ("run", "stage", "resume", "undo")
PLANS: Final = ("plan", "run", "stage")
KEEPS: Final = ("plan", "verify", *RUNS)
TRIGGER: Final = "jenkins-trigger"  # asks a job of Jenkins for a run; takes what the job takes
BY_PIPELINE: Final = ("run", "stage", TRIGGER)
BY_ACTION: Final = ("stage", "jenkins-look", "jenkins-act", "jenkins-page", TRIGGER)
LOOKS: Final = ("status", "history", "verify", "doctor", "report")
ALL: Final = (
    "plan",
    *RUNS,
    *LOOKS,
    "unlock",
    "reopen",
    "record-release",
    "quarantine",
    "guard",
    "retag",
    "init",
    "jenkins-render",
    "jenkins-provision",
    "jenkins-admit",
    "jenkins-look",
    "jenkins-act",
)


class Parameter(NamedTuple):
    """One option. ``name`` is the keyword in code; an empty ``env`` means that the environment cannot give it.

    ``commands`` are those that take it. A ``list`` is separated by spaces or commas in the environment, and given by
    repeating the option on the command line. ``default`` is for help; None means that the command decides.
    A ``switch`` has a ``--no-`` form as well; not given, settings decide. ``jenkins``: the parameter of Jenkins' job
    that gives it, if one does (`core.jenkins.job` makes the job from these), and ``jenkins_help`` what is said there,
    if not the same.
    """

    name: str
    option: str
    env: str
    kind: Kind
    help: str
    commands: tuple[str, ...]
    default: str | None = None
    short: str = ""
    choices: tuple[str, ...] = ()
    from_environment: bool = True
    empty_is_error: bool = False
    jenkins: str = ""
    jenkins_help: str = ""


_V = "ROLLBACK_"
# fmt: off
PARAMETERS: Final = (
    Parameter("config", "--config", _V + "CONFIG", "path", "The settings file; found upwards.", ALL, "rollback.yaml"),
    Parameter("environment", "--environment", _V + "ENVIRONMENT", "text",
        "Which environment of the settings; may be left out when there is one.",
        (*(c for c in ALL if c not in ("init", "jenkins-render", "jenkins-provision")), TRIGGER), short="-e",
        jenkins="ENVIRONMENT"),
    Parameter("action", "--action", _V + "ACTION", "choice",
        "Roll back, or the way on after a run that stopped.", BY_ACTION, Action.ROLL_BACK,
        choices=tuple(map(str, Action)), jenkins="ACTION"),
    Parameter("of_run", "--of-run", _V + "OF_RUN", "text",
        "Which run to resume or undo; without it the last one that the cluster knows.", BY_ACTION, jenkins="RUN"),
    Parameter("to", "--to", _V + "TO", "text", "The release to go back to, or last-good.",
        (*PLANS, "verify", "retag", TRIGGER), LAST_GOOD, jenkins="RELEASE"),
    Parameter("service", "--service", _V + "SERVICE", "list", "Only this service (repeatable).",
        (*PLANS, "verify", "retag", TRIGGER), jenkins="SERVICES",
        jenkins_help="Only this service, separated by blanks."),
    Parameter("reason", "--reason", _V + "REASON", "text", "Why, for the incident.", (*RUNS, "quarantine", TRIGGER),
        jenkins="REASON"),
    Parameter("run_dir", "--run-dir", _V + "RUN_DIR", "path", "Where the run keeps its files.",
        (*KEEPS, "report", "jenkins-page", "jenkins-admit")),
    Parameter("from_live", "--from-live", _V + "FROM_LIVE", "flag", "Find out which release runs.",
        ("record-release",)),
    Parameter("keep_tag", "--keep-tag", _V + "KEEP_TAG", "text",
        "Give each recorded image a registry tag, such as keep-{release}, so that no clean-up prunes it.",
        ("record-release",)),
    Parameter("pin", "--pin", _V + "PIN", "flag", "Keep its record for good.", ("record-release",)),
    Parameter("lift", "--lift", _V + "LIFT", "flag", "Free the release.", ("quarantine",)),
    Parameter("runs", "--runs", _V + "RUNS", "flag", "The runs of this machine.", ("history",)),
    Parameter("evidence", "--evidence", _V + "EVIDENCE", "list", "A file for the incident (repeatable).", RUNS),
    Parameter("yes", "--yes", "", "flag", "Approve it, as yourself.", (*RUNS, "unlock", "reopen", "retag"),
        from_environment=False),
    Parameter("isolate", "--isolate", _V + "ISOLATE", "switch", "Close traffic while the shop is changed, or not.",
        (*PLANS, "undo", TRIGGER), jenkins="ISOLATE"),
    Parameter("dry_run", "--dry-run", _V + "DRY_RUN", "flag", "Only look: end after preflight.",
        (*RUNS, "retag", TRIGGER), empty_is_error=True, jenkins="DRY_RUN"),
    Parameter("retag", "--retag", _V + "RETAG", "flag", "Then point mutable tags at the restored images.",
        ("plan", *RUNS)),
    Parameter("plan_hash", "--plan-hash", _V + "PLAN_HASH", "text", "Refuse any other plan.", RUNS),
    Parameter("accept", "--accept", _V + "ACCEPT", "list", "Accept a refusal: CODE[:NAME] (repeatable).",
        (*KEEPS, "guard", TRIGGER), jenkins="ACCEPT",
        jenkins_help="Accept a refusal: CODE[:NAME], separated by blanks."),
    Parameter("upstream_job", "--upstream-job", _V + "UPSTREAM_JOB", "text",
        "The deploy job that failed; it is asked itself.", BY_PIPELINE, jenkins="UPSTREAM_JOB"),
    Parameter("upstream_build", "--upstream-build", _V + "UPSTREAM_BUILD", "text", "The number of its failed build.",
        BY_PIPELINE, jenkins="UPSTREAM_BUILD"),
    Parameter("request_id", "--request-id", _V + "REQUEST_ID", "text",
        "Of an automatic rollback; the same one never runs twice.", BY_PIPELINE, jenkins="REQUEST_ID"),
    Parameter("take_over", "--take-over", _V + "TAKE_OVER", "flag",
        "Take the lock from a deploy, or from a run that is dead.", RUNS),
    Parameter("force", "--force", "", "flag", "Do it, whoever has the lock.", ("unlock",), from_environment=False),
    Parameter("holder", "--holder", _V + "HOLDER", "text",
        "Take the lock from this run or deploy only; 6 where another has it.", ("unlock",)),
    Parameter("context", "--context", _V + "CONTEXT", "text", "The kubeconfig's context.", ("reopen",)),
    Parameter("namespace", "--namespace", _V + "NAMESPACE", "text", "The namespace; without settings.", ("reopen",)),
    Parameter("release", "--release", _V + "RELEASE", "text", "The release that is deployed.",
        ("guard", "record-release")),
    Parameter("wait", "--wait", _V + "WAIT", "text", "How long to wait for the lock, such as 10m.", ("guard",)),
    Parameter("hold", "--hold", _V + "HOLD", "flag", "Take the lock for this deploy.", ("guard",)),
    Parameter("done", "--done", "", "flag", "The deploy is over: free its lock.", ("guard",), from_environment=False),
    Parameter("offline", "--offline", _V + "OFFLINE", "flag", "Plan without cluster and registry.", ("plan",)),
    Parameter("show_values", "--show-values", "", "flag",
        "Show all values in the differences, secrets too; on a terminal only.", ("plan",), from_environment=False),
    Parameter("output", "--output", _V + "OUTPUT", "choice", "Text for people, or one JSON document.", ALL, "text",
        choices=("text", "json")),
    Parameter("format", "--format", _V + "FORMAT", "choice", "As Markdown, as a page, or as data.", ("report",), "md",
        choices=("md", "html", "json")),
    Parameter("language", "--language", _V + "LANGUAGE", "choice",
        "Of the record; default: `language` of the settings.", ("report",), choices=("en", "es")),
    Parameter("verbose", "--verbose", _V + "VERBOSE", "flag", "Say more on stderr.", ALL, short="-v"),
)
# fmt: on
BY_NAME: Final = {p.name: p for p in PARAMETERS}
OF_JENKINS: Final = tuple(p for p in PARAMETERS if p.jenkins)

# ROLLBACK_PARAMETERS=jenkins: the environment has the parameters under the job's names, untouched by shell and Groovy.
FROM: Final = _V + "PARAMETERS"

# What stands after a code, if anything does (README, "Accepting a refusal").
ACCEPT_CODES: Final[dict[str, str]] = {
    "registry-unknown": "",
    "cluster-unknown": "",
    "image-on-nodes-only": "",
    "reference-image": "",
    "image-from": "RUNG",
    "unproven-images": "",
    "schema": "MIGRATION",
    "unproven-target": "",
    "quarantined": "",
    "healthy": "",
    "owner": "NAME",
    "missing-reference": "NAME",
    "permission": "NAME",
    "skip": "KIND/NAME",
    "keep": "KIND/NAME",
    "recreate": "KIND/NAME",
    "orphan": "KIND/NAME",
    "policy": "NAME",
    "moved-tag": "RELEASE",
    "unknown-run": "RUN",
}

_BUILD_AGAIN = "a job's first build only learns them: start it again with Build with Parameters"
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


def of_command(command: str) -> tuple[Parameter, ...]:
    """The parameters that a command takes, in the order of the schema."""
    return tuple(p for p in PARAMETERS if command in p.commands)


def from_environment(environ: Mapping[str, str]) -> dict[str, Value]:
    """What the environment gives, by parameter name; what is not given is not in it.

    Values are trimmed and an empty one is not given, except for `ROLLBACK_DRY_RUN`: a job that meant to only look must
    not change a cluster because a parameter came out empty. Raises UsageError with every problem; what
    `validate` refuses is refused here too, under the variable's name. In a build of Jenkins (`FROM`) the job's names
    count, and a build without parameters is refused: a job's first build has none, whatever its form says.
    """
    given, problems = read(environ)
    _raise(problems)
    return given


def read(environ: Mapping[str, str]) -> tuple[dict[str, Value], list[Problem]]:
    """What of the environment reads, and what is wrong with it (`from_environment`)."""
    given: dict[str, Value] = {}
    problems: list[Problem] = []
    jenkins = environ.get(FROM, "") == "jenkins"

    def called(p: Parameter) -> str:
        return (p.jenkins or p.env) if jenkins else p.env

    for p in PARAMETERS:
        if not p.from_environment or called(p) not in environ:
            if jenkins and p.empty_is_error and p.jenkins:
                problems.append(_problem(p.jenkins, "this build has no parameters", _BUILD_AGAIN))
            continue
        text = environ[called(p)].strip(" \t\r\n")
        if not text:
            if p.empty_is_error:
                fix = _BUILD_AGAIN if jenkins else "set it to true or false, or not at all"
                problems.append(_problem(called(p), "is set but empty", fix))
        elif p.kind in ("flag", "switch"):
            if text.lower() in _TRUE | _FALSE:
                given[p.name] = text.lower() in _TRUE
            else:
                problems.append(_problem(called(p), f"{text!r} is neither true nor false", "write true or false"))
        elif p.kind == "list":
            if words := tuple(dict.fromkeys(w for w in re.split(r"[ \t\r\n,]+", text) if w)):
                given[p.name] = words
        else:
            given[p.name] = text
    return given, [*problems, *_wrong(given, called)]


def asked(environ: Mapping[str, str]) -> dict[str, str]:
    """What a person asked a build for, as it was typed, by the job's names; what was left alone is not in it."""
    return {
        p.jenkins: text
        for p in OF_JENKINS
        if (text := environ.get(p.jenkins, "").strip()) and not (p.kind == "flag" and text.lower() in _FALSE)
    }


def validate(values: Mapping[str, object]) -> None:
    """Refuse values that cannot be meant, before they reach git, kubectl or a file name.

    ``values`` are by parameter name; None, False and empty lists are not given. Raises UsageError with every problem.
    """
    _raise(_wrong(values, lambda p: p.option))


def _wrong(values: Mapping[str, object], called: Callable[[Parameter], str]) -> list[Problem]:
    found: list[Problem] = []
    for name, value in values.items():
        p = BY_NAME.get(name)
        if p is None or value is None or isinstance(value, bool):
            continue
        for word in [value] if isinstance(value, str) else value if isinstance(value, Iterable) else [str(value)]:
            text, fix = _word_problem(p, str(word))
            if text:
                found.append(_problem(called(p), text, fix))
    return found


def _word_problem(p: Parameter, word: str) -> tuple[str, str]:
    """What is wrong with one value and the fix; two empty texts if nothing is."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return "is not UTF-8", ""
    if p.name == "reason":  # shown escaped, and cut where it is kept: nothing that a person types stops a rollback
        return "", ""
    if not word:
        return "is empty", "give a value, or leave it out"
    if word.startswith("-"):
        return f"{word!r} begins with '-', as options do", ""
    if not names.is_plain(word):
        return f"{word!r} holds characters that do not print", ""
    if p.kind == "choice" and word not in p.choices:
        return f"{word!r} is not one of the choices", _suggest(word, p.choices)
    if p.name == "wait" and not re.fullmatch(r"[1-9][0-9]{0,6}(ms|s|m|h)", word):
        return f"{word!r} is not a duration", "such as 30s or 10m"
    if p.name in ("to", "release") and not names.is_tag_name(word):
        fix = f"name a tag, such as v1.4.0, or {LAST_GOOD}" if p.name == "to" else "name a tag, such as v1.4.0"
        return f"{word!r} cannot be a release's tag", fix
    if p.name == "of_run" and not names.is_run(word):
        return f"{word!r} cannot be a run", "as history and the page of its build name it"
    if p.name == "keep_tag" and ("{release}" not in word or not re.fullmatch(names.IMAGE_TAG, _as_tag(word))):
        return f"{word!r} cannot be a registry tag of each release", "such as keep-{release}"
    if p.name == "service" and not names.is_label(word):
        return f"{word!r} cannot be a service", names.DNS_LABEL_MEANS
    if p.name == "namespace" and not names.is_label(word):
        return f"{word!r} cannot be a namespace", names.DNS_LABEL_MEANS
    if p.name == "environment" and not names.is_label(word, names.SHORT_LABEL):
        return f"{word!r} cannot be an environment", names.SHORT_LABEL_MEANS
    if p.name == "plan_hash" and not re.fullmatch(r"[0-9a-f]{64}", word):
        return f"{word!r} is not a plan's hash", "64 characters 0-9 and a-f, as the plan prints it"
    if p.name == "upstream_build" and not re.fullmatch(r"[1-9][0-9]{0,9}", word):
        return f"{word!r} is not a build's number", "such as 41"
    if p.name == "upstream_job" and len(word) > names.JOB_LIMIT:
        return f"is longer than {names.JOB_LIMIT} characters", "give the job's full name, such as shop/deploy"
    if p.name == "request_id" and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", word):
        return f"{word!r} cannot be a request", "letters, digits and ._:/-, 200 at most"
    return _accept_problem(word) if p.name == "accept" else ("", "")


def _as_tag(pattern: str) -> str:
    return pattern.replace("{release}", "v1")


def _accept_problem(word: str) -> tuple[str, str]:
    code, colon, name = word.partition(":")
    wanted = ACCEPT_CODES.get(code)
    if wanted is None:
        return f"{code!r} is not a code that can be accepted", _suggest(code, ACCEPT_CODES)
    if not wanted:
        return (f"{code!r} takes no name", f"write {code}") if colon else ("", "")
    shape = r"[A-Za-z][A-Za-z0-9.]*/[A-Za-z0-9][-A-Za-z0-9._:]*" if wanted == "KIND/NAME" else r"[^\s,:-][^\s,]*"
    if not re.fullmatch(shape, name) or (wanted == "RELEASE" and not names.is_tag_name(name)):
        return f"{word!r} does not say for what", f"write {code}:{wanted}"
    return "", ""


def _suggest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word[:80], known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _problem(key: str, text: str, fix: str) -> Problem:
    from rollback_lib.core.errors import Problem

    return Problem(text, key=key, fix=fix)


def _raise(problems: list[Problem]) -> None:
    if problems:
        from rollback_lib.core.errors import UsageError

        raise UsageError(*problems)
