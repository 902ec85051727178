"""Whose the fields are that we wrote: a pure question about managedFields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.kube import field_owners
from rollback_lib.core.kube.objects import LAST_APPLIED
from tests.fakes import apply_operations

Object = dict[str, Any]
IMAGE = {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}
WRITTEN = {"f:containers": {'k:{"name":"web"}': {"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}, "f:image": {}}}}
POD = {"spec": {"containers": [{"name": "web"}]}}


def entry(manager: str, fields: Object, operation: str = "Update", **more: Any) -> Object:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def in_pods(fields: Object) -> Object:
    return {"f:spec": {"f:template": {"f:spec": fields}}}


def deployment(*entries: Object, **notes: str) -> Object:
    meta = {"name": "web", "resourceVersion": "7", "annotations": notes, "managedFields": list(entries)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": POD}}


def owners(obj: Object) -> dict[str, Any]:
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}


def folded(before: Object, now: Object, *, anew: bool = False) -> dict[str, Any]:
    found = apply_operations(now, field_owners.given_back(now, field_owners.appliers(before, anew=anew)))
    assert found is not None
    return owners(found)


TEAM = entry("team", in_pods(IMAGE), "Apply")
LEFT = entry("team", in_pods({"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}}}}), "Apply")
MARKS = {"f:metadata": {"f:annotations": {"f:rollback-lib/run": {}}}}
OURS = entry("kubectl-client-side-apply", {**in_pods(WRITTEN), **MARKS})
BOTH = {
    "f:containers": {
        'k:{"name":"web"}': {
            ".": {}, "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}, "f:image": {}, "f:name": {},
        }
    }
}  # fmt: skip


def test_what_we_wrote_goes_to_the_one_who_applies_and_our_marks_stay_ours() -> None:
    status = entry("kube-controller-manager", {"f:status": {}}, subresource="status")
    found = folded(deployment(TEAM, status), deployment(LEFT, status, OURS))
    assert found == {
        "team": in_pods(BOTH), "kube-controller-manager": {"f:status": {}},
        "kubectl-client-side-apply": MARKS,
    }  # fmt: skip


def test_it_is_done_once_and_behind_a_test_of_what_it_was_made_for() -> None:
    before, now = deployment(TEAM), deployment(LEFT, OURS)
    appliers = field_owners.appliers(before)
    done = apply_operations(now, field_owners.given_back(now, appliers))
    assert done is not None
    assert field_owners.given_back(done, appliers) == ()
    later = {**now, "metadata": {**now["metadata"], "resourceVersion": "8"}}
    assert apply_operations(later, field_owners.given_back(now, appliers)) is None


def test_an_entry_that_lost_all_its_fields_comes_back() -> None:
    data = {"f:data": {"f:A": {}}}
    team = entry("team", data, "Apply", time="2026-01-01T00:00:00Z")
    before = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": [team]}}
    mine = entry("kubectl-client-side-apply", {"f:data": {"f:A": {}, "f:B": {}}})
    now = {**before, "metadata": {"name": "c", "resourceVersion": "7", "managedFields": [mine]}}
    found = apply_operations(now, field_owners.given_back(now, field_owners.appliers(before)))
    assert found is not None
    assert found["metadata"]["managedFields"] == [{**team, "fieldsV1": {"f:data": {"f:A": {}, "f:B": {}}}}]


def test_of_two_appliers_each_has_again_what_it_had_and_none_gets_the_rest() -> None:
    labels = entry("labels", {"f:metadata": {"f:labels": {"f:app": {}}}}, "Apply")
    found = folded(deployment(TEAM, labels), deployment(LEFT, labels, OURS))
    assert found["team"] == in_pods(
        IMAGE | {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}
    )
    assert found["labels"] == labels["fieldsV1"]
    assert field_owners.paths(found["kubectl-client-side-apply"]) >= field_owners.paths(
        in_pods({"f:containers": {'k:{"name":"web"}': {"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}}}})
    )


@pytest.mark.parametrize(
    "before",
    [
        deployment(entry("labels", {"f:metadata": {"f:labels": {"f:app": {}}}}, "Apply")),
        deployment(entry("scaler", {"f:spec": {"f:replicas": {}}}, "Apply")),
        deployment(entry("scaler", {"f:spec": {"f:replicas": {}}}, "Apply", subresource="scale")),
        deployment(entry("kubectl-client-side-apply", in_pods(IMAGE))),
        deployment(),
    ],
    ids=["a label", "a number", "a subresource", "applied client-side", "nobody"],
)
def test_who_holds_neither_what_we_wrote_nor_the_image_gets_nothing(before: Object) -> None:
    now = deployment(*before["metadata"]["managedFields"], OURS)
    assert field_owners.given_back(now, field_owners.appliers(before)) == ()


def test_where_it_is_applied_client_side_too_only_what_was_the_appliers_goes_back() -> None:
    found = folded(deployment(TEAM, **{LAST_APPLIED: "{}"}), deployment(LEFT, OURS))
    assert found["team"] == TEAM["fieldsV1"]
    assert "f:spec" in found["kubectl-client-side-apply"]


def test_of_a_new_object_what_others_had_set_does_not_become_the_appliers() -> None:
    scaled = entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    whole = {"f:spec": {"f:replicas": {}, **in_pods(BOTH)["f:spec"]}}
    found = folded(deployment(TEAM, scaled), deployment(entry("kubectl-client-side-apply", whole)), anew=True)
    assert found == {"team": in_pods(BOTH), "kubectl-client-side-apply": {"f:spec": {"f:replicas": {}}}}


def test_a_planned_restart_stays_ours() -> None:
    restart = {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}
    mine = entry("kubectl-client-side-apply", {"f:spec": {"f:template": restart}})
    now = deployment(TEAM, mine)
    assert field_owners.given_back(now, field_owners.appliers(deployment(TEAM))) == ()


names = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"d"'])
some_paths = st.frozensets(st.lists(names, min_size=1, max_size=4).map(tuple), max_size=8)


@given(some_paths)
def test_a_set_of_fields_and_its_tree_are_the_same(fields: frozenset[tuple[str, ...]]) -> None:
    assert field_owners.paths(field_owners.tree(fields)) == fields
