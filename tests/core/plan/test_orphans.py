"""What only the failed release had: deleted where nothing is lost by it, else listed and left."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.manifests import inventory
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.manifests.manifest_objects import parse
from rollback_lib.core.manifests.tree import Files, pointer, submodule
from rollback_lib.core.plan import drafts
from rollback_lib.core.plan import text as plan_text
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import Orphan
from rollback_lib.core.report import last_line
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.settings import model
from tests.core.report import stories

Object = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SETTINGS = """\
application: shop
manifests: {path: "%s"}
services: {ignore: [locust]}
environments: {prod: {namespace: shop}}
"""


def config_map(name: str, **meta: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}}


def deployment(name: str, *config_maps: str) -> Object:
    sources = [{"configMapRef": {"name": c}} for c in config_maps]
    pods = {"spec": {"containers": [{"name": name, "image": name, "envFrom": sources}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": pods}}


def applied(body: Object, **meta: Any) -> Object:
    notes = {LAST_APPLIED: json.dumps(body)}
    return {**body, "metadata": {**body["metadata"], "annotations": notes, **meta}}


def pod_of(deployment: Object) -> tuple[Object, Object]:
    """The ReplicaSet and the pod that a Deployment has."""
    name = deployment["metadata"]["name"]
    owner = [{"kind": "Deployment", "name": name}]
    replicas = {"kind": "ReplicaSet", "metadata": {"name": f"{name}-1", "ownerReferences": owner}}
    owner = [{"kind": "ReplicaSet", "name": f"{name}-1"}]
    spec = deployment["spec"]["template"]["spec"]
    return replicas, {"kind": "Pod", "metadata": {"name": f"{name}-1-a", "ownerReferences": owner}, "spec": spec}


def cluster(*objects: Object) -> Snapshot:
    found: dict[str, dict[str, Object]] = {}
    for each in objects:
        found.setdefault(each["kind"], {})[each["metadata"]["name"]] = each
    return Snapshot(found)


def fates(only_there: list[Object], snapshot: Snapshot, **there: bool | None) -> list[tuple[str, str]]:
    keys = {ref_of(o): o for o in only_there}
    seen = {ref: there.get(ref.name) for ref in keys if ref.name in there}
    return [(str(o.ref), o.change) for o in drafts.orphans_of(snapshot, keys, seen, "shop")]


def test_a_config_map_goes_after_the_only_workload_that_reads_it() -> None:
    promo, config = deployment("promo", "a-config"), config_map("a-config")
    live = applied(promo)
    found = fates([config, promo], cluster(live, applied(config), *pod_of(live)))
    assert found == [("Deployment/promo", "delete"), ("ConfigMap/a-config", "delete")]


def test_a_config_map_stays_while_a_workload_that_stays_reads_it() -> None:
    made_by_hand, config = deployment("promo", "a-config"), config_map("a-config")
    found = fates([config, made_by_hand], cluster(made_by_hand, applied(config)))
    assert found == [("Deployment/promo", "left"), ("ConfigMap/a-config", "left")]


def test_a_config_map_stays_while_the_pods_of_another_revision_read_it() -> None:
    """The workload's template names it no more, and its old pods do: one that restarts would not start again."""
    now = deployment("user-service")
    replicas, pod = pod_of(deployment("user-service", "a-config"))
    config = config_map("a-config")
    assert fates([config], cluster(now, replicas, pod, applied(config))) == [("ConfigMap/a-config", "left")]


def moved_off(live: Object, after: Object, *objects: Object, change: str = "update") -> list[tuple[str, str]]:
    """The fates of a-config, which live pods of the workload read, where the plan gives it another template."""
    config, key = applied(config_map("a-config")), ObjectRef("ConfigMap", "a-config")
    draft = Draft(
        service="s", wave=1, file="d.yaml", target=after, live=live, after=after if change != "left" else None,
        change=change,
    )  # fmt: skip
    found = drafts.orphans_of(cluster(live, *objects, config), {key: config}, {}, "shop", drafts=[draft])
    return [(f"{o.kind}/{o.name}", o.change) for o in found]


def test_a_config_map_that_the_plan_moves_its_last_user_off_goes_last() -> None:
    live, after = deployment("user-service", "a-config"), deployment("user-service")
    assert moved_off(live, after, *pod_of(live)) == [("ConfigMap/a-config", "delete")]


def test_it_stays_while_another_one_reads_it_or_its_user_keeps_reading_it() -> None:
    live, after = deployment("user-service", "a-config"), deployment("user-service")
    stays = [("ConfigMap/a-config", "left")]
    assert moved_off(live, after, *pod_of(live), deployment("other", "a-config")) == stays
    assert moved_off(live, deployment("user-service", "a-config", "more"), *pod_of(live)) == stays
    assert moved_off(live, after, *pod_of(live), change="left") == stays
    job = {"kind": "Pod", "metadata": {"name": "job-a", "ownerReferences": [{"kind": "Job", "name": "job"}]}}
    assert moved_off(live, after, {**job, "spec": live["spec"]["template"]["spec"]}) == stays


def test_it_stays_for_the_pods_below_a_partition() -> None:
    live, after = ({**deployment("db", *c), "kind": "StatefulSet"} for c in (("a-config",), ()))
    _, pod = pod_of(live)
    pod["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "db"}]
    assert moved_off(live, after, pod) == [("ConfigMap/a-config", "delete")]
    after["spec"]["updateStrategy"] = {"rollingUpdate": {"partition": 1}}
    assert moved_off(live, after, pod) == [("ConfigMap/a-config", "left")]


def test_what_a_program_owns_stays() -> None:
    config = config_map("a-config")
    marked = applied(config, labels={"argocd.argoproj.io/instance": "shop"})
    assert fates([config], cluster(marked)) == [("ConfigMap/a-config", "left")]


def test_an_object_of_our_namespace_is_not_taken_for_one_of_another() -> None:
    theirs = config_map("a-config", namespace="elsewhere")
    assert fates([theirs], cluster(applied(config_map("a-config")))) == [("ConfigMap/a-config", "left")]


def test_what_is_never_deleted_is_listed_where_it_is_there_or_may_be() -> None:
    gone = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": n}} for n in ("here", "gone", "hidden")]
    found = fates(gone, cluster(), here=True, gone=False, hidden=None)
    assert found == [("Secret/here", "left"), ("Secret/hidden", "left")]


def contents(held: Files, settings: model.Settings, *, ignored: bool = False) -> Contents:
    return inventory.contents(held, settings, lambda file: parse(held.texts[file], file), "shop", ignored=ignored)


def texts(files: Mapping[str, list[Object]]) -> dict[str, bytes]:
    return {name: yaml.safe_dump_all(objects).encode() for name, objects in files.items()}


def test_services_are_told_apart_in_one_file_as_in_folders() -> None:
    files = texts({"k8s/all.yaml": [deployment("user-service"), deployment("locust"), config_map("shared")]})
    plain = model.load((SETTINGS % "k8s").encode(), "rollback.yaml")
    found = contents(Files(files), plain)
    assert {ref.name for ref in found.bodies()} == {"user-service", "shared"}
    assert {ref.name for ref in found.bodies(["order-service"])} == {"shared"}
    assert ObjectRef("Deployment", "locust") in contents(Files(files), plain, ignored=True).objects


def test_a_release_with_a_file_that_does_not_read_is_not_known_to_lack_anything() -> None:
    files = texts({"k8s/user-service/a.yaml": [deployment("user-service")]})
    folders = model.load((SETTINGS % "k8s/{service}").encode(), "rollback.yaml")
    key = ObjectRef("Deployment", "order-service")
    assert contents(Files(files), folders).lacks(key)
    assert not contents(Files({**files, "k8s/order-service/a.yaml": b"a: {"}), folders).lacks(key)
    assert not contents(Files(), folders).lacks(key)


def test_what_may_hold_up_what_was_restored_is_told_first() -> None:
    kinds = ("ConfigMap", "Secret", "NetworkPolicy", "Deployment", "ResourceQuota", "Ingress")
    left = tuple(Orphan(kind=kind, name="new", change="left", why="it stays") for kind in kinds)
    gone = Orphan(kind="Service", name="gone", change="delete", why="")
    made = stories.plan(orphans=(*left, gone), mutable_tags=())
    text = " ".join(plan_text.text(made).split())
    told = [text.index(f"{kind}/new: left") for kind in ("NetworkPolicy", "Ingress", "ResourceQuota", "ConfigMap")]
    assert text.index("Service/gone: deleted") < told[0]
    assert told == sorted(told)
    said = last_line.last_line(Ending(code=0, traffic="open"), made, None, 1.0)
    assert said.endswith("Of the failed release NetworkPolicy/new, Ingress/new, ResourceQuota/new and 3 more stay.")


def test_a_place_that_is_not_in_the_repository_makes_a_release_not_known_to_lack_anything() -> None:
    files = texts({"k8s/user-service/a.yaml": [deployment("user-service")]})
    folders = model.load((SETTINGS % "k8s/{service}").encode(), "rollback.yaml")
    key = ObjectRef("Deployment", "order-service")
    for unread in (submodule("k8s/order-service"), pointer("k8s/order-service/all.yaml"), submodule("k8s")):
        assert not contents(Files(files, unread=(unread,)), folders).lacks(key)
    assert contents(Files(files, unread=(submodule("docs"), submodule("k8s/locust"))), folders).lacks(key)


def test_a_file_under_two_names_is_one_service() -> None:
    files = texts({f"k8s/{name}/a.yaml": [deployment("user-service")] for name in ("alias", "user-service")})
    folders = model.load((SETTINGS % "k8s/{service}").encode(), "rollback.yaml")
    found = contents(Files(files, {"k8s/alias/a.yaml": "k8s/user-service/a.yaml"}), folders)
    assert [service for service, _ in found.objects.values()] == ["user-service"]


@pytest.mark.parametrize(
    ("kind", "spec", "fate"),
    [
        ("Service", {"selector": {"app": "promo"}}, "delete"),
        ("Service", {"type": "ClusterIP", "clusterIP": "10.0.0.9"}, "delete"),
        ("Service", {"type": "NodePort"}, "left"),
        ("Service", {"type": "LoadBalancer"}, "left"),
        ("Service", {"type": "ExternalName"}, "left"),
        ("Service", {"clusterIP": "None"}, "left"),
        ("CronJob", {}, "delete"),
        ("StatefulSet", {}, "left"),
        ("Ingress", {}, "left"),
        ("NetworkPolicy", {}, "left"),
        ("ServiceAccount", {}, "left"),
    ],
)
def test_only_what_holds_no_address_name_or_data_is_deleted(kind: str, spec: Object, fate: str) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "promo"}, "spec": spec}
    assert fates([body], cluster(applied(body))) == [(f"{kind}/promo", fate)]


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Service"])
def test_what_kubectl_apply_has_not_made_stays(kind: str) -> None:
    """Nothing could bring it back as it was."""
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "promo"}}
    assert fates([body], cluster(body)) == [(f"{kind}/promo", "left")]
    assert fates([body], cluster(applied(body))) == [(f"{kind}/promo", "delete")]
