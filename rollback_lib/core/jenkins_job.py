"""The Jenkins job, made from the one schema of parameters: for the Jenkinsfile, as config.xml, and for the Job DSL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from rollback_lib.core.parameters import LAST_GOOD, OF_JENKINS

BEGIN: Final = "    // begin: written by `rollback jenkins render`, from the library's own schema"
END: Final = "    // end: written by `rollback jenkins render`"

Type = Literal["string", "text", "booleanParam", "choice"]


class JobParameter(NamedTuple):
    """One parameter of the job. ``choices`` of a choice: the first is the default."""

    type: Type
    name: str
    description: str
    default: str = ""
    choices: tuple[str, ...] = ()


def parameters(environments: Sequence[str] = (), *, only_look: bool = False) -> tuple[JobParameter, ...]:
    """The job's parameters. ``environments``: their names, where the settings are known; ``only_look``: by default."""
    return tuple(_parameter(p.name, p.jenkins, p.kind, p.help, environments, only_look) for p in OF_JENKINS)


def _parameter(
    name: str, jenkins: str, kind: str, text: str, environments: Sequence[str], only_look: bool
) -> JobParameter:
    text = text.replace(" (repeatable)", ", separated by blanks" if kind == "list" else "")
    if name == "environment" and environments:
        return JobParameter("choice", jenkins, "Which environment of rollback.yaml.", choices=tuple(environments))
    if kind == "flag":
        return JobParameter("booleanParam", jenkins, text, "true" if only_look else "false")
    if name == "reason":
        return JobParameter("text", jenkins, text)
    return JobParameter("string", jenkins, text, LAST_GOOD if name == "to" else "")


def groovy(found: Sequence[JobParameter], indent: str = "    ") -> str:
    """The inside of the Jenkinsfile's `parameters` block."""
    lines = [BEGIN]
    for p in found:
        given = [f"name: {_quoted(p.name)}"]
        if p.type == "choice":
            given.append(f"choices: [{', '.join(map(_quoted, p.choices))}]")
        else:
            given.append(f"defaultValue: {p.default if p.type == 'booleanParam' else _quoted(p.default)}")
        if p.type == "string":
            given.append("trim: true")
        given.append(f"description: {_quoted(p.description)}")
        lines.append(f"{indent}{p.type}({', '.join(given)})")
    return "\n".join([*lines, END]) + "\n"


def with_parameters(jenkinsfile: str, found: Sequence[JobParameter]) -> str:
    """The Jenkinsfile with its parameters written anew. Raises ValueError where the marks are not there, once each."""
    begin, end = BEGIN + "\n", END + "\n"
    if jenkinsfile.count(begin) != 1 or jenkinsfile.count(end) != 1:
        raise ValueError("it does not hold the two lines that begin and end what is rendered")
    before, rest = jenkinsfile.split(begin)
    return before + groovy(found) + rest.split(end)[1]


def _quoted(text: str) -> str:
    """A Groovy string that nothing is expanded in."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
