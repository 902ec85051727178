"""Whether an object provably began with the failed release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollback_lib.core.plan import orphans
from rollback_lib.core.plan.beginnings import Failed, doubt, first_own
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import LEFT, NONE, RESTART, UPDATE

Object = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
DEPLOYED = datetime(2026, 2, 23, 9, 30, tzinfo=UTC)
FAILED = Failed(
    release="v1.2.0", since=DEPLOYED,
    after=(
        ("v1.2.0 was committed", DEPLOYED - timedelta(hours=2)), ("v1.1.0 was recorded", DEPLOYED - timedelta(days=9)),
    ),
)  # fmt: skip


def at(seconds: float = 0.0) -> str:
    return (DEPLOYED + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry(manager: str, seconds: float, operation: str = "Update", *, kept: bool = True, **more: Any) -> Object:
    notes = {f"f:{LAST_APPLIED}": {}} if kept else {}
    return {"manager": manager, "operation": operation, "time": at(seconds),
            "fieldsV1": {"f:metadata": {"f:annotations": notes}}, **more}  # fmt: skip


APPLY = "kubectl-client-side-apply"


def live(made: float, *entries: Object, kind: str = "Deployment", name: str = "cache") -> Object:
    meta = {"name": name, "creationTimestamp": at(made), "managedFields": list(entries),
            "annotations": {LAST_APPLIED: "{}"}}  # fmt: skip
    return {"kind": kind, "metadata": meta}


@pytest.mark.parametrize(
    "found",
    [
        live(0, entry(APPLY, 0)),
        live(-20, entry(APPLY, -20)),
        live(3600, entry(APPLY, 3600), entry("kube-controller-manager", 3500, kept=False, subresource="status")),
        live(5, entry("jenkins", 5)),
        live(5, entry("kubectl", 5, "Apply", kept=False)),
        live(5, entry("kubectl-edit", 60), entry(APPLY, 5)),
        live(5, entry("reloader", 6, kept=False), entry(APPLY, 5)),
    ],
    ids=["at once", "before the first workload", "by a late wave", "by another manager's name", "server-side",
         "edited later", "touched by a program later"],
)  # fmt: skip
def test_what_the_failed_release_applied_first_is_its_own(found: Object) -> None:
    assert doubt(found, FAILED) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (live(-86400, entry("kubectl-create", -86400), entry(APPLY, 0)), "it is older than v1.2.0"),
        (live(-86400, entry(APPLY, -86400)), "v1.2.0 was committed"),
        (live(-3600, entry(APPLY, -3600)), "v1.2.0 was deployed 2026-02-23 09:30:00"),
        (live(-10, entry("kubectl-create", -10), entry(APPLY, 0)), "kubectl-create made it"),
        (live(-10, entry("kubectl-create", -10, kept=True)), "kubectl-create made it"),
        (live(-10, entry("terraform", -10, kept=False), entry(APPLY, 0)), "terraform made it"),
        (live(0, entry(APPLY, 0), entry("terraform", 0, kept=False)), "terraform made it"),
        (live(0, entry(APPLY, 7200)), "its first apply that is known is of 2026-02-23 11:30:00"),
        (live(0), "nothing tells who made it"),
        ({"kind": "Deployment", "metadata": {"name": "cache"}}, "nothing tells when it was made"),
    ],
    ids=["by hand, and then in git", "applied before the commit", "applied between commit and deploy",
         "by hand during the deploy", "create --save-config", "by another program", "in the same second",
         "all of it written anew later",
         "no managedFields", "no time"],
)  # fmt: skip
def test_what_may_be_older_stays(found: Object, said: str) -> None:
    assert said in doubt(found, FAILED)


def test_what_another_file_of_the_target_names_stays_and_what_nobody_knows_too() -> None:
    mine = live(0, entry(APPLY, 0))
    assert doubt(mine, Failed(**{**fields(FAILED), "named": {"cache": "deploy/cache.yaml of v1.1.0"}})) == (
        "deploy/cache.yaml of v1.1.0 names it"
    )
    assert "only v1.2.0 made" in doubt(mine, Failed(**{**fields(FAILED), "since": None}))
    assert doubt(mine, Failed(unknown="no release tag stands for what runs")) == "no release tag stands for what runs"


def fields(failed: Failed) -> dict[str, Any]:
    return {name: getattr(failed, name) for name in failed.__struct_fields__}


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "CronJob"])
def test_a_workload_that_is_ready_goes_only_with_its_code(kind: str) -> None:
    ready = {"readyReplicas": 1, "numberReady": 1}
    found = {**live(0, entry(APPLY, 0), kind=kind), "status": ready}
    said = orphans.orphan(found, [], FAILED)
    if kind == "CronJob":
        assert said.change == "delete"
        return
    assert (said.change, f"--accept orphan:{kind}/cache" in said.why) == (LEFT, True)
    assert orphans.orphan(found, [], FAILED, accepted=[f"orphan:{kind}/cache"]).change == "delete"
    assert orphans.orphan({**found, "status": {"replicas": 1}}, [], FAILED).change == "delete"
    old = {**live(-86400, entry(APPLY, -86400), kind=kind), "status": ready}
    assert orphans.orphan(old, [], FAILED, accepted=[f"orphan:{kind}/cache"]).change == LEFT, "a code is no proof"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Service", {"selector": {"app": "cache"}}),
        ("PodDisruptionBudget", {"selector": {"matchLabels": {"app": "cache"}}}),
        ("PodDisruptionBudget", {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}),
        ("HorizontalPodAutoscaler", {"scaleTargetRef": {"kind": "Deployment", "name": "cache"}}),
    ],
)
def test_what_a_workload_that_stays_needs_stays_with_it(kind: str, spec: Object) -> None:
    pods = {"metadata": {"labels": {"app": "cache", "tier": "1"}}}
    workload = {"kind": "Deployment", "metadata": {"name": "cache"}, "spec": {"template": pods}}
    found = {**live(0, entry(APPLY, 0), kind=kind), "spec": spec}
    assert orphans.orphan(found, [], FAILED, [workload]).why == "Deployment/cache stays and needs it"
    assert orphans.orphan(found, [], FAILED, []).change == "delete"


def revision(kind: str, of: str, made: float, pods: Object, name: str) -> Object:
    owner = {"uid": of, "controller": True}
    labels = {"controller-revision-hash": name}
    meta = {"name": name, "creationTimestamp": at(made), "ownerReferences": [owner], "labels": labels}
    return {"kind": kind, "metadata": meta, "spec": {"template": pods}, "revision": int(made) + 10**7}


def draft(name: str, change: str = UPDATE, kind: str = "Deployment") -> Draft:
    def body(image: str) -> Object:
        pods = {"spec": {"containers": [{"name": name, "image": image}]}}
        return {"kind": kind, "metadata": {"name": name, "uid": f"uid-{name}"}, "spec": {"template": pods}}

    after = body("new" if change == NONE else "old")
    return Draft(service=name, wave=1, file="", target=body("old"), live=body("new"), change=change, after=after)


def test_the_failed_release_began_with_its_first_own_revision() -> None:
    new, old = ({"spec": {"containers": [{"name": n, "image": i}]}} for n, i in (("a", "new"), ("a", "old")))
    sets = [revision("ReplicaSet", "uid-a", 5, new, "a-2"), revision("ReplicaSet", "uid-a", -90, old, "a-1")]
    committed = DEPLOYED - timedelta(hours=2)
    assert first_own([draft("a")], sets, [], committed) == DEPLOYED + timedelta(seconds=5)
    for change in (NONE, RESTART):
        assert first_own([draft("a", change)], sets, [], committed) is None, "it is the target's as well"
    late = DEPLOYED + timedelta(hours=1)
    assert first_own([draft("a")], sets, [], late) is None, "it ran before the release was committed"
    assert first_own([draft("a")], sets, [], None) is None


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_sets_tell_it_by_their_controller_revision(kind: str) -> None:
    revisions = [revision("ControllerRevision", "uid-db", made, {}, f"db-{made}") for made in (-900, 7)]
    committed = DEPLOYED - timedelta(hours=2)
    assert first_own([draft("db", kind=kind)], [], revisions, committed) == DEPLOYED + timedelta(seconds=7)
    assert first_own([draft("db", kind=kind)], [], [], committed) is None
