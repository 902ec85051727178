"""Smoke tests, flows, logs, values and soak: real requests that show that a service works again."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rollback_lib.collectors import proof, smoke
from rollback_lib.collectors.rollout import Rollouts, Watched
from rollback_lib.core.errors import CheckError, UsageError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.run.records import Measure
from rollback_lib.core.settings import model as core_settings
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import Ports
from tests.fakes import FakeCluster, FakeGit, FakeInside, FakeRegistry, FakeWeb, ports

CART = ObjectRef("Deployment", "cart")
UP = Answered(200, b'{"status": "UP", "id": 7}', {"X-Version": "v1"}, 0.1)
DOWN = Answered(503, b"no healthy upstream")
START = "application: shop\nmanifests: {path: k8s}\nenvironments: {prod: {namespace: shop}}\n"


def deployment() -> dict[str, Any]:
    labels = {"app": "cart"}
    container = {"name": "cart", "image": "team/cart:v1", "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


class World:
    """A cart that answers as it is told."""

    def __init__(self, more: str, *answers: Answered, environ: dict[str, str] | None = None, **evidence: Any) -> None:
        self.settings: Settings = core_settings.load(START + more)
        self.cluster = FakeCluster(deployment())
        self.cluster.answers = list(answers or [UP])
        made: Ports = ports(self.cluster, FakeGit({}), FakeRegistry(), environ=environ or {})
        self.ports = replace(made, evidence=replace(made.evidence, **evidence))
        self.rollouts = Rollouts(self.ports, [Watched(CART)], rollout_timeout=60, crash_restarts=3)
        self.reports = self.rollouts.look()

    def whose(self, service: str) -> list[ObjectRef]:
        return [CART] if service == "cart" else []

    def requests(self) -> list[Any]:
        return proof.requests(self.settings, self.whose, self.rollouts.views, self.ports)

    def smoke(self) -> Any:
        return self.requests()[0]


def test_a_smoke_test_is_repeated_within_its_patience_and_each_try_is_kept() -> None:
    world = World("verify: {smoke: [{service: cart, patience: 10s, every: 2s}]}\n", DOWN, DOWN, UP)
    got = world.smoke()
    assert got.good
    assert [t.good for t in got.tries] == [False, False, True]
    assert [t.at[-9:] for t in got.tries] == ["12:00:00Z", "12:00:02Z", "12:00:04Z"]
    assert got.text == "cart/: 200, as expected (3 tries in 4 s)."


def test_what_stays_bad_ends_with_its_patience() -> None:
    got = World("verify: {smoke: [{service: cart, patience: 3s}]}\n", DOWN).smoke()
    assert not got.good
    assert len(got.tries) == 4
    assert "answered 503, expected 200" in got.text


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("json: {status: DOWN}", "its JSON has not"),
        ("body: nowhere", "its body is not like 'nowhere'"),
        ("header: {X-Version: v2}", "its header X-Version is not like 'v2'"),
        ("within: 50ms", "after 0.1 s, allowed are 50ms"),
        ("status: 204", "answered 200, expected 204"),
    ],
)
def test_each_thing_that_is_asked_of_an_answer_can_fail(test: str, said: str) -> None:
    got = World(f"verify: {{smoke: [{{service: cart, patience: 1s, every: 2s, {test}}}]}}\n").smoke()
    assert not got.good
    assert said in got.text


def test_all_that_is_asked_together_can_be_good() -> None:
    test = "json: {status: UP}, body: status, header: {x-version: ^v1$}, within: 1s"
    assert World(f"verify: {{smoke: [{{service: cart, {test}}}]}}\n").smoke().good


def test_a_url_is_asked_with_a_credential_from_the_environment_that_is_never_shown() -> None:
    web = FakeWeb({"https://shop.example/health": Answered(200, b"ok")})
    test = "{service: cart, url: 'https://shop.example/health', credentials: {Authorization: SHOP_AUTH}}"
    world = World(f"verify: {{smoke: [{test}]}}\n", environ={"SHOP_AUTH": "Bearer planted"}, web=web)
    got = world.smoke()
    assert got.good
    assert web.asked[0][3] == {"Authorization": "Bearer planted"}
    assert "planted" not in str(got)


def test_a_credential_that_is_not_set_is_named() -> None:
    test = "{service: cart, path: /x, patience: 1s, every: 2s, credentials: {X-Token: SHOP_TOKEN}}"
    got = World(f"verify: {{smoke: [{test}]}}\n").smoke()
    assert "SHOP_TOKEN is not set" in got.text


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("credentials: {Authorization: A}", "the API server takes this header for itself"),
        ("headers: {Authorization: Basic abc}", "a secret is not written here"),
        ("url: 'https://ana:pw@shop/'", "user name or password"),
        ("url: 'ftp://shop/'", "is not an http address"),
        ("body: '('", "is not a regular expression"),
        ("url: 'http://shop/', command: [ls]", "not both"),
        ("within: soon", "is not allowed here"),
        ("retry: 3", "unknown key"),
    ],
)
def test_a_smoke_test_that_cannot_be_meant_is_refused(test: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        core_settings.load(f"{START}verify: {{smoke: [{{service: cart, {test}}}]}}\n")


def test_a_command_runs_in_the_pods_own_container() -> None:
    inside = FakeInside(0, "3 queues, all well")
    world = World("verify: {smoke: [{service: cart, command: [queues, --list], body: all well}]}\n", inside=inside)
    assert world.smoke().good
    assert inside.ran == [("cart-pod", "cart", ("queues", "--list"))]


def test_a_command_that_fails_says_what_it_printed() -> None:
    inside = FakeInside(2, "password=hunter2 is wrong")
    test = "{service: cart, command: [login], patience: 1s, every: 2s}"
    got = World(f"verify: {{smoke: [{test}]}}\n", inside=inside).smoke()
    assert not got.good
    assert "ended with 2" in got.text
    assert "hunter2" not in got.text


FLOW = """\
verify:
  flows:
  - name: order
    steps:
    - {service: cart, path: /login, method: POST, send: {user: ana}, capture: {token: token, first: items.0.sku}}
    - {service: cart, path: "/cart/{first}", method: POST, headers: {X-Session: "{token}"}, send: {sku: "{first}"}}
"""
LOGGED_IN = Answered(200, b'{"token": "se ss\\r\\nX: y", "items": [{"sku": "a/b?c"}]}')


def test_a_flow_takes_values_from_one_step_to_the_next() -> None:
    world = World(FLOW, LOGGED_IN, UP)
    [got] = world.requests()
    assert got.good, got
    assert got.text == "flow order: all 2 steps as expected."
    method, _, path, headers, body = world.cluster.asked[1]
    assert (method, path) == ("POST", "/cart/a%2Fb%3Fc"), "a value is one part of a path, whatever stands in it"
    assert headers["X-Session"] == "se ssX: y", "and one line of a header"
    assert json.loads(body) == {"sku": "a/b?c"}


def test_a_flow_ends_with_its_first_bad_step_and_tells_no_captured_value() -> None:
    world = World(FLOW, LOGGED_IN, DOWN)
    [got] = world.requests()
    assert not got.good
    assert "flow order stops at step 2 of 2: POST cart/cart/{first}: answered 503" in got.text
    assert "se ss" not in str(got)


def test_a_flow_says_what_it_could_not_capture() -> None:
    [got] = World(FLOW, Answered(200, b"{}")).requests()
    assert "its answer has no token to capture" in got.text


def test_a_flow_that_uses_what_nothing_captured_is_refused() -> None:
    with pytest.raises(UsageError, match="captured by no step before"):
        core_settings.load(START + FLOW.replace("{first}", "{second}"))


def test_signs_in_the_new_pods_logs_are_told_or_fail_as_settings_say() -> None:
    for mode, good in (("warn", True), ("fail", False)):
        world = World(f"verify: {{logs: {mode}}}\n")
        world.cluster.log_texts["cart-pod", "cart", False] = "FATAL: no bean\n"
        [got] = proof.log_signs(world.settings, world.rollouts.views, world.reports, world.ports)
        assert (got.service, got.good) == ("cart", good)
        assert "FATAL: no bean" in got.text


def test_quiet_logs_are_good() -> None:
    world = World("verify: {logs: fail}\n")
    [got] = proof.log_signs(world.settings, world.rollouts.views, world.reports, world.ports)
    assert got.good


def test_a_soak_ends_with_the_first_bad_answer() -> None:
    world = World("verify: {soak: 1m, smoke: [{service: cart, patience: 1s, every: 2s}]}\n", UP, UP, DOWN)
    [got] = proof.soak(world.settings, world.rollouts, world.whose, world.ports)
    assert not got.good
    assert got.text.startswith("after 15 s of its soak: cart/: answered 503")


def test_a_soak_that_stays_good_takes_its_time() -> None:
    world = World("verify: {soak: 1m}\n")
    [got] = proof.soak(world.settings, world.rollouts, world.whose, world.ports)
    assert got.good
    assert got.seconds == 60


QUERY = "detect: {prometheus: {url: 'http://prom', queries: [{name: error rate, query: x, above: '0.05'}]}}\n"
HIGH = Answered(200, b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[0,"0.5"]}]}}')


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (True, "error rate is 0.5, above 0.05 (0.4 before the rollback)."),
        (False, "error rate is 0.5, above 0.05 (0.4 before the rollback); it may look back at the failed release."),
    ],
)
def test_a_value_beyond_its_threshold_fails_only_after_a_soak(binding: bool, text: str) -> None:
    web = FakeWeb({"http://prom/api/v1/query": HIGH})
    world = World(QUERY, web=web)
    [got] = proof.metrics(world.settings, world.ports, [Measure(name="error rate", value=0.4)], binding=binding)
    assert (got.good, got.text) == (not binding, text)


def test_prometheus_that_is_down_fails_no_rollback() -> None:
    world = World(QUERY)
    assert all(c.good for c in proof.metrics(world.settings, world.ports, (), binding=True))


def test_detect_asks_nothing_that_could_change_something() -> None:
    world = World("verify: {smoke: [{service: cart, method: POST}, {service: cart, command: [rm]}]}\n", DOWN)
    for test in world.settings.verify.smoke:
        assert list(smoke.findings(test, [CART], world.rollouts.views, world.ports)) == []
    assert world.cluster.asked == []


def test_c45_one_bad_answer_is_no_suspicion_and_is_told_all_the_same() -> None:
    world = World("verify: {smoke: [{service: cart}]}\n", DOWN, UP)
    [got] = smoke.findings(world.settings.verify.smoke[0], [CART], world.rollouts.views, world.ports)
    assert (got.severity, got.cause) == ("note", "SmokeFlaked")
    assert re.match(r"cart/: answered 503.* \(at 12:00:00\)", got.text)


def test_c45_a_connection_that_is_reset_once_is_no_suspicion() -> None:
    world = World("verify: {smoke: [{service: cart}]}\n", Answered(problem="connection reset"), UP)
    assert [
        f.severity for f in smoke.findings(world.settings.verify.smoke[0], [CART], world.rollouts.views, world.ports)
    ] == ["note"]


@pytest.mark.parametrize("unseen", ["ReplicaSet", "Pod", "Deployment"])
def test_a_rollout_that_nobody_may_see_any_more_is_not_waited_for(unseen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("")
    seen = world.cluster.snapshot

    def blind(kinds: Sequence[str], versions: Any = None) -> Snapshot:
        refused = {unseen: f"cannot list {unseen} (forbidden)"} if unseen in kinds else {}
        return Snapshot(seen(kinds, versions).objects, refused)

    monkeypatch.setattr(world.cluster, "snapshot", blind)
    with pytest.raises(CheckError, match=f"Nobody can tell how the rollout goes: cannot list {unseen} "):
        world.rollouts.until_over()
