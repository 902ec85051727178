"""What the state of a workload says about a release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core import health
from rollback_lib.core.evidence import workloads
from rollback_lib.core.evidence.logs import SIGNS
from rollback_lib.core.health import Patience, View
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Logs

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=9), x, max_size=3), max_leaves=10,
)  # fmt: skip


def at(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def view(status: dict[str, Any], *, ready: bool, age: float = 3600.0) -> View:
    """A Deployment with one pod whose container has this status."""
    container = {"name": "cart", "image": "team/cart:v2", "readinessProbe": PROBE}
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container]}}
    workload = {
        "kind": "Deployment", "metadata": {"name": "cart", "uid": "d", "generation": 1},
        "spec": {"replicas": 1, "template": template}, "status": {"observedGeneration": 1},
    }  # fmt: skip
    replica_set = {
        "metadata": {"uid": "r", "name": "r", "ownerReferences": [{"uid": "d"}]},
        "spec": {"template": template},
    }
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": at(age)}
    pod = {
        "metadata": {"name": "cart-1", "uid": "p", "ownerReferences": [{"uid": "r"}], "creationTimestamp": at(age)},
        "spec": template["spec"],
        "status": {"conditions": [condition], "containerStatuses": [{"name": "cart", "ready": ready, **status}]},
    }
    return View(workload, replica_sets=(replica_set,), pods=(pod,))


def found(one: View) -> list[Finding]:
    report = health.assess(one, Patience(now=NOW, crash_restarts=workloads.CRASHES))
    return list(workloads.of_workload(one, report, NOW))


def ended(seconds_ago: float, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    return {"terminated": {"finishedAt": at(seconds_ago), "reason": reason, "exitCode": code}}


CART = ObjectRef("Deployment", "cart")
RUNNING: dict[str, Any] = {"running": {"startedAt": at(500)}}


def test_a_pod_that_is_not_ready_is_a_suspicion_until_its_probes_have_had_their_time() -> None:
    early, late = (found(view({"state": RUNNING}, ready=False, age=age))[0] for age in (5, 3600))
    assert (early.severity, early.cause) == ("suspect", "NotReady")
    assert (late.severity, late.cause, late.since) == ("broken", "NeverReady", at(3600))


def test_one_crash_may_be_a_wait_for_another_service_and_two_are_not() -> None:
    once = found(view({"state": RUNNING, "lastState": ended(3), "restartCount": 1}, ready=False, age=10))[0]
    assert (once.severity, once.cause) == ("suspect", "Crashed")
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    again = found(view({"state": waiting, "lastState": ended(3), "restartCount": 2}, ready=False, age=30))[0]
    assert (again.severity, again.cause) == ("broken", "CrashLoopBackOff")


def test_a_healthy_service_that_crashed_only_while_everything_started_is_not_accused() -> None:
    assert found(view({"state": RUNNING, "lastState": ended(595), "restartCount": 2}, ready=True, age=600)) == []


@pytest.mark.parametrize(
    ("reason", "ago", "told"), [("OOMKilled", 60, True), ("Error", 60, True), ("Error", 7200, False)]
)
def test_a_healthy_service_that_was_restarted_lately_is_suspect(reason: str, ago: float, told: bool) -> None:
    one = view({"state": RUNNING, "lastState": ended(ago, reason, 137), "restartCount": 4}, ready=True, age=90_000)
    assert [(f.severity, f.cause) for f in found(one)] == ([("suspect", reason)] if told else [])


def test_an_ordinary_restart_after_success_is_no_suspicion() -> None:
    assert found(view({"state": RUNNING, "lastState": ended(60, "Completed", 0)}, ready=True, age=9000)) == []


def named(image: str) -> dict[ObjectRef, dict[str, Any]]:
    container = {"name": "cart", "image": image}
    return {CART: {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [container]}}}}}


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("team/cart:v9", False), ("mirror.example:5000/x/cart@sha256:" + "a" * 64, False), ("team/users:v2", True),
        ("${IMAGE}", False), ("", False),
    ],
)  # fmt: skip
def test_an_image_is_wrong_by_its_name_not_by_its_tag_or_place(said: str, wrong: bool) -> None:
    views = {CART: view({"state": RUNNING}, ready=True)}
    assert [f.cause for f in workloads.wrong_images(views, named(said), "v2")] == (["WrongImage"] if wrong else [])


def test_variables_that_differ_are_named_without_their_values() -> None:
    body = named("team/cart:v2")
    body[CART]["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "PROFILE", "value": "prod"},
    ]  # fmt: skip
    [got] = workloads.wrong_settings({CART: view({}, ready=True)}, body, "v2", {"PROFILE"})
    assert got.severity == "note"
    assert got.text == "variables are not what v2 says (cart: DB_PASSWORD)"


def test_a_sick_services_last_line_is_told_where_it_shows_no_sign() -> None:
    log = "2026-03-01T11:59:00.5Z starting\n2026-03-01T11:59:01Z bye\n"
    [got] = workloads.of_logs("cart", [log], [], SIGNS, Logs(), healthy=False)
    assert (got.severity, got.text) == ("note", "its log ends with: bye")
    assert list(workloads.of_logs("cart", [log], [], SIGNS, Logs(), healthy=True)) == []


@given(VALUES, VALUES, VALUES)
def test_no_object_however_strange_breaks_the_look(status: Any, metadata: Any, event: Any) -> None:
    workload = {"kind": "Deployment", "metadata": {"name": "x", "uid": "u"}, "status": status}
    pod = {"metadata": metadata, "status": status}
    one = View(workload, pods=(pod,), events=({"type": "Warning", "message": event, "involvedObject": metadata},))
    report = health.assess(one, Patience(now=NOW))
    list(workloads.of_workload(one, report, NOW))
    list(workloads.of_events(one, "x", NOW, healthy=False))
