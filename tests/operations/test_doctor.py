"""`rollback doctor`: which prerequisite is there, which is not, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.readouts import prerequisites
from rollback_lib.core.readouts.prerequisites import Check
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.traffic import slots
from rollback_lib.operations.doctor import examine
from tests.operations.small_world import NOW, SETTINGS, SmallWorld, deployment


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return running(SmallWorld(tmp_path))


def running(world: SmallWorld) -> SmallWorld:
    """With its newest release deployed."""
    world.runs("v1.2.0")
    return world


def examined(world: SmallWorld, environ: Mapping[str, str] | None = None) -> tuple[Check, ...]:
    return examine(world.session(environ))


def named(checks: tuple[Check, ...], name: str) -> list[Check]:
    return [c for c in checks if c.name == name]


def only(checks: tuple[Check, ...], name: str) -> Check:
    (found,) = named(checks, name)
    return found


def bad(checks: tuple[Check, ...]) -> list[tuple[str, str]]:
    return [(c.name, c.state) for c in checks if c.state != "ok"]


def test_all_there_is_all_ok(world: SmallWorld) -> None:
    checks = examined(world)
    assert bad(checks) == []
    assert only(checks, "git tags").text == '3 releases match "v*"; newest: v1.2.0, v1.1.0, v1.0.0.'
    assert only(checks, "manifests").text == "v1.2.0: 2 services, 2 objects."
    assert (
        only(checks, "images").text == "v1.2.0: 2 of 2 images are there, by release tag or as the manifest names them."
    )
    said = prerequisites.text(checks)
    assert "Ready for a rollback." in said
    assert max(map(len, said.splitlines())) <= 80


def test_an_image_without_a_release_tag_is_named(world: SmallWorld) -> None:
    del world.registry.tags["team/users:v1.2.0"]
    found = only(examined(world), "images")
    assert found.state == "FAIL"
    assert (
        found.text
        == "v1.2.0: 1 of 2 images are there, by release tag or as the manifest names them. Missing: team/users."
    )


def test_a_registry_that_cannot_tell_is_no_missing_image(world: SmallWorld) -> None:
    world.registry.down = "asked HEAD https://r.example: 503"
    checks = examined(world)
    assert only(checks, "registry").text == (
        "docker.io does not tell about 2 of 2 images: asked HEAD https://r.example: 503."
    )
    assert "Missing" not in only(checks, "images").text
    assert bad(checks) == [("registry", "FAIL"), ("images", "FAIL")]


def test_release_tags_that_are_mutable_prove_nothing(tmp_path: Path) -> None:
    moving = SETTINGS.replace('"team/{service}"', '"team/{service}", mutable_tags: [prod, v1.2.0]')
    found = only(examined(SmallWorld(tmp_path, moving)), "images")
    assert found.state == "FAIL"
    assert "0 of 2 images" in found.text
    assert "no name of it tells releases apart" in found.fix


def test_a_cluster_that_is_down_hides_nothing_else(world: SmallWorld) -> None:
    world.cluster.down = "the cluster does not answer."
    checks = examined(world)
    assert bad(checks) == [("cluster", "FAIL"), ("permission", "warn")]
    assert only(checks, "kubectl").text == "v1.36.1; the server's version is not known."


def test_a_manifest_that_does_not_read_is_a_finding(world: SmallWorld) -> None:
    world.release("v1.3.0", {"k8s/cart/broken.yaml": "a: [\n"})
    checks = examined(world)
    assert only(checks, "manifests").state == "FAIL"
    assert "k8s/cart/broken.yaml" in only(checks, "manifests").text
    assert bad(checks) == [("manifests", "FAIL"), ("images", "warn"), ("permission", "warn")]


def test_one_release_is_nothing_to_go_back_to(world: SmallWorld) -> None:
    for tag in ("v1.0.0", "v1.1.0"):
        world.repository.git("tag", "--delete", tag)
    assert only(examined(world), "git tags").state == "warn"


def test_tags_that_are_no_releases_say_which_pattern_to_set(world: SmallWorld) -> None:
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        world.repository.git("tag", f"build-{tag}", tag)
        world.repository.git("tag", "--delete", tag)
    found = only(examined(world), "git tags")
    assert found.state == "FAIL"
    assert "build-v1.2.0" in found.fix
    assert "releases.tag" in found.fix


RULES: list[dict[str, Any]] = [
    {"verbs": ["get", "list", "patch", "create", "delete"], "apiGroups": ["apps"], "resources": ["deployments"]},
    {"verbs": ["list"], "apiGroups": ["apps"], "resources": ["replicasets"]},
    {"verbs": ["list"], "apiGroups": ["", "autoscaling", "networking.k8s.io", "gateway.networking.k8s.io"],
     "resources": ["pods", "events", "horizontalpodautoscalers", "ingresses", "httproutes", "services"]},
    {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]},
    {"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["shop"]},
    {"verbs": ["create"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]},
    {"verbs": ["get", "update", "delete"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
     "resourceNames": ["rollback-shop"]},
    {"verbs": ["get", "list", "create", "update", "delete"], "apiGroups": [""], "resources": ["configmaps"]},
]  # fmt: skip


def test_a_role_with_just_what_is_needed_is_enough(world: SmallWorld) -> None:
    world.cluster.rules_are = RULES
    assert bad(examined(world)) == []


def test_what_is_missing_is_named_with_the_rule_to_add(world: SmallWorld) -> None:
    world.cluster.rules_are = [{**RULES[0], "verbs": ["get", "list"]}, *RULES[1:3], *RULES[4:]]
    checks = [c for c in examined(world) if c.state != "ok"]
    assert [(c.state, c.text.partition(":")[0]) for c in checks] == [
        ("FAIL", "may not patch deployments"),
        ("warn", "may not get pods/log"),
        ("warn", "may not create, delete deployments"),
    ]
    assert checks[0].fix == "Add to the Role: {apiGroups: [apps], resources: [deployments], verbs: [get, list, patch]}"


def test_a_role_limited_to_one_object_fails_for_the_others_by_name(world: SmallWorld) -> None:
    world.cluster.rules_are = [
        {**RULES[0], "verbs": ["get", "patch"], "resourceNames": ["cart"]},
        {**RULES[0], "verbs": ["list", "create", "delete"]},
        *RULES[1:],
    ]
    found, of_others = [c for c in examined(world) if c.state != "ok"]
    assert (found.state, of_others.state) == ("FAIL", "warn")
    assert of_others.text.startswith("may not get deployments: what only the failed release had goes")
    assert found.text == "may not get, patch deployments (users): objects of this kind are put back"


def test_without_the_right_to_a_ledger_a_rollback_goes_on_and_doctor_says_what_it_lacks(world: SmallWorld) -> None:
    world.cluster.rules_are = RULES[:-1]
    (found,) = [c for c in examined(world) if c.state != "ok"]
    assert found.state == "warn"
    assert "the ledger could not be kept" in found.text


def test_what_only_a_webhook_allows_is_allowed(world: SmallWorld) -> None:
    world.cluster.rules_are = []
    world.cluster.webhook = lambda verb, resource: True
    assert bad(examined(world)) == []


def test_requests_that_send_and_commands_need_rights_of_their_own(tmp_path: Path) -> None:
    step = "{service: cart, path: /login, method: POST, send: {a: b}}"
    flows = f"flows: [{{name: order, steps: [{step}]}}]"
    smoke = "smoke: [{service: cart, command: [ls]}, {service: cart, url: 'http://shop.example/'}]"
    world = running(SmallWorld(tmp_path, f"{SETTINGS}verify: {{{smoke}, {flows}}}\n"))
    world.cluster.rules_are = RULES
    assert [c.text for c in examined(world) if c.state == "FAIL"] == [
        "may not get pods: smoke tests run a command in it",
        "may not create pods/exec: smoke tests run a command in it",
        "may not create pods/proxy: smoke tests go through it",
    ]


def test_smoke_tests_need_the_way_to_the_pods(tmp_path: Path) -> None:
    world = running(SmallWorld(tmp_path, SETTINGS + "verify: {smoke: [{service: cart}]}\n"))
    world.cluster.rules_are = RULES
    assert [c.text for c in examined(world) if c.state == "FAIL"] == [
        "may not get pods/proxy: smoke tests go through it"
    ]


def test_a_stateful_set_needs_no_revisions_to_be_seen_and_its_stuck_pods_need_to_go(world: SmallWorld) -> None:
    import json

    body = deployment("db", kind="StatefulSet", image="postgres:16")
    world.release("v1.3.0", {"k8s/db/db.yaml": json.dumps(body)})
    world.cluster.rules_are = [{**RULES[0], "resources": ["deployments", "statefulsets"]}, *RULES[1:]]
    checks = examined(world)
    assert [c.text for c in checks if c.state == "FAIL"] == []
    lost = [c.text for c in checks if c.state == "warn"]
    assert any(text.startswith("may not list controllerrevisions") for text in lost)
    assert any(text.startswith("may not get, delete pods: a StatefulSet that is stuck") for text in lost)


@pytest.mark.parametrize(
    ("client", "server", "state"),
    [
        ("v1.36.3", "v1.35.0", "ok"),
        ("v1.34.1", "v1.35.0-gke.100", "ok"),
        ("v1.33.0", "v1.36.3", "warn"),
        ("v1.36.0", "v1.34.9", "warn"),
        ("hello", "v1.36.3", "warn"),
        ("v1.36.3", "", "ok"),
    ],
)
def test_kubectl_may_be_one_minor_version_away(client: str, server: str, state: str) -> None:
    assert prerequisites.kubectl(client, server).state == state


def test_a_context_that_the_kubeconfig_chooses_is_warned_of(world: SmallWorld) -> None:
    world.cluster.known_contexts = ("test", "production")
    found = only(examined(world), "cluster")
    assert found.state == "warn"
    assert "test, production" in found.fix


def test_a_bug_in_one_check_is_one_line_and_ends_no_other(world: SmallWorld) -> None:
    def broken(*_: object) -> bool:
        raise ZeroDivisionError("a\nb")

    world.cluster.rules_are = []
    world.cluster.webhook = broken
    found = only(examined(world), "permission")
    assert found.text == "could not be checked, by a bug of rollback: ZeroDivisionError: a b"


def test_an_error_with_several_reasons_is_still_one_line() -> None:
    found = prerequisites.failed("manifests", RefusedError("a.", "b.", "c.", "d.", "e.", "f."))
    assert found.text == "a. b. c. d. (and 2 more)"


CHANNELS = """\
notify:
  slack: {url_env: SLACK_URL}
  teams: {url_env: TEAMS_URL}
  apprise: {url_env: MAIL_URLS}
  webhooks: {pager: {url_env: PAGER_URL, headers: {Authorization: PAGER_TOKEN, X-Team: PAGER_TEAM}}}
announce: {url_env: STATUS_URL, text: We are on it., headers: {Authorization: STATUS_TOKEN}}
"""
SECRETS = {
    "SLACK_URL": "https://hooks.example/s3cret", "TEAMS_URL": "https://teams.example/s3cret",
    "MAIL_URLS": "mailto://me:s3cret@x", "PAGER_URL": "https://pager.example/s3cret", "PAGER_TOKEN": "Token s3cret",
    "PAGER_TEAM": "s3cret", "STATUS_URL": "https://status.example/s3cret", "STATUS_TOKEN": "s3cret",
}  # fmt: skip


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A world that tells people in every way, with the library for the rest installed."""
    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace())
    return running(SmallWorld(tmp_path, SETTINGS + CHANNELS))


def test_channels_that_have_all_they_need_are_one_line_without_a_value(telling: SmallWorld) -> None:
    checks = examined(telling, SECRETS)
    assert bad(checks) == []
    assert only(checks, "notify").text == (
        "slack, teams, apprise, pager, announce: all they need is set. Nothing was sent."
    )
    assert "s3cret" not in repr(checks)


@pytest.mark.parametrize("given", ["nothing", "empty"])
def test_each_variable_that_is_missing_is_named_with_its_channel_and_rollbacks_go_on(
    telling: SmallWorld, given: str
) -> None:
    checks = examined(telling, {} if given == "nothing" else dict.fromkeys(SECRETS, "  "))
    assert [(c.state, c.text) for c in named(checks, "notify")] == [
        ("warn", "slack: SLACK_URL is not set."), ("warn", "teams: TEAMS_URL is not set."),
        ("warn", "apprise: MAIL_URLS is not set."), ("warn", "pager: PAGER_URL is not set."),
        ("warn", "pager: PAGER_TOKEN is not set."), ("warn", "pager: PAGER_TEAM is not set."),
        ("warn", "announce: STATUS_URL is not set."), ("warn", "announce: STATUS_TOKEN is not set."),
    ]  # fmt: skip
    assert prerequisites.all_there(checks)
    assert named(checks, "notify")[0].fix == (
        "Set it where rollback runs; in Jenkins from a credential. A rollback goes on without; slack is not told."
    )
    said = prerequisites.text(checks)
    assert "Ready for a rollback. 8 warnings." in " ".join(said.split())
    assert all(name in said for name in SECRETS), "no name is taken for a secret"
    assert max(map(len, said.splitlines())) <= 80


def test_a_value_that_cannot_work_is_named_by_its_variable_and_not_shown(telling: SmallWorld) -> None:
    wrong = {"SLACK_URL": "hooks.example/s3cret", "STATUS_URL": "ftp://s3cret", "PAGER_TOKEN": "s3cret\r\nX: y"}
    checks = examined(telling, SECRETS | wrong)
    assert [c.text for c in named(checks, "notify") if c.state == "warn"] == [
        "slack: SLACK_URL holds no http address.", "pager: PAGER_TOKEN cannot be a header's value.",
        "announce: STATUS_URL holds no http address.",
    ]  # fmt: skip
    assert "s3cret" not in repr(checks)


def test_apprise_without_its_library_is_told_with_the_line_that_installs_it(
    telling: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (found,) = [c for c in examined(telling, SECRETS) if c.state != "ok"]
    assert (found.state, found.text) == ("warn", "apprise: the library is not installed.")
    assert found.fix.startswith("Run `pip install apprise`. A rollback goes on without")


def test_who_tells_nobody_reads_nothing_of_channels(world: SmallWorld) -> None:
    assert named(examined(world), "notify") == []


def test_d01_none_of_the_workloads_is_there(world: SmallWorld) -> None:
    world.cluster.objects.clear()
    found = only(examined(world), "workloads")
    assert (found.state, found.text) == (
        "FAIL", "0 of the 2 workloads of v1.2.0 are there; not in the cluster: Deployment/cart, Deployment/users.",
    )  # fmt: skip


def test_d01_one_that_is_gone_and_one_at_zero_are_named(world: SmallWorld) -> None:
    del world.cluster.objects["Deployment"]["users"]
    world.cluster.objects["Deployment"]["cart"]["spec"]["replicas"] = 0
    found = only(examined(world), "workloads")
    assert (found.state, found.text) == (
        "warn",
        "1 of the 2 workloads of v1.2.0 are there; at 0 replicas: Deployment/cart; not in the cluster: "
        "Deployment/users.",
    )


def test_d02_doctor_says_what_is_closed_and_who_holds_the_lock(world: SmallWorld) -> None:
    labels = {slots.CLOSED: "r0"}
    world.cluster.put(
        {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "shop", "labels": labels}}
    )
    session = world.session()
    session.ports.records.put(lock.lease("shop", Claim(holder="r0", by="eva"), NOW))
    checks = examine(session)
    assert only(checks, "traffic").text.startswith("CLOSED: Ingress/shop, closed since an unknown time by run r0")
    assert only(checks, "lock").text.startswith("Held by run r0")
    assert "Ready for a rollback. 2 warnings." in " ".join(prerequisites.text(checks).split())
