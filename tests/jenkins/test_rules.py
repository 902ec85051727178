"""What the validator refuses, before a live Jenkins would; RULES in the order of `engine/Declarative.groovy`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.jenkins.controller import STEPS
from tests.jenkins.engine import Engine

RULES = (Path(__file__).parent / "RULES.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"\[(?:J(?:[1-9]|1[0-8])|notes|not seen)\]")


def told() -> list[str]:
    """The rules of RULES.md: what is numbered, a row of a table, an item."""
    text = RULES[RULES.index("## What Jenkins refuses too") : RULES.index("## What is not known here")]
    found: list[str] = []
    for line in text.splitlines():
        if re.match(r"\d+\. |- |\| (?!what )[^-]", line):
            found.append(line)
        elif found and line.startswith("  "):
            found[-1] += line.strip()
    return found


def test_each_rule_names_what_shows_it() -> None:
    rules = told()
    assert len(rules) > 30
    assert [rule for rule in rules if not SHOWN.search(rule.rstrip(" .|")[-12:])] == []


@pytest.mark.parametrize("row", ["J1", "J2", "J7", "J8", "J10", "J16"])
def test_each_row_that_the_engine_differed_in_has_a_rule(row: str) -> None:
    assert [rule for rule in told() if f"[{row}]" in rule]


ASKS = """options { timeout(time: 1, unit: 'HOURS') }
      input { message 'Go on?' }
      steps { script { if (env.B) { echo 'yes' } } }"""
GOOD = """pipeline {
  agent none
  options { timeout(time: 1, unit: 'HOURS') }
  parameters { string(name: 'A', defaultValue: '') }
  environment { B = 'b' }
  stages {
    stage('One') { agent any; steps { echo 'hello' } }
    stage('Two') {
      options { timeout(time: 1, unit: 'HOURS') }
      input { message 'Go on?' }
      steps { script { if (env.B) { echo 'yes' } } }
    }
  }
  post { always { echo 'end' } }
}
def more(String a) { sh 'true' }
"""


def rules(engine: Engine, text: str, folder: Path) -> list[str]:
    file = folder / "Jenkinsfile"
    file.write_text(text, encoding="utf-8")
    request = {"file": str(file), "params": {}, "scm": {}, "steps": list(STEPS), "library": [], "only_rules": True}
    return list(engine.play(request, lambda event, args: None).get("rules", []))


@pytest.mark.parametrize(
    "asks",
    [
        ASKS,
        "options { timeout(1) }\n steps { script { env.WHO = input(message: 'Go on?') } }",
        "steps { timeout(1) { input 'Go on?' } }",
        f"agent none; stages {{ stage('In') {{ {ASKS} }} }}",
        "agent any; options { timeout(1) }\n input { message 'Go on?' }\n steps { echo 'x' }",
    ],
)
def test_a_good_file_is_accepted(engine: Engine, tmp_path: Path, asks: str) -> None:
    assert rules(engine, GOOD.replace(ASKS, asks), tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("agent none", "", 'Missing required section "agent"'),
        ("agent none", "agent none\n  agent any", "Multiple occurrences of the agent section"),
        ("agent any", "agent any; agent any", "Multiple occurrences of the agent section"),
        ("agent none", "agent nowhere", "Invalid agent type"),
        ("agent none", "agent none\n  colour 'red'", 'Undefined section "colour"'),
        ("agent any; steps { echo 'hello' }", "agent any", "Expected one of"),
        ("agent any; steps { echo 'hello' }", "agent any; steps { }", "No steps specified"),
        ("agent any; steps { echo 'hello' }", "agent any; echo 'hello'", 'Undefined section "echo"'),
        ("agent any; steps { echo 'hello' }", "when { expression { true } } steps { echo 'x' }", "Undefined section"),
        ("stage('Two')", "stage('One')", 'Duplicate stage name: "One"'),
        ("stage('Two')", "stage(\"Two ${1}\")", "Stage does not have a name"),
        ("options { timeout(time: 1, unit: 'HOURS') }\n      input",
         "options { disableConcurrentBuilds() }\n      input",
         'Invalid option type "disableConcurrentBuilds"'),
        ("options { timeout(time: 1, unit: 'HOURS') }\n  param", "options { timeouts(1) }\n  param",
         'Invalid option type "timeouts"'),
        ("options { timeout(time: 1, unit: 'HOURS') }\n      input", "input", 'stage "Two" asks without a timeout'),
        ("options { timeout(time: 1, unit: 'HOURS') }\n      input", "options { lock('x'); timeout(1) }\n      input",
         "holds a lock while a person thinks"),
        ("options { timeout(time: 1, unit: 'HOURS') }\n  param", "options { lock('x') }\n  param",
         "lock holds for the whole run"),
        (ASKS, "steps { input 'Go on?' }", 'stage "Two" asks without a timeout'),
        (ASKS, "steps { script { def who = input(message: 'x') } }", 'stage "Two" asks without a timeout'),
        (ASKS, "options { lock('x'); timeout(1) }\n steps { input 'x' }", "holds a lock while a person thinks"),
        (ASKS, "steps { lock('x') { timeout(1) { input 'x' } } }", "holds a lock while a person thinks"),
        (ASKS, "agent any; options { timeout(1) }\n steps { input 'x' }", "holds an executor while a person thinks"),
        (ASKS, "steps { node('x') { timeout(1) { input 'x' } } }", "holds an executor while a person thinks"),
        (ASKS, f"agent any; stages {{ stage('In') {{ {ASKS} }} }}", "holds an executor while a person thinks"),
        (ASKS, f"options {{ lock('x') }}\n stages {{ stage('In') {{ {ASKS} }} }}", "holds a lock while a person"),
        ("agent none", "agent any", "holds an executor while a person thinks"),
        ("sh 'true'", "input 'x'", "asks in a function"),
        ("message 'Go on?'", "ok 'Go on?'", 'Missing required parameter: "message"'),
        ("message 'Go on?'", "message 'x'; colour 'y'", 'Invalid input option "colour"'),
        ("string(name: 'A'", "strings(name: 'A'", 'Invalid parameter type "strings"'),
        ("B = 'b'", "echo 'b'", "Expected name=value pairs in environment"),
        ("B = 'b'", 'B = "${params.A}"', "a parameter in environment is expanded once more"),
        ("always {", "sometimes {", 'Invalid condition "sometimes"'),
        ("post { always { echo 'end' } }", "post { }", "post can not be empty"),
        ("steps { echo 'hello' }", "steps { if (true) { echo 'x' } }", "Expected a step"),
        ("steps { echo 'hello' }", "steps { stage('x') { echo 'x' } }", 'Invalid step "stage" used'),
        ("steps { echo 'hello' }", "steps { options { timeout(1) } }", "a directive outside its place"),
        ("steps { echo 'hello' }", "steps { ecko 'x' }", "No such DSL method 'ecko'"),
        ("sh 'true'", 'sh "true ${a}"', "the script is not a literal"),
        ("sh 'true'", "sh 'true ' + a", "the script is not a literal"),
        ("sh 'true'", "sh(script: a)", "the script is not a literal"),
        ("sh 'true'", "bat a", "the script is not a literal"),
        ("sh 'true'", "new File('/x')", "Scripts not permitted to use new"),
        ("sh 'true'", "a.execute()", "Scripts not permitted to use method execute"),
        ("sh 'true'", "currentBuild.rawBuild.getCauses()", "Scripts not permitted to use method getCauses"),
    ],
)  # fmt: skip
def test_what_jenkins_would_refuse_is_refused_here(
    engine: Engine, tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert GOOD.count(old) == 1
    found = rules(engine, GOOD.replace(old, new), tmp_path)
    assert [line for line in found if said in line], found


def test_a_comparator_that_cps_would_break_is_seen_broken(engine: Engine, tmp_path: Path) -> None:
    """The engine is Jenkins's own: a trap of CPS that plain Groovy does not have (JENKINS-44924)."""
    said: list[str] = []
    file = tmp_path / "Jenkinsfile"
    file.write_text("echo([3, 1, 2].sort { a, b -> a <=> b }.toString())", encoding="utf-8")
    request = {"file": str(file), "params": {}, "scm": {}, "steps": [*STEPS], "library": []}
    end = engine.play({**request, "rules": False}, lambda event, args: said.append(str(args)))
    assert "crash" not in end
    assert said == ["['echo', ['-1']]"]


@pytest.mark.parametrize("name", ["seed.groovy", "vars/rollbackOnFailure.groovy", "vars/rollbackGuard.groovy"])
def test_what_else_is_installed_is_groovy_that_jenkins_reads(engine: Engine, name: str) -> None:
    file = Path(__file__).parents[2] / "jenkins" / name
    request = {
        "file": str(file),
        "params": {},
        "scm": {},
        "steps": [],
        "library": [],
        "rules": False,
        "only_rules": True,
    }
    end = engine.play(request, lambda event, args: None)
    assert "rules" not in end, end["rules"]
    assert "crash" not in end, end["crash"]


def test_a_restart_from_a_stage_cannot_skip_the_approval() -> None:
    text = (Path(__file__).parents[2] / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    assert "disableRestartFromStage()" in text
    assert "abortPrevious: true" not in text
