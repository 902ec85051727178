"""Values that Go and Python write in other bytes, in whole runs: env, command, ConfigMaps, annotations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.sandbox.shop import GOOD
from tests.cli.desk import Desk

ODD = 'mysql://db:3306/shop?ssl=false&tz=UTC <año> \U0001f600 \u2028 \x7f \x85 "q" \\ \t\b\x01'


def with_odd_values(desk: Desk, odd: str) -> None:
    """The shop as it is, with the value in each place that a rollback of it tests."""
    (name,) = (c["name"] for c in containers(desk))
    env = [{"name": "ODD", "value": odd}]
    pods: Any = {"metadata": {"annotations": {"odd": odd}}, "spec": {"containers": [{"name": name, "env": env}]}}
    change = {"metadata": {"annotations": {"odd": odd}}, "spec": {"template": pods}}
    desk.playground.must("patch", "deployment/user-service", f"--patch={json.dumps(change)}")
    meta = {"name": "user-settings", "annotations": {"odd": odd}}
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"limit": f"20{odd}"}}
    desk.playground.must("apply", "--filename=-", given=json.dumps(applied))


def containers(desk: Desk) -> list[Any]:
    return list(desk.live("deployment", "user-service")["spec"]["template"]["spec"]["containers"])


@pytest.mark.parametrize("odd", ["a&b", "a<b>", "año", "\U0001f600", "\u2028", "\x7f\x85", ODD])
def test_the_dry_run_of_what_has_such_a_value_passes(desk: Desk, odd: str) -> None:
    with_odd_values(desk, odd)
    ended = desk.rollback("plan", "--to", GOOD, "--output", "json")
    assert ended.code == 0, ended.json["error"]
    changes = {f"{o['kind']}/{o['name']}": o["change"] for s in ended.json["plan"]["services"] for o in s["objects"]}
    assert (changes["Deployment/user-service"], changes["ConfigMap/user-settings"]) == ("update", "update")


@pytest.mark.long
def test_a_run_takes_such_values_away_and_an_undo_brings_them_back_to_the_byte(desk: Desk) -> None:
    with_odd_values(desk, ODD)
    notes = {
        n: desk.live(*n)["metadata"]["annotations"] for n in (("deployment", "user-service"), ("cm", "user-settings"))
    }
    assert desk.rollback("run", "--to", GOOD, "--yes", "--output", "json").code == 0
    assert not [e for c in containers(desk) for e in c.get("env") or [] if e["name"] == "ODD"]
    ended = desk.rollback("undo", desk.runs()[-1].name, "--yes", "--output", "json")
    assert ended.code == 0, ended.json["error"]
    assert [e["value"] for c in containers(desk) for e in c["env"] if e["name"] == "ODD"] == [ODD]
    for name, before in notes.items():
        now = desk.live(*name)["metadata"]["annotations"]
        assert {k: now.get(k) for k in (LAST_APPLIED, "odd")} == {k: before.get(k) for k in (LAST_APPLIED, "odd")}
