"""The whole table of rights on the sandbox: a run with exactly what the Role gives, and with each right taken away."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from rollback_lib.core.rights import role
from rollback_lib.sandbox.cluster import ADMIN
from rollback_lib.sandbox.shop import GOOD, NAMESPACE
from tests.cli.desk import WORKER, Desk
from tests.command_line import Ended

REQUIRED: list[dict[str, Any]] = yaml.safe_load("\n".join(role.required()))
RULES: list[dict[str, Any]] = yaml.safe_load("\n".join([*role.required(), *role.more()]))
RIGHTS = list(dict.fromkeys((v, r) for rule in RULES for r in rule["resources"] for v in rule["verbs"]))
SMOKE = "verify:\n  smoke: [{service: user-service, path: /actuator/health}]\n"
PAGE = "    isolation: {mode: service, targets: [user-service], drain: 1s, maintenance: {}}\n"


@pytest.fixture
def desk(desk: Desk) -> Iterator[Desk]:
    """Its shop has a ConfigMap and a Deployment to delete, and a ConfigMap to create."""
    desk.settings(PAGE + SMOKE)
    yield desk
    desk.playground.cluster.set_users((ADMIN,))


def allow(desk: Desk, rules: Sequence[dict[str, Any]]) -> None:
    """The Role's, in the shop's namespace, and nothing else."""
    named = {"ecommerce": NAMESPACE}
    mine = tuple(
        {**r, "namespaces": [NAMESPACE], "resourceNames": [named.get(n, n) for n in r.get("resourceNames", [])]}
        for r in rules
    )
    desk.playground.cluster.set_users((dataclasses.replace(ADMIN, rules=mine),))


def without(right: tuple[str, str]) -> list[dict[str, Any]]:
    single = [{**r, "resources": [x], "verbs": [v]} for r in RULES for x in r["resources"] for v in r["verbs"]]
    return [r for r in single if (r["verbs"][0], r["resources"][0]) != right]


def run(desk: Desk, *arguments: str) -> tuple[Ended, list[str]]:
    """How it ended, and the plan's warnings of what the run goes without."""
    desk.playground.cluster.requests.clear()
    ended = desk.rollback("run", "--to", GOOD, "--yes", "--accept", WORKER, *arguments)
    plan = desk.runs()[-1] / "plan.json"
    warned = json.loads(plan.read_text(encoding="utf-8"))["warnings"] if plan.is_file() else []
    return ended, [w for w in warned if "we may not" in w]


def test_the_role_is_enough(desk: Desk) -> None:
    allow(desk, RULES)
    ended, lost = run(desk)
    assert (ended.code, lost) == (0, []), ended


def _cases() -> Iterator[Any]:
    """Those that a run goes without take a whole run each: one of them in the gate."""
    needed = {(v, r) for rule in REQUIRED for r in rule["resources"] for v in rule["verbs"]}
    for right in RIGHTS:
        quick = right in {*needed, ("get", "pods/proxy"), ("list", "events")} - {("get", "services")}
        yield pytest.param(right, id=" ".join(right), marks=[] if quick else [pytest.mark.long])


@pytest.mark.parametrize("right", list(_cases()))
def test_without_one_of_its_rights_a_run_is_refused_or_says_what_is_lost(desk: Desk, right: tuple[str, str]) -> None:
    verb, resource = right
    before = desk.objects()
    allow(desk, without(right))
    ended, lost = run(desk)
    if ended.code == 3:
        assert not desk.playground.cluster.requests.writes()
        desk.playground.cluster.set_users((ADMIN,))
        assert desk.objects() == before
        said = " ".join((ended.err + ended.out).split())
        named = rf"we may not {verb} {resource}\b[^:]*: |`{verb}` on {resource}|cannot {verb} {resource}"
        assert re.search(named, said), said
        return
    assert ended.code == 0, ended
    if not any(re.search(rf"\b{verb}\b.* {resource}", w) for w in lost):  # nothing is lost by it but with --isolate
        desk.put_back()
        desk.settings(PAGE + SMOKE)
        ended, _ = run(desk, "--isolate", "--dry-run")
        assert ended.code == 3, ended
        assert f"we may not {verb} {resource}" in " ".join((ended.err + ended.out).split())
