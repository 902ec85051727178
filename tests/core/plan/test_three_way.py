"""Only what the failed release changed is put back; what somebody else owns stays, and is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.plan import three_way
from tests.fakes import apply_operations

Object = dict[str, Any]


def config(data: Object, **meta: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}, "data": data}


def service(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}


def after(base: Object | None, target: Object, live: Object) -> tuple[Object, tuple[str, ...]]:
    merged = three_way.merge(base, target, live)
    done = apply_operations(live, merged.operations)
    assert done is not None, "its own tests must pass on what it was made for"
    return done, merged.kept


def test_what_the_failed_release_changed_is_put_back() -> None:
    found, kept = after(config({"A": "2"}), config({"A": "1"}), config({"A": "2"}))
    assert (found["data"], kept) == ({"A": "1"}, ())


def test_what_it_added_is_taken_away_and_what_it_removed_comes_back() -> None:
    found, _ = after(config({"NEW": "x"}), config({"OLD": "y"}), config({"NEW": "x"}))
    assert found["data"] == {"OLD": "y"}


def test_a_key_that_somebody_else_added_stays() -> None:
    found, kept = after(config({"A": "2"}), config({"A": "1"}), config({"A": "2", "HAND": "z"}))
    assert (found["data"], kept) == ({"A": "1", "HAND": "z"}, ())


def test_a_field_that_differs_from_both_is_kept_and_said() -> None:
    blue, green = {"slot": "blue"}, {"slot": "green"}
    found, kept = after(service(selector=blue), service(selector=blue), service(selector=green))
    assert (found["spec"]["selector"], kept) == (green, ("spec.selector.slot",))


def test_a_node_port_stays_where_the_ports_change() -> None:
    was = [{"port": 80, "targetPort": 9999}]
    now = [{"port": 80, "protocol": "TCP", "targetPort": 9999, "nodePort": 30100}]
    found, _ = after(service(ports=was), service(ports=[{"port": 80, "targetPort": 8080}]), service(ports=now))
    assert found["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30100}]


@pytest.mark.parametrize(
    ("base", "target", "live", "result", "kept"),
    [
        (3, 1, 3, 1, ()),  # the failed release scaled up
        (1, 1, 3, 3, ("spec.replicas",)),  # a person did
        (2, 1, 5, 5, ("spec.replicas",)),  # both did
        (None, 1, 3, 3, ("spec.replicas",)),  # nobody wrote a number, so somebody scaled it
        (None, 2, 1, 2, ()),  # 1 is the server's default
    ],
)
def test_replicas(base: int | None, target: int, live: int, result: int, kept: tuple[str, ...]) -> None:
    def of(replicas: int | None) -> Object:
        spec = {} if replicas is None else {"replicas": replicas}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}

    found, said = after(of(base), of(target), of(live))
    assert (found["spec"]["replicas"], tuple(k.split(" ")[0] for k in said)) == (result, kept)


def test_without_a_record_of_the_last_apply_the_target_is_put_and_nothing_is_taken_away() -> None:
    found, _ = after(None, config({"A": "1"}), config({"A": "2", "B": "3"}))
    assert found["data"] == {"A": "1", "B": "3"}


def test_labels_and_annotations_of_others_stay() -> None:
    live = config({}, labels={"app": "x", "team": "ops"}, annotations={"example.com/a~b": "1"})
    found, _ = after(config({}, labels={"app": "y"}), config({}, labels={"app": "x"}), live)
    assert found["metadata"]["labels"] == {"app": "x", "team": "ops"}
    assert found["metadata"]["annotations"] == {"example.com/a~b": "1"}


def test_each_replacement_stands_behind_a_test_of_what_was_planned() -> None:
    merged = three_way.merge(config({"a/b": "2"}), config({"a/b": "1"}), config({"a/b": "2"}))
    assert [(o.op, o.path) for o in merged.operations] == [("test", "/data/a~1b"), ("replace", "/data/a~1b")]
    assert apply_operations(config({"a/b": "changed meanwhile"}), merged.operations) is None


def test_the_pod_template_is_replaced_whole_behind_a_test() -> None:
    def of(env: str) -> Object:
        pods = {"spec": {"containers": [{"name": "c", "env": env}]}}
        meta = {"name": "d", "annotations": {LAST_APPLIED: "{}"}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": pods}}

    target = {**of("old"), "metadata": {"name": "d"}}
    patch = three_way.patch(None, target, of("new"), namespace="shop", stamps={"rollback-lib/run": "r"})
    done = apply_operations(of("new"), patch.operations)
    assert done is not None
    assert done["spec"] == target["spec"]
    assert json.loads(done["metadata"]["annotations"][LAST_APPLIED])["metadata"]["namespace"] == "shop"
    assert done["metadata"]["annotations"]["rollback-lib/run"] == "r"


def test_last_applied_is_written_as_kubectl_writes_it() -> None:
    text = three_way.last_applied_text(
        {"kind": "K", "apiVersion": "v1", "metadata": {"name": "n"}, "data": {"a": "<&>é"}}, "ns"
    )
    assert text == (
        '{"apiVersion":"v1","data":{"a":"\\u003c\\u0026\\u003eé"},"kind":"K",'
        '"metadata":{"annotations":{},"name":"n","namespace":"ns"}}\n'
    )


values = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2", "3"]), max_size=4)


@given(values, values, values)
def test_a_second_merge_has_nothing_left_to_do(base: Object, target: Object, live: Object) -> None:
    done, _ = after(config(base), config(target), config(live))
    assert three_way.merge(config(target), config(target), done).operations == ()
    for key, value in target.items():
        if base.get(key) != value and live.get(key) == base.get(key):
            assert done["data"][key] == value


def workload(kind: str, **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "d"}, "spec": spec}


def applied(obj: Object, **others: Object) -> Object:
    """The object as `kubectl apply` made it; ``others``: what somebody else has set, by manager, as fieldsV1."""
    mine = {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {}}}
    entries = [{"manager": m.replace("_", "-"), "operation": "Update", "fieldsV1": f} for m, f in others.items()]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [mine, *entries]}}


ROLLING = {"maxSurge": "25%", "maxUnavailable": "25%"}


@pytest.mark.parametrize(
    ("kind", "field", "asked", "simple"),
    [
        ("Deployment", "strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, {"type": "Recreate"}),
        ("Deployment", "strategy", {"type": "RollingUpdate"}, {"type": "Recreate"}),
        ("Deployment", "strategy", None, {"type": "Recreate"}),
        ("StatefulSet", "updateStrategy", {"rollingUpdate": {"partition": 1}}, {"type": "OnDelete"}),
        ("DaemonSet", "updateStrategy", None, {"type": "OnDelete"}),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["applied client-side", "applied server-side"])
def test_a_strategy_takes_along_what_only_the_other_one_may_have(
    kind: str, field: str, asked: Any, simple: Object, known: bool
) -> None:
    base = workload(kind, **({field: asked} if asked else {}))
    live = workload(kind, **{field: {"type": "RollingUpdate", "rollingUpdate": ROLLING, **(asked or {})}})
    found, kept = after(base if known else None, workload(kind, **{field: simple}), live)
    assert (found["spec"], kept) == ({field: simple}, ())


def test_a_mapping_that_the_target_lacks_goes_with_what_the_server_filled_in() -> None:
    def of(**behavior: Any) -> Object:
        spec = {"maxReplicas": 3, **({"behavior": behavior} if behavior else {})}
        kind = "HorizontalPodAutoscaler"
        return {"apiVersion": "autoscaling/v2", "kind": kind, "metadata": {"name": "h"}, "spec": spec}

    asked = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    live = of(scaleDown={**asked["scaleDown"], "selectPolicy": "Max"}, scaleUp={"selectPolicy": "Max"})
    assert after(of(**asked), of(), applied(live))[0]["spec"] == {"maxReplicas": 3}
    by_hand = {"f:spec": {"f:behavior": {"f:scaleUp": {"f:selectPolicy": {}}}}}
    found, _ = after(of(**asked), of(), applied(live, kubectl_edit=by_hand))
    assert found["spec"].get("behavior", {}).get("scaleUp") == {"selectPolicy": "Max"}, (
        "what somebody else has set stays"
    )
    assert "stabilizationWindowSeconds" not in found["spec"].get("behavior", {}).get("scaleDown", {})


@pytest.mark.parametrize("known", [True, False])
def test_of_members_that_exclude_each_other_the_targets_is_left(known: bool) -> None:
    def budget(**spec: Any) -> Object:
        return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}

    def ingress(backend: Object) -> Object:
        spec = {"defaultBackend": backend}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": spec}

    some, most = budget(minAvailable=1), budget(maxUnavailable=1)
    assert after(most if known else None, some, most)[0]["spec"] == {"minAvailable": 1}
    page, bucket = ingress({"service": {"name": "web"}}), ingress({"resource": {"kind": "Bucket", "name": "b"}})
    assert after(bucket if known else None, page, bucket)[0]["spec"] == page["spec"]


def test_keys_of_data_exclude_nothing() -> None:
    found, _ = after(None, config({"service": "a"}), config({"resource": "b"}))
    assert found["data"] == {"service": "a", "resource": "b"}
