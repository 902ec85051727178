"""The server refuses a value and quotes the object: nothing of it leaves, and the place is told."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import GOOD
from tests.cli.desk import Desk
from tests.faults import DENIED

SECRET = "q9Xw-planted-value"  # in a variable whose name says nothing, so that no rule of names finds it
FILE = "k8s/user-service/deployment.yaml"
EXACT = ("manifests", "before")  # what is applied, to the byte; never archived


def plant(desk: Desk, old: str, new: str, *, file: str = FILE) -> str:
    """The target's manifest with a value that lacks its quotes, and the secret live and in it; the manifest's text."""
    env = f"\n        - name: GREETING\n          value: {SECRET}"
    text = desk.file(GOOD, file).replace("        env:", f"        env:{env}", 1).replace(old, new, 1)
    assert new in text
    desk.rewrite(GOOD, {file: text})
    desk.playground.must("set", "env", "deployment/user-service", f"GREETING={SECRET}")
    return text


def leaks(desk: Desk, said: str) -> list[str]:
    found = ["what was said"] if SECRET in said else []
    for run in desk.runs():
        files = [p for p in run.rglob("*") if p.is_file() and p.relative_to(run).parts[0] not in EXACT]
        found += [str(p) for p in files if SECRET in p.read_text("utf-8", "replace")]
    return found


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('value: "prod"', "value: 12e3", "spec.template.spec.containers[0].env[1].value is a number"),
        ("  labels:\n", "  labels:\n    v: 12e3\n", "metadata.labels.v is a number"),
        ("    metadata:\n", "    metadata:\n      annotations: {a: yes}\n",
         "spec.template.metadata.annotations.a is true or false"),
    ],
    ids=["env", "label", "annotation"],
)  # fmt: skip
def test_a_value_without_quotes_is_refused_with_its_place_and_no_value_of_the_object(
    desk: Desk, old: str, new: str, field: str
) -> None:
    text = plant(desk, old, new)
    line = text[: text.index(new.strip().splitlines()[-1].strip())].count("\n") + 1
    ended = desk.rollback("run", "--to", GOOD, "--yes", "--output", "json")
    assert ended.code == 3, ended
    assert f"{FILE}:{line}: {field}, where only text may be. Put it in quotes there" in ended.json["error"]
    assert "cannot unmarshal" in ended.json["error"]
    assert "[--accept skip:Deployment/user-service]" in ended.json["error"]
    assert leaks(desk, ended.out + ended.err) == []


def test_what_stands_in_an_old_release_has_a_way_through(desk: Desk) -> None:
    plant(desk, 'value: "prod"', "value: 12e3")
    skipped = desk.rollback("plan", "--to", GOOD, "--accept", "skip:Deployment/user-service", "--output", "json")
    assert skipped.code == 0, skipped.json["error"]
    assert leaks(desk, skipped.out + skipped.err) == []


@pytest.mark.long
def test_what_the_server_says_of_a_write_is_told_without_the_object(desk: Desk) -> None:
    plant(desk, 'value: "prod"', 'value: "other"')
    quoted = json.dumps({"kind": "Deployment", "env": [{"name": "GREETING", "value": SECRET}]})
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), DENIED, times=None,
        said=f"not at night: {quoted}; ask the platform team",
    )  # fmt: skip
    ended = desk.rollback("run", "--to", GOOD, "--yes", "--output", "json")
    assert ended.code == 4, ended
    assert "denied the request: not at night: [hidden]; ask the platform team" in ended.json["error"]
    assert leaks(desk, ended.out + ended.err) == []
