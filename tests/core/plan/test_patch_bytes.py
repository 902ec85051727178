"""Every patch that we make, held against what the API server does with its bytes."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import LAST_APPLIED, Object
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.plan import decide, undo
from rollback_lib.core.plan.three_way import last_applied_text, patch
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.changes import patch_file, patch_text
from rollback_lib.core.run.records import Images
from rollback_lib.core.traffic import isolation, slots
from rollback_lib.core.traffic.slots import Page
from rollback_lib.sandbox.patches import json_patch
from rollback_lib.sandbox.status import ApiError

ODD = 'db?ssl=false&tz=UTC <año> \U0001f600 \u2028 \x7f \x85 "q" \\ \t\x01'
VARIES = "from \b to \f"
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
META = {"name": "web", "uid": "1-2", "resourceVersion": "77", "generation": 3}


def deployment(odd: str, level: str) -> Object:
    main = {"name": "main", "image": "shop/web:1", "command": ["run", odd],
            "env": [{"name": "ODD", "value": odd}, {"name": "LEVEL", "value": level}]}  # fmt: skip
    spec = {"replicas": 1, "template": {"metadata": {"annotations": {"odd": odd}}, "spec": {"containers": [main]}}}
    notes = {"example.com/odd": odd, "example.com/level": f"{odd}{level}"}
    meta = {**META, "annotations": notes}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def config_map(odd: str, level: str) -> Object:
    meta = {k: v for k, v in META.items() if k != "generation"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"odd": f"{odd}{level}", "same": odd}}


def manifest(obj: Object) -> Object:
    found = copy.deepcopy(obj)
    found["metadata"] = {k: v for k, v in obj["metadata"].items() if k in ("name", "annotations")}
    return found


def put_back(live: Object, target: Object, base: Object | None = None) -> tuple[Operation, ...]:
    draft = decide.Draft(service="web", wave=1, file="f", target=target, live=live, change="left")
    return decide.put_back(draft, base, namespace="shop", autoscaled=False, stamp={"rollback-lib/run": "r"}).operations


def through_kubectl(operations: tuple[Operation, ...]) -> bytes:
    """As kubectl sends its file: read as YAML, and written as Go writes JSON."""
    found = yaml.safe_load(patch_file(operations))
    return patch_text([Operation(**one) for one in found])


@pytest.mark.parametrize("made", [deployment, config_map])
@pytest.mark.parametrize("odd", [ODD, VARIES])
def test_what_puts_an_object_back_passes_the_servers_comparison(made: Any, odd: str) -> None:
    live, wanted = made(odd, "2"), made(odd, "1")
    operations = put_back(live, manifest(wanted), manifest(live))
    assert any(o.op == "test" for o in operations)
    for body in (patch_text(operations), through_kubectl(operations)):
        done = json_patch(live, body)
        assert {k: v for k, v in done.items() if k != "metadata"} == {
            k: v for k, v in wanted.items() if k != "metadata"
        }


@pytest.mark.parametrize(("made", "state"), [(deployment, "generation"), (config_map, "resourceVersion")])
def test_where_versions_of_go_differ_the_objects_own_state_is_tested(made: Any, state: str) -> None:
    live = made(VARIES, "2")
    operations = put_back(live, manifest(made(VARIES, "1")), manifest(live))
    tested = {o.path for o in operations if o.op == "test"}
    assert {"/metadata/uid", f"/metadata/{state}"} <= tested
    assert not {p for p in tested if p.startswith(("/spec/template", "/data", "/metadata/annotations"))}
    older = patch_text(operations).replace(b"\\b", b"\\u0008").replace(b"\\f", b"\\u000c")
    json_patch(live, older)
    changed = copy.deepcopy(live)
    changed["metadata"][state] = type(changed["metadata"][state])(99)
    with pytest.raises(ApiError):
        json_patch(changed, patch_text(operations))


def ingress(odd: str, path: str) -> Object:
    rule = {"host": "shop.example", "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": BACKEND}]}}
    meta = {**META, "annotations": {"example.com/odd": odd}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": {"rules": [rule]}}


def route(odd: str, path: str) -> Object:
    match = {"headers": [{"name": "X", "value": odd}], "path": {"type": "PathPrefix", "value": path}}
    rule = {"matches": [match], "backendRefs": [{"name": "web", "port": 80}]}
    meta = {**META, "annotations": {"example.com/odd": odd}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": {"rules": [rule]},
    }  # fmt: skip


@pytest.mark.parametrize("made", [ingress, route])
@pytest.mark.parametrize("odd", [ODD, VARIES])
def test_traffic_is_closed_changed_and_opened_by_patches_that_the_server_takes(made: Any, odd: str) -> None:
    live = made(odd, "/a&b/año<1>")
    close = isolation.closing_change(live, Page(service="page", port=80), run="r1", since="now", key="k")
    closed = json_patch(live, through_kubectl(close.operations))
    assert slots.holds(closed)
    planned = put_back(live, manifest(made(odd, "/a&b/año<2>")))
    wanted = slots.while_closed(closed, planned, "")
    assert wanted is not None
    closed = json_patch(closed, through_kubectl(slots.operations(closed, wanted)))
    opening, kept = isolation.opening_change(closed, key="k")
    opened = json_patch(closed, through_kubectl(opening.operations))
    assert kept == ()
    assert opened["spec"] == made(odd, "/a&b/año<2>")["spec"]
    assert json_patch(closed, patch_text(opening.operations)) == opened


# -- what an undo leaves as last-applied


def restored(live: Object, was: Object) -> Object:
    """The live object after the patch of an undo to what it was."""
    operations = patch(
        manifest(live), manifest(was), live, namespace="shop", stamps={"a": "b"},
        applied=was["metadata"].get("annotations", {}).get(LAST_APPLIED, ""),
    ).operations  # fmt: skip
    return json_patch(live, patch_text(operations))


@pytest.mark.parametrize("is_now", ["", "theirs"])
@pytest.mark.parametrize("was", ["", last_applied_text({"kind": "ConfigMap", "data": {"own": ODD}}, "shop")])
def test_the_annotation_is_what_it_was_or_is_not_there(was: str, is_now: str) -> None:
    old, new = config_map(ODD, "1"), config_map(ODD, "2")
    for obj, text in ((old, was), (new, is_now)):
        if text:
            obj["metadata"]["annotations"] = {LAST_APPLIED: text}
    found = restored(new, old)
    assert found["metadata"]["annotations"] == {"a": "b", **({LAST_APPLIED: was} if was else {})}
    assert found["data"] == old["data"]


def test_an_annotation_of_the_release_survives_our_marks_where_the_object_had_none() -> None:
    live = config_map(ODD, "2")
    target = {**manifest(config_map(ODD, "1")), "metadata": {"name": "web", "annotations": {"theirs": "x"}}}
    done = json_patch(live, patch_text(patch(None, target, live, namespace="shop", stamps={"a": "b"}).operations))
    assert done["metadata"]["annotations"] == {"theirs": "x", "a": "b"}


def test_what_an_undo_goes_back_to_keeps_its_own_annotation_and_reads_back_for_any_character() -> None:
    live = deployment(ODD, "1")
    live["metadata"]["annotations"] |= {LAST_APPLIED: "theirs\U0001f600\x85", "deployment.kubernetes.io/revision": "3"}
    live["status"] = {"replicas": 1}
    empty = Images(images=(), current=ReleaseRef(release="unknown"))
    plan: Any = SimpleNamespace(orphans=())  # the only field that is read
    (data,) = undo.tree([("k8s/web.yaml", live)], plan, empty).values()
    (found,) = manifest_objects.read(data, "k8s/web.yaml")
    notes = found.object["metadata"]["annotations"]
    assert notes == {k: v for k, v in live["metadata"]["annotations"].items() if "revision" not in k}
    assert found.object["spec"] == live["spec"]
