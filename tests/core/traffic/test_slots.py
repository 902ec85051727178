"""Closing and opening one object: identity where nobody interferes, theirs kept where somebody does."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import fingerprint
from rollback_lib.core.reasons import Reason
from rollback_lib.core.traffic import slots
from rollback_lib.core.traffic.slots import CLOSED, ORIGINAL, Page

RUN, SINCE = "20260301-120000-prod-ab12", "2026-03-01T12:00:00Z"
PAGE = Page(selector={"rollback-lib/maintenance": RUN}, service="page", port=80)


def service(selector: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    body = {"type": "ClusterIP", "clusterIP": "10.0.0.9", "ports": [{"port": 80, "targetPort": "http"}], **spec}
    body |= {} if selector == {} else {"selector": selector or {"app": "gateway"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gateway"}, "spec": body}


def path(name: str, backend: str, kind: str = "Prefix") -> dict[str, Any]:
    return {"path": name, "pathType": kind, "backend": {"service": {"name": backend, "port": {"number": 80}}}}


def ingress(class_name: str = "nginx") -> dict[str, Any]:
    notes = {"nginx.ingress.kubernetes.io/rewrite-target": "/$2", "cert-manager.io/issuer": "le"}
    rules = [
        {"host": "shop.example", "http": {"paths": [path("/", "web"), path("/api", "gateway")]}},
        {"host": "shop.example", "http": {"paths": [path("/", "web")]}},
        {"http": {"paths": [path("/x", "web", "Exact")]}},
    ]
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
    spec = {"ingressClassName": class_name, "defaultBackend": {"resource": {"kind": "Bucket", "name": "b"}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "status": status,
        "metadata": {"name": "shop", "annotations": notes, "labels": {"team": "web"}}, "spec": {**spec, "rules": rules},
    }  # fmt: skip


def route() -> dict[str, Any]:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}}
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "filters": [header, mirror],
         "backendRefs": [{"name": "web", "port": 80, "weight": 9}, {"name": "web-canary", "port": 80, "weight": 1}]},
        {"matches": [{"path": {"type": "Exact", "value": "/old"}}],
         "filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 443}}]},
        {"name": "only-mirror", "filters": [mirror], "backendRefs": [{"name": "web", "port": 80}]},
    ]  # fmt: skip
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": ["shop.example"], "rules": rules},
    }  # fmt: skip


def close(obj: dict[str, Any], page: Page | None = PAGE) -> dict[str, Any]:
    return slots.close(obj, page, run=RUN, since=SINCE)


OBJECTS = {
    "service": (service(), None),
    "service with a page": (service({"app": "gateway", "version": "v1"}), PAGE),
    "service with the team's page": (service(), Page(selector={"app": "sorry", "tier": "web"}, service="s", port=1)),
    "nginx": (ingress(), PAGE),
    "traefik": (ingress("traefik"), PAGE),
    "gce": (ingress("gce"), PAGE),
    "route": (route(), PAGE),
}
every_object = pytest.mark.parametrize(("obj", "page"), OBJECTS.values(), ids=OBJECTS)


@every_object
def test_what_is_opened_is_what_was_closed(obj: dict[str, Any], page: Page | None) -> None:
    before = copy.deepcopy(obj)
    closed = close(obj, page)
    assert obj == before, "the argument is left alone"
    assert slots.holds(closed)
    assert not slots.holds(obj)
    assert fingerprint(closed) != fingerprint(obj)
    assert slots.opened(closed) == (obj, ())


@every_object
def test_the_patches_lead_there_and_back_and_change_nothing_else(obj: dict[str, Any], page: Page | None) -> None:
    closed = close(obj, page)
    there = slots.operations(obj, closed)
    assert json_patch.done(obj, there) == closed
    back = slots.operations(closed, obj)
    assert json_patch.done(closed, back) == obj
    paths = {o.path for o in (*there, *back)}
    assert not [p for p in paths if p.startswith("/status")]
    assert {k: v for k, v in closed["metadata"].get("annotations", {}).items() if k != ORIGINAL} == obj["metadata"].get(
        "annotations", {}
    )


@every_object
def test_a_patch_is_refused_where_the_object_moved_in_between(obj: dict[str, Any], page: Page | None) -> None:
    closed = close(obj, page)
    assert json_patch.done(closed, slots.operations(obj, closed)) is None, "closed twice"
    assert json_patch.done(obj, slots.operations(closed, obj)) is None, "opened twice"


def test_a_closed_service_selects_nothing_and_keeps_its_address() -> None:
    closed = close(service(), None)
    assert closed["spec"] == {**service()["spec"], "selector": {"app": "gateway", CLOSED: RUN}}
    assert closed["metadata"]["labels"] == {CLOSED: RUN}


def test_an_ingress_sends_every_path_to_the_page() -> None:
    closed = close(ingress())
    page = {"service": {"name": "page", "port": {"number": 80}}}
    backends = [p["backend"] for r in closed["spec"]["rules"] for p in r["http"]["paths"]]
    assert [*backends, closed["spec"]["defaultBackend"]] == [page] * 5


def test_a_route_sends_nothing_to_the_shop_not_even_mirrored() -> None:
    first, redirect, last = close(route())["spec"]["rules"]
    assert [r["name"] for r in first["backendRefs"] + last["backendRefs"]] == ["page", "page"]
    assert [f["type"] for f in first["filters"]] == ["RequestHeaderModifier"]
    assert "filters" not in last
    assert redirect == route()["spec"]["rules"][1], "a redirect sends nothing to the shop"


def test_what_somebody_else_changed_while_it_was_closed_stays_and_is_named() -> None:
    closed = close(service({"app": "gateway", "version": "v1"}, sessionAffinity="None"), PAGE)
    closed["spec"]["selector"] |= {"app": "gateway-blue", "track": "stable"}
    closed["spec"]["sessionAffinity"] = "ClientIP"
    closed["metadata"]["labels"]["owner"] = "ana"
    found, kept = slots.opened(closed)
    assert found["spec"]["selector"] == {"app": "gateway-blue", "version": "v1", "track": "stable"}
    assert found["spec"]["sessionAffinity"] == "ClientIP"
    assert found["metadata"]["labels"] == {"owner": "ana"}
    assert [k.split(":")[0] for k in kept] == ["app", "track"]
    assert '"gateway-blue"' in kept[0]
    assert '"gateway"' in kept[0]


def test_paths_that_come_go_or_move_while_an_ingress_is_closed_find_their_own_backend() -> None:
    closed = close(ingress())
    paths = closed["spec"]["rules"][0]["http"]["paths"]
    closed["spec"]["rules"][0]["http"]["paths"] = [path("/new", "new"), paths[1]]
    found, kept = slots.opened(closed)
    names = [(p["path"], p["backend"]["service"]["name"]) for p in found["spec"]["rules"][0]["http"]["paths"]]
    assert names == [("/new", "new"), ("/api", "gateway")]
    assert [k for k in kept if "/new" in k and "added" in k]


keys = st.sampled_from(["app", "tier", "version", "track"])
words = st.sampled_from(["a", "b", "c", RUN])
selectors = st.dictionaries(keys, words, min_size=1)
pages = st.none() | st.builds(lambda s: Page(selector=s, service="page", port=80), selectors)


@given(selectors, pages)
def test_closing_and_opening_any_service_changes_nothing(selector: dict[str, str], page: Page | None) -> None:
    obj = service(selector)
    assert slots.opened(close(obj, page)) == (obj, ())


@given(selectors, pages, st.dictionaries(keys, words | st.none()))
def test_whatever_others_set_meanwhile_is_there_after_opening(
    selector: dict[str, str], page: Page | None, others: dict[str, str | None]
) -> None:
    closed = close(service(selector), page)
    ours = dict(closed["spec"]["selector"])
    for key, value in others.items():
        if value is None:
            closed["spec"]["selector"].pop(key, None)
        else:
            closed["spec"]["selector"][key] = value
    found, kept = slots.opened(closed)
    result = found["spec"].get("selector") or {}
    for key in {*selector, *ours, *others} - {CLOSED}:
        theirs = others.get(key, ours.get(key)) if key in others else ours.get(key)
        assert result.get(key) == (theirs if theirs != ours.get(key) else selector.get(key)), key
        if theirs not in (ours.get(key), selector.get(key)):
            assert any(k.startswith(f"{key}:") for k in kept)
    assert CLOSED not in result
    assert ORIGINAL not in found["metadata"].get("annotations", {})


@given(selectors, pages, selectors)
def test_a_planned_change_of_a_closed_service_opens_as_planned(
    selector: dict[str, str], page: Page | None, target: dict[str, str]
) -> None:
    obj, planned = service(selector), service(target)
    patch = json_patch.change(obj, planned, [("spec", "selector")])
    after = fingerprint(planned)
    changed = slots.while_closed(close(obj, page), patch, after)
    assert changed is not None
    assert slots.holds(changed)
    assert slots.opened(changed) == (planned, ())
    assert slots.while_closed(changed, patch, after) == changed, "asked again, it is done already"


def test_the_patch_of_a_closed_service_has_all_of_the_planned_one() -> None:
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "new", "rollback-lib/run": RUN}
    obj, planned = service({"app": "a", "version": "v2"}), service({"app": "a", "version": "v1"})
    obj["metadata"] |= {"labels": {"release": "v2"}, "annotations": {**notes, "rollback-lib/run": "older", "x": "y"}}
    planned["metadata"] |= {"labels": {"release": "v1", "team": "web"}, "annotations": notes}
    closed = close(obj, None)
    patch = slots.operations(obj, planned)
    assert json_patch.done(obj, patch) == planned
    changed = slots.while_closed(closed, patch, fingerprint(planned))
    assert changed is not None
    written = json_patch.done(closed, slots.operations(closed, changed))
    assert written == changed
    assert slots.opened(written).object == planned


def test_a_planned_change_is_stale_where_somebody_changed_what_it_is_for() -> None:
    closed = close(service(), None)
    patch = json_patch.change(service(), service({"app": "old"}), [("spec", "selector")])
    closed["spec"]["selector"]["app"] = "other"
    assert slots.while_closed(closed, patch, fingerprint(service({"app": "old"}))) is None
    assert slots.while_closed(service(), patch, "x") is None, "not closed"


REFUSED = {
    "ExternalName": service({}, type="ExternalName", externalName="shop.example"),
    "no selector": service({}),
    "headless": service(clusterIP="None"),
    "by run 20260101-000000-prod-dead": slots.close(service(), None, run="20260101-000000-prod-dead", since=SINCE),
    "by hand": {**service(), "metadata": {"name": "gateway", "labels": {CLOSED: "x"}}},
}


@pytest.mark.parametrize(("said", "live"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_closed_is_refused_with_the_way_on(said: str, live: dict[str, Any]) -> None:
    why = slots.cannot_close(live, (RUN,))
    assert why is not None
    assert said in why.text
    assert why.text.startswith("Service/gateway ")
    assert why.subject == "Service/gateway"


def test_a_dead_run_that_closed_it_is_named_with_since_when_and_both_ways_on() -> None:
    why = slots.cannot_close(close(service(), None), ("another",))
    assert why is not None
    assert why.facts == (RUN,)
    assert all(part in why.text for part in (RUN, SINCE, "rollback resume", "rollback reopen"))


def test_what_this_very_run_closed_is_closed_again_without_a_word() -> None:
    assert slots.cannot_close(close(service(), None), (RUN,)) is None


def test_an_ingress_without_a_backend_has_nothing_to_close() -> None:
    empty = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"}, "spec": {}}
    why = slots.cannot_close(empty, (RUN,))
    assert why is not None
    assert why.reason == Reason.NO_BACKEND


def test_who_opened_it_again_is_named_from_managed_fields() -> None:
    live = close(service(), None)
    live["spec"]["selector"] = {"app": "gateway"}
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl", "time": "2026-03-01T12:00:00Z", "fieldsV1": {"f:spec": {"f:selector": {}}}},
        {"manager": "flagger", "time": "2026-03-01T12:00:05Z", "fieldsV1": {"f:spec": {"f:selector": {}}}},
        {"manager": "kube-controller-manager", "time": "2026-03-01T12:00:09Z", "fieldsV1": {"f:status": {}}},
    ]
    assert (
        slots.undone(live, ObjectRef("Service", "gateway"))
        == "Service/gateway was closed, but flagger opened it again."
    )
    assert "is gone" in slots.undone(None, ObjectRef("Service", "gateway"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}', json.dumps({"run": "x"})])
def test_an_annotation_that_does_not_read_closes_and_opens_nothing(text: str) -> None:
    live = service()
    live["metadata"]["annotations"] = {ORIGINAL: text}
    assert slots.closing(live) is None
    assert not slots.holds(live)
