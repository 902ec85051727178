"""The Jenkins job, made from the one schema of parameters: for the Jenkinsfile, as config.xml, and for the Job DSL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple
from xml.sax.saxutils import escape

from rollback_lib.core.settings.parameters import LAST_GOOD, OF_JENKINS, Parameter

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
    return tuple(_parameter(p, environments, only_look) for p in OF_JENKINS)


def _parameter(p: Parameter, environments: Sequence[str], only_look: bool) -> JobParameter:
    text = p.jenkins_help or p.help
    if p.name == "environment" and environments:
        return JobParameter("choice", p.jenkins, "Which environment of rollback.yaml.", choices=tuple(environments))
    if p.kind == "choice":
        return JobParameter("choice", p.jenkins, text, choices=p.choices)
    if p.name == "dry_run":
        return JobParameter("booleanParam", p.jenkins, text, "true" if only_look else "false")
    if p.kind in ("flag", "switch"):  # nothing chosen: as rollback.yaml says
        return JobParameter("choice", p.jenkins, text, choices=("", "true", "false"))
    if p.name == "reason":
        return JobParameter("text", p.jenkins, text)
    return JobParameter("string", p.jenkins, text, LAST_GOOD if p.name == "to" else "")


def given(values: Mapping[str, object]) -> dict[str, str]:
    """The job's parameters for these options, by the job's names; what is not given keeps the job's default."""
    found: dict[str, str] = {}
    for p in OF_JENKINS:
        value = values.get(p.name)
        if isinstance(value, bool):
            found[p.jenkins] = "true" if value else "false"
        elif isinstance(value, (list, tuple)):
            found[p.jenkins] = " ".join(map(str, value))
        elif value is not None:
            found[p.jenkins] = str(value)
    return found


class Source(NamedTuple):
    """Where the job's Jenkinsfile is."""

    repository: str
    branch: str = "main"
    credentials: str = ""  # an id of the server's; empty for none
    script: str = "Jenkinsfile.rollback"


def config_xml(found: Sequence[JobParameter], source: Source) -> str:
    """The job as Jenkins keeps it: the parameters are there before its first build, and the checkout has its tags."""
    definitions = "\n".join(_definition(p) for p in found)
    credentials = f"<credentialsId>{escape(source.credentials)}</credentialsId>" if source.credentials else ""
    return _CONFIG.format(
        definitions=definitions, url=escape(source.repository), branch=escape(source.branch), credentials=credentials,
        script=escape(source.script),
    )  # fmt: skip


def job_dsl(found: Sequence[JobParameter], indent: str = "    ") -> str:
    """The inside of a Job DSL `parameters` block."""
    lines = [BEGIN]
    for p in found:
        text = _quoted(p.description)
        if p.type == "choice":
            lines.append(f"{indent}choiceParam({_quoted(p.name)}, [{', '.join(map(_quoted, p.choices))}], {text})")
        elif p.type == "booleanParam":
            lines.append(f"{indent}booleanParam({_quoted(p.name)}, {p.default}, {text})")
        elif p.type == "text":
            lines.append(f"{indent}textParam({_quoted(p.name)}, {_quoted(p.default)}, {text})")
        else:  # the form with arguments knows no trim
            said = f"name({_quoted(p.name)}); defaultValue({_quoted(p.default)}); description({text}); trim(true)"
            lines.append(f"{indent}stringParam {{ {said} }}")
    return "\n".join([*lines, END]) + "\n"


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


def with_parameters(text: str, found: Sequence[JobParameter]) -> str:
    """A Jenkinsfile or Job DSL script with its parameters written anew. Raises ValueError without the two marks."""
    begin, end = BEGIN + "\n", END + "\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError("it does not hold the two lines that begin and end what is rendered")
    before, rest = text.split(begin)
    return before + (job_dsl(found) if "pipelineJob(" in text else groovy(found)) + rest.split(end)[1]


def _quoted(text: str) -> str:
    """A Groovy string that nothing is expanded in."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _definition(p: JobParameter) -> str:
    kind = {"string": "String", "text": "Text", "booleanParam": "Boolean", "choice": "Choice"}[p.type]
    if p.type == "choice":
        choices = "".join(f"<string>{escape(c)}</string>" for c in p.choices)
        inside = f"<choices>{choices}</choices>"  # as Jenkins itself saves it
    else:
        inside = f"<defaultValue>{escape(p.default)}</defaultValue>"
        inside += f"<trim>{'true' if p.type == 'string' else 'false'}</trim>" if p.type in ("string", "text") else ""
    tag = f"hudson.model.{kind}ParameterDefinition"
    said = f"<name>{escape(p.name)}</name><description>{escape(p.description)}</description>"
    return f"        <{tag}>{said}{inside}</{tag}>"


_CONFIG: Final = """<?xml version='1.1' encoding='UTF-8'?>
<flow-definition>
  <description>Rolls a release back as the team's plan says. Written by `rollback jenkins provision`.</description>
  <keepDependencies>false</keepDependencies>
  <properties>
    <jenkins.model.BuildDiscarderProperty>
      <strategy class="hudson.tasks.LogRotator">
        <daysToKeep>-1</daysToKeep>
        <numToKeep>100</numToKeep>
        <artifactDaysToKeep>-1</artifactDaysToKeep>
        <artifactNumToKeep>-1</artifactNumToKeep>
      </strategy>
    </jenkins.model.BuildDiscarderProperty>
    <hudson.model.ParametersDefinitionProperty>
      <parameterDefinitions>
{definitions}
      </parameterDefinitions>
    </hudson.model.ParametersDefinitionProperty>
  </properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">
    <scm class="hudson.plugins.git.GitSCM">
      <configVersion>2</configVersion>
      <userRemoteConfigs>
        <hudson.plugins.git.UserRemoteConfig><url>{url}</url>{credentials}</hudson.plugins.git.UserRemoteConfig>
      </userRemoteConfigs>
      <branches>
        <hudson.plugins.git.BranchSpec><name>*/{branch}</name></hudson.plugins.git.BranchSpec>
      </branches>
      <doGenerateSubmoduleConfigurations>false</doGenerateSubmoduleConfigurations>
      <extensions>
        <hudson.plugins.git.extensions.impl.CloneOption>
          <shallow>false</shallow>
          <noTags>false</noTags>
          <reference></reference>
          <honorRefspec>false</honorRefspec>
        </hudson.plugins.git.extensions.impl.CloneOption>
      </extensions>
    </scm>
    <scriptPath>{script}</scriptPath>
    <lightweight>true</lightweight>
  </definition>
  <triggers/>
  <disabled>false</disabled>
</flow-definition>
"""
