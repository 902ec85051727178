"""What was asked for compared with what the server returned: one comparison for every kind."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.kube.snapshot import DryRun
from rollback_lib.core.plan import decide, dry_run, recreate
from rollback_lib.core.plan.decide import Draft

INVALID = 'Thing "web" is invalid: spec: Forbidden: field is immutable'


def obj(kind: str, spec: Any = None, *, data: Any = None, **meta: Any) -> Object:
    made: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web", **meta}}
    return made | ({"spec": spec} if spec is not None else {}) | ({"data": data} if data is not None else {})


def draft(target: Object, live: Object, base: Object | None = None) -> Draft:
    made = Draft(service="web", wave=1, file="k8s/web.yaml", target=target, live=live, change="left")
    return decide.put_back(made, base, namespace="shop", autoscaled=False, stamp={})


def judged(one: Draft, said: DryRun, anew: DryRun | None = None, *accepted: str) -> dry_run.Reading:
    wanted = dry_run.ask_anew(one, said)
    return dry_run.read(one, said, wanted, anew if wanted else None, accepted)


def stored(one: Draft) -> Object:
    assert one.live is not None
    found = json_patch.done(one.live, one.operations)
    assert found is not None
    return found


def pods(*containers: Any) -> Any:
    return {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": list(containers)}}}


IMMUTABLE = [
    obj("ConfigMap", data={"a": "1"}),
    obj("Service", {"clusterIP": "None", "ports": [{"port": 80}]}),
    obj("Service", {"type": "ClusterIP", "ipFamilies": ["IPv6"], "ports": [{"port": 80}]}),
    obj(
        "StatefulSet", {"serviceName": "web", "podManagementPolicy": "Parallel", **pods({"name": "web", "image": "a"})}
    ),
]


@pytest.mark.parametrize("target", IMMUTABLE, ids=lambda o: o["kind"])
def test_what_is_refused_and_would_be_taken_as_new_is_offered_to_be_made_again(target: Object) -> None:
    live = copy.deepcopy(target)
    live |= {"data": {"a": "2"}} if "data" in live else {"spec": {**live["spec"], "x": "y", "ports": [{"port": 81}]}}
    base = copy.deepcopy(live)
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {"theirs": "kept"}}
    one = draft(target, live, base)
    said = DryRun(None, (), INVALID, 422)
    new = DryRun({**target, "metadata": {"name": "web-made-again"}})
    code = f"recreate:{target['kind']}/web"

    reading = judged(one, said, new)
    assert [r.code for r in reading.refusals] == [code]
    assert f"--accept skip:{target['kind']}/web" in reading.refusals[0].fix
    assert reading.draft.after is None

    reading = judged(one, said, new, code)
    assert reading.draft.anew is not None
    assert reading.draft.anew["metadata"]["labels"] == {"theirs": "kept"}
    assert "uid" not in reading.draft.anew["metadata"]
    assert reading.draft.after is not None
    assert reading.draft.after["metadata"]["name"] == "web"
    assert recreate.WHY[target["kind"]] == reading.draft.why


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (422, INVALID, "skip:ConfigMap/web"),  # refused as a new object as well: the manifest is wrong
        (422, "the server rejected our request due to an error in our request", "skip:ConfigMap/web"),
        (403, 'configmaps "web" is forbidden: User "ci" cannot patch', "permission:web"),
        (400, "admission webhook denied the request", "skip:ConfigMap/web"),
    ],
)
def test_what_would_not_be_taken_as_new_either_is_not_offered(status: int, said: str, code: str) -> None:
    one = draft(obj("ConfigMap", data={"a": "1"}), obj("ConfigMap", data={"a": "2"}))
    reading = judged(one, DryRun(None, (), said, status), DryRun(None, (), said, status))
    assert [r.code for r in reading.refusals] == [code]


@pytest.mark.parametrize(("kind", "way"), [("Deployment", "recreate"), ("DaemonSet", "recreate"), ("Ingress", "skip")])
def test_only_of_some_kinds_another_one_is_as_good(kind: str, way: str) -> None:
    one = draft(obj(kind, {"selector": {"a": "1"}}), obj(kind, {"selector": {"a": "2"}}))
    reading = judged(one, DryRun(None, (), INVALID, 422), DryRun(one.target))
    assert [r.code for r in reading.refusals] == [f"{way}:{kind}/web"]


def test_claims_that_would_go_are_a_refusal_that_accepting_does_not_lift() -> None:
    target = obj("StatefulSet", {"serviceName": "web", "volumeClaimTemplates": []})
    live = obj("StatefulSet", {**target["spec"], "volumeClaimTemplates": [{"metadata": {"name": "data"}}]})
    live["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    one = draft(target, live)
    reading = judged(one, DryRun(None, (), INVALID, 422), DryRun(target), "recreate:StatefulSet/web")
    assert [r.code for r in reading.refusals] == ["skip:StatefulSet/web"]
    assert "claims would go" in reading.refusals[0].text


# -- a yes that is not done

HEADLESS = {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}


def test_a_removed_field_that_the_server_keeps_is_seen() -> None:
    base = obj("Service", {"clusterIP": "None", "ports": [{"port": 80}]})
    one = draft(obj("Service", {"ports": [{"port": 80}]}), obj("Service", HEADLESS), base)
    new = DryRun(obj("Service", {"clusterIP": "10.0.0.9", "ports": [{"port": 80}]}))
    reading = judged(one, DryRun(obj("Service", HEADLESS)), new)
    assert [r.code for r in reading.refusals] == ["recreate:Service/web"]
    assert "spec.clusterIP" in reading.refusals[0].text
    assert "does not do it" in reading.refusals[0].text


def test_a_removed_field_that_a_new_object_would_have_as_well_is_a_default_and_no_refusal() -> None:
    spec = {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "10.0.0.9", "ports": [{"port": 80}]}
    base = obj("Service", {"type": "ClusterIP", "sessionAffinity": "None", "ports": [{"port": 80}]})
    one = draft(obj("Service", {"ports": [{"port": 80}]}), obj("Service", spec), base)
    reading = judged(one, DryRun(obj("Service", spec)), DryRun(obj("Service", {**spec, "clusterIP": "10.0.0.10"})))
    assert reading.refusals == ()
    assert reading.draft.after is not None


@pytest.mark.parametrize("kind", ["Ingress", "HorizontalPodAutoscaler", "ConfigMap"])
def test_a_value_that_the_server_does_not_take_is_refused_for_every_kind(kind: str) -> None:
    one = draft(obj(kind, {"x": "new"}), obj(kind, {"x": "old"}))
    reading = judged(one, DryRun(obj(kind, {"x": "old"})), DryRun(obj(kind, {"x": "old"})))
    assert [r.code for r in reading.refusals] == [f"skip:{kind}/web"]
    assert "spec.x" in reading.refusals[0].text


def test_what_admission_adds_is_no_refusal_and_stands_in_what_is_planned() -> None:
    one = draft(
        obj("Deployment", pods({"name": "web", "image": "a@sha256:1"})), obj("Deployment", pods({"name": "web"}))
    )
    after = stored(one)
    after["spec"]["template"]["metadata"]["annotations"] = {"scanned": "yes"}
    after["spec"]["template"]["spec"]["automountServiceAccountToken"] = False
    after["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    reading = judged(one, DryRun(after))
    assert reading.refusals == ()
    assert reading.draft.after == after


@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_an_image_that_admission_changes_is_refused(group: str) -> None:
    spec = pods({"name": "web", "image": "a@sha256:1"})
    spec["template"]["spec"]["initContainers"] = [{"name": "first", "image": "b@sha256:2"}]
    one = draft(obj("Deployment", spec), obj("Deployment", pods({"name": "web"})))
    after = stored(one)
    after["spec"]["template"]["spec"][group][0]["image"] = "mirror.example/a@sha256:9"
    reading = judged(one, DryRun(after))
    assert [r.code for r in reading.refusals] == [""]
    assert "mirror.example/a@sha256:9" in reading.refusals[0].text


# -- warnings


def test_a_pod_security_warning_is_a_refusal_with_its_code_and_others_are_said() -> None:
    one = draft(obj("Deployment", pods({"name": "web", "image": "a"})), obj("Deployment", pods({"name": "web"})))
    said = ('would violate PodSecurity "restricted:latest": runAsNonRoot != true', "spec.x: deprecated since v1.35")
    reading = judged(one, DryRun(stored(one), said))
    assert [r.code for r in reading.refusals] == ["policy:web"]
    assert reading.warnings == ("Deployment/web: spec.x: deprecated since v1.35",)


@pytest.mark.parametrize(
    ("key", "entries", "said"),
    [
        ("env", [{"name": "A"}, {"name": "B"}, {"name": "A", "value": "2"}], ["variable A twice"]),
        ("env", [{"name": "A"}] * 3 + [{"name": "C"}] * 2, ["variable A 3 times", "variable C twice"]),
        ("ports", [{"containerPort": 93, "name": "a"}, {"containerPort": 93, "name": "b"}], ["port 93/TCP twice"]),
        ("ports", [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}], []),
        ("ports", [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53}], ["port 53/TCP twice"]),
        ("env", [{"name": "A"}, {"name": "a"}], []),
    ],
)
def test_what_a_container_lists_twice_is_named_in_place_of_the_servers_words(
    key: str, entries: Any, said: list[str]
) -> None:
    target = obj("Deployment", pods({"name": "web", "image": "a", key: entries}))
    one = draft(target, obj("Deployment", pods({"name": "web"})))
    server = 'spec.template.spec.containers[0].env[2]: hides previous definition of "A", which may be dropped'
    reading = judged(one, DryRun(stored(one), (server,) if said else ()))
    assert [w.split(". The next")[0] for w in reading.warnings] == [
        f"Deployment/web: container web lists {text}" for text in said
    ]


# -- what the server chooses


def test_an_address_and_a_node_port_that_the_server_chooses_are_no_difference() -> None:
    one = obj(
        "Service", {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30001}]}
    )
    two = obj(
        "Service", {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "ports": [{"port": 80, "nodePort": 30002}]}
    )
    headless = obj("Service", {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]})
    assert fingerprint(one) == fingerprint(two) != fingerprint(headless)


def test_a_node_port_that_the_release_names_is_put_back_although_it_is_no_difference() -> None:
    target = obj("Service", {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]})
    live = obj("Service", {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30002}]})
    one = draft(target, live, copy.deepcopy(live))
    assert not decide.already(one, stored(one), ())


def test_made_again_a_service_asks_for_no_address_that_it_had_and_keeps_its_node_port() -> None:
    live = obj("Service", {**HEADLESS, "type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]})
    target = obj("Service", {"type": "NodePort", "ports": [{"port": 80}]})
    wanted = recreate.anew(target, live, draft(target, live, obj("Service", {"clusterIP": "None"})).operations)
    assert wanted is not None
    assert "clusterIP" not in wanted["spec"]
    assert wanted["spec"]["ports"] == [{"port": 80, "nodePort": 30001}]
    tried = recreate.to_try(wanted, live)
    assert tried["metadata"]["name"] == "web-made-again"
    assert tried["spec"]["ports"] == [{"port": 80}]


TAKEN = 'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated'


def on_port(number: int, name: str = "web", **spec: Any) -> Object:
    made = obj("Service", {"type": "NodePort", "ports": [{"port": 80, "nodePort": number}], **spec})
    made["metadata"]["name"] = name
    return made


@pytest.mark.parametrize(
    "said",
    [TAKEN, 'Service "web" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.9"]: failed to allocate IP 10.96.0.9: '
     "provided IP is already allocated",
     'Service "web" is invalid: spec.ports: Required value'],
)  # fmt: skip
def test_what_another_one_has_is_not_made_again(said: str) -> None:
    one = draft(on_port(30080), on_port(30081), on_port(30081))
    refused = DryRun(None, (), said, 422)
    assert dry_run.ask_anew(one, refused) is None
    (refusal,) = judged(one, refused, None, "recreate:Service/web").refusals
    assert refusal.code == "skip:Service/web"


def test_who_has_it_is_named_where_that_is_seen() -> None:
    one = draft(on_port(30080), on_port(30081), on_port(30081))
    mine = [on_port(30081), on_port(30080, "api"), on_port(30090, "other")]
    (named,) = dry_run.read(one, DryRun(None, (), TAKEN, 422), None, None, (), mine).refusals
    assert named.fix.startswith("Node port 30080 is Service/api's, and gives it up only after")
    (unseen,) = dry_run.read(one, DryRun(None, (), TAKEN, 422), None, None, (), mine[:1]).refusals
    assert "kubectl get services --all-namespaces" in unseen.fix


def test_a_new_one_is_tried_with_every_port_that_the_live_one_has_not() -> None:
    live = on_port(30081, clusterIP="10.96.0.5", healthCheckNodePort=30100)
    wanted = on_port(30080, clusterIP="10.96.0.9", healthCheckNodePort=30100)
    wanted["spec"]["ports"].append({"port": 81, "nodePort": 30081})
    tried = recreate.to_try(wanted, live)["spec"]
    assert tried["ports"] == [{"port": 80, "nodePort": 30080}, {"port": 81}]
    assert tried["clusterIP"] == "10.96.0.9"
    assert "healthCheckNodePort" not in tried
    assert recreate.address(wanted, live) == "10.96.0.9"
    assert recreate.address(on_port(30080, clusterIP="None"), live) == ""
    assert recreate.holders(wanted, [on_port(1, "api", clusterIP="10.96.0.9")]) == (
        "address 10.96.0.9 is Service/api's",
    )


def test_the_old_one_comes_back_with_its_addresses_or_with_any() -> None:
    live = on_port(30081, clusterIP="10.96.0.5", clusterIPs=["10.96.0.5"])
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {"a": "b"}, "finalizers": ["x"]}
    own, free = recreate.as_it_was(live | {"status": {"loadBalancer": {}}})
    assert own["metadata"] == free["metadata"] == {"name": "web", "labels": {"a": "b"}, "finalizers": ["x"]}
    assert own["spec"] == live["spec"]
    assert "status" not in own
    assert free["spec"] == {"type": "NodePort", "ports": [{"port": 80}]}
    assert fingerprint(own) == fingerprint(free) == fingerprint(live)
    headless = obj("Service", {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]})
    assert all(o["spec"]["clusterIP"] == "None" for o in recreate.as_it_was(headless))
    assert len(recreate.as_it_was(obj("ConfigMap", data={"a": "1"}))) == 1
