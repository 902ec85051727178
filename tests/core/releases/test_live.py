"""What runs, beside what a container is to get; and what it had before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback_lib.core.images.confirmation import Past, Revision
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage, Running
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan import three_way
from rollback_lib.core.releases import live
from rollback_lib.core.releases.live import LiveContainer

RAN, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
WEB = ContainerRef(ObjectRef("Deployment", "web"), "web")


@pytest.mark.parametrize(
    ("named", "answer", "runs", "same"),
    [
        ("team/web:58", "", RAN, True),
        ("team/web:prod", "", RAN, False),  # a deploy overwrites it: the next pod may run another
        ("team/web:prod", RAN, RAN, True),
        ("team/web:58", OTHER, RAN, False),  # it has moved in the registry
        ("team/web:58", "", OTHER, False),
        (f"team/web@{RAN}", "", RAN, True),
        (f"team/web:58@{OTHER}", "", RAN, False),
        ("team/web:58", "", "", False),  # no pod says anything
    ],
)
def test_another_name_is_the_image_where_pods_run_it_and_deploys_do_not_overwrite_it(
    named: str, answer: str, runs: str, same: bool
) -> None:
    image = ContainerImage(
        service="web", kind="Deployment", name="web", container="web", own=True, manifest="team/web:v8",
        to=f"team/web@{RAN}", digest=RAN, digests=(RAN,), rung="ledger",
    )  # fmt: skip
    pods = (Running(f"team/web@{runs}", named, ready=True, newest=True),) if runs else ()
    answers = {named: Answer(named, "present", answer, (answer,))} if answer else {}
    found = live.beside(image, LiveContainer(name="web", image=named, running=pods), answers, ("prod",))
    assert found.live_is_target is same


def workload(kind: str, image: str, *, applied: str = "") -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "web", "image": image}]}}
    notes = {
        LAST_APPLIED: json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": applied}]}}}})
    }
    return {
        "kind": kind, "metadata": {"name": "web", "uid": "w", "annotations": notes if applied else {}},
        "spec": {"template": template},
    }  # fmt: skip


def revision(kind: str, number: int, image: str) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "web", "image": image}]}}
    body = {"spec": {"template": template}} if kind == "ReplicaSet" else {"data": {"spec": {"template": template}}}
    return {
        **body, "kind": kind, "revision": number,
        "metadata": {
            "name": f"web-{number}", "uid": f"r{number}", "creationTimestamp": f"2026-11-0{number}T09:00:00Z",
            "ownerReferences": [{"uid": "w", "controller": True}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("Deployment", "ReplicaSet"), ("StatefulSet", "ControllerRevision"), ("DaemonSet", "ControllerRevision")],
)
def test_the_past_of_a_container_is_what_its_older_revisions_name_and_what_apply_was_given(
    kind: str, kept: str
) -> None:
    held = [revision(kept, n, f"team/web:{image}") for n, image in ((2, "58"), (1, "57"), (3, "59"))]
    now = workload(kind, "team/web:59", applied="team/web:v8")
    snapshot = Snapshot({kind: {"web": now}, kept: {r["metadata"]["name"]: r for r in held}})
    ref = ContainerRef(ObjectRef(kind, "web"), "web")
    assert live.pasts(live.live(snapshot))[ref] == Past(
        live="team/web:59", applied="team/web:v8", since="2026-11-03T09:00:00Z",
        revisions=(
            Revision("team/web:57", "2026-11-01T09:00:00Z", "web-1"),
            Revision("team/web:58", "2026-11-02T09:00:00Z", "web-2"),
        ),
    )  # fmt: skip


def test_a_workload_without_revisions_or_annotation_has_no_past_but_its_template() -> None:
    snapshot = Snapshot({"Deployment": {"web": workload("Deployment", "team/web:59")}})
    assert live.pasts(live.live(snapshot)) == {WEB: Past(live="team/web:59")}
    broken = workload("Deployment", "team/web:59", applied="x")
    broken["metadata"]["annotations"][LAST_APPLIED] = "{not json"
    assert live.pasts(live.live(Snapshot({"Deployment": {"web": broken}}))) == {WEB: Past(live="team/web:59")}


def _given(**more: object) -> dict[str, object]:
    pods = {"spec": {"containers": [{"name": "a", "image": "x:1", "env": [{"name": "A", "value": "1"}]}]}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"replicas": 1, "template": pods}, **more,
    }  # fmt: skip


def test_a_file_and_what_kubectl_kept_of_it_have_one_shape() -> None:
    text = three_way.last_applied_text(_given(), "shop")
    assert live.applied_shape(json.loads(text)) == live.applied_shape(_given())
    pinned = json.loads(text.replace("x:1", "x@sha256:" + "a" * 64).replace('"replicas":1', '"replicas":1.0'))
    pinned["metadata"]["annotations"] = {"rollback-lib/run": "r", "kubernetes.io/change-cause": "rollback"}
    assert live.applied_shape(pinned) == live.applied_shape(_given())
    assert live.applied_shape(json.loads(text.replace('"1"', '"2"'))) != live.applied_shape(_given())
    assert live.applied_shape(_given(kind="StatefulSet")) != live.applied_shape(_given())
