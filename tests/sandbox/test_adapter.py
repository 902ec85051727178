"""Our own eyes and hands on it: the Kubernetes client through the adapter, kubectl through the writer's."""

from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters import kubernetes
from rollback_lib.adapters.cluster_records import ClusterRecords
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.adapters.kubernetes_http import Answer, KubernetesHttp
from rollback_lib.core.errors import RefusedError, UnreachableError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.snapshot import Events, LogEnd
from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.cluster import ADMIN, Sandbox
from rollback_lib.sandbox.kubelet import Kubelet
from rollback_lib.sandbox.schema import by_kind
from tests.sandbox.pictures import Pictures
from tests.sandbox.world import World, complete, workload


@pytest.fixture
def cluster(kubeconfig: str) -> "KubernetesCluster":
    return KubernetesCluster(kubeconfig, "sandbox", "shop")


def test_what_the_adapter_reads(cluster: KubernetesCluster, world: World, pictures: Pictures) -> None:
    good = pictures.push("user-service", "good", "v1.1.0")
    world.create("apps/v1 deployments", workload("a", good))
    world.until("apps/v1 deployments/a", complete)
    identity = cluster.identity()
    assert identity.namespace_uid == world.get("/api/v1/namespaces/shop")["metadata"]["uid"]
    assert cluster.version() == "v1.36.3"
    seen = cluster.snapshot(["Deployment", "ReplicaSet", "Pod", "Ingress", "HorizontalPodAutoscaler", "CronJob"])
    assert seen.refused == {}
    (pod,) = seen.all("Pod")
    name = pod["metadata"]["name"]

    def ask(port: int, path: str) -> int:
        return cluster.pod_ask(name, port, path, method="GET", headers={}, body=b"", timeout=5).status

    assert ask(8080, "/actuator/health") == 200
    assert ask(1, "/") == 503
    assert "v1.1.0" in cluster.logs(name, "main").text
    assert cluster.logs(name, "main", previous=True) == LogEnd()
    assert cluster.exists(ObjectRef("Secret", "no-such")) is False
    assert cluster.keys(ObjectRef("Secret", "no-such")) is None
    assert list(cluster.nodes() or {}) == ["sandbox-1"]
    assert any(e["reason"] == "ScalingReplicaSet" for e in cluster.events().all)
    assert cluster.may("delete", "Pod", name)
    cluster.close()


def event(name: str, kind: str = "Normal") -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": "shop", "name": name}
    return {"metadata": {"name": name, "namespace": "shop"}, "type": kind, "reason": "Said", "involvedObject": about}


def test_no_event_is_left_out_and_warnings_come_first(cluster: KubernetesCluster, sandbox: Sandbox) -> None:
    for number in range(1_200):
        sandbox.store.create(by_kind("Event"), event(f"a-{number:04}"))
    sandbox.store.create(by_kind("Event"), event("zzz", "Warning"))
    found = cluster.events()
    assert (len(found.all), found.lacking, found.all[0]["type"]) == (1_201, "", "Warning")
    cluster.close()


def test_where_there_are_more_events_than_can_be_read_it_is_said_and_no_warning_is_lost(
    cluster: KubernetesCluster, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "MOST_EVENTS", 600)
    for number in range(1_200):
        sandbox.store.create(by_kind("Event"), event(f"a-{number:04}"))
    for number in range(501):
        sandbox.store.create(by_kind("Event"), event(f"zzz-{number}", "Warning"))
    found = cluster.events()
    assert sum(e["type"] == "Warning" for e in found.all) == 501
    assert found.lacking == f"after {len(found.all)} no more were read"
    monkeypatch.setattr(kubernetes, "EVENTS_TIME", -1.0)
    assert cluster.events() == Events((), "after 0 no more were read")
    cluster.close()


def said_by(monkeypatch: pytest.MonkeyPatch, world: World, pictures: Pictures, text: str) -> str:
    """A pod whose container has printed this."""
    world.create("apps/v1 deployments", workload("a", pictures.push("user-service", "good", "v1.1.0")))
    world.until("apps/v1 deployments/a", complete)
    monkeypatch.setattr(Kubelet, "log", lambda *_, **__: text)
    return str(world.pods("a")[0]["metadata"]["name"])


@pytest.mark.parametrize(
    ("text", "lines", "kept", "cut"),
    [
        ("a\nb\nc\n", 3, "a\nb\nc\n", False),
        ("a\nb\nc\n", 2, "b\nc\n", True),
        ("a\nb\nc", 500, "a\nb\nc", False),
        (f"{'x' * 60_000}\n{'y' * 60_000}\nCaused by: z\n", 500, f"{'y' * 60_000}\nCaused by: z\n", True),
        ("old\n" * 40_000 + "Caused by: z\n", 2, "old\nCaused by: z\n", True),
        (f"first\n{'x' * 20_000}\nz\n", 3, f"{'x' * 20_000}\nz\n", True),  # one line is two for the runtime
    ],
    ids=["all", "fewer lines", "no line end", "the end of long lines", "the end of many", "a line that was broken"],
)
def test_of_a_log_the_newest_is_kept_and_a_cut_is_known(
    cluster: KubernetesCluster, world: World, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, text: str,
    lines: int, kept: str, cut: bool,
) -> None:  # fmt: skip
    pod = said_by(monkeypatch, world, pictures, text)
    assert cluster.logs(pod, "main", lines=lines) == LogEnd(kept, cut)
    cluster.close()


def test_the_newest_is_kept_though_the_lines_that_were_asked_for_are_too_large_to_read(
    cluster: KubernetesCluster, world: World, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = said_by(monkeypatch, world, pictures, f"{'x' * 10_000}\n" * 499 + "Caused by: z\n")
    found = cluster.logs(pod, "main", lines=500)
    assert found.text.endswith("x\nCaused by: z\n")
    assert (found.cut, found.text.startswith("x" * 10_000 + "\n"), len(found.text) > 50_000) == (True, True, True)
    cluster.close()


def test_what_the_adapter_may_not(sandbox: Sandbox, tmp_path: Path) -> None:
    rules = ({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},)
    sandbox.set_users((ADMIN, User("reader", "reader-token", rules)))
    file = tmp_path / "reader"
    file.write_text(sandbox.kubeconfig_text("reader", "shop"))
    cluster = KubernetesCluster(str(file), None, "shop")
    with pytest.raises(RefusedError, match="cannot get namespace shop \\(forbidden\\)"):
        cluster.identity()
    assert set(cluster.snapshot(["Pod", "Deployment"]).refused) == {"Deployment"}
    assert cluster.nodes() is None
    assert cluster.events() == Events((), "cannot list events in shop (forbidden)")
    assert cluster.may("list", "Pod", "")
    assert not cluster.may("delete", "Pod", "")
    cluster.close()


def test_objects_are_read_in_the_version_that_each_manifest_speaks(cluster: KubernetesCluster, world: World) -> None:
    for name in ("old", "new"):
        spec = {"selector": {"matchLabels": {"app": name}}, "minAvailable": 0}
        world.create("policy/v1 poddisruptionbudgets", {"metadata": {"name": name}, "spec": spec})
    old, new = ObjectRef("PodDisruptionBudget", "old"), ObjectRef("PodDisruptionBudget", "new")
    versions = {old: "policy/v1beta1", new: "policy/v1", ObjectRef("ConfigMap", "x"): "v1"}
    seen = cluster.snapshot(["PodDisruptionBudget", "ConfigMap"], versions)
    gone = "the cluster does not serve policy/v1beta1 PodDisruptionBudget, but policy/v1"
    assert seen.refused == {old: gone}
    assert seen.unserved == {old}
    assert seen.why_not(old, "policy/v1beta1") == gone
    assert seen.why_not(new, "policy/v1") == ""
    assert {o["apiVersion"] for o in seen.all("PodDisruptionBudget")} == {"policy/v1"}
    assert seen.get(old) is not None, "what is there is still known"
    other = cluster.snapshot(["CronJob"], {"CronJob": "batch/v2alpha1"})
    assert set(other.refused) == other.unserved == {"CronJob"}
    cluster.close()


def test_a_record_is_only_replaced_by_who_has_read_it(cluster: KubernetesCluster, world: World) -> None:
    records = ClusterRecords(cluster)
    record = {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ours", "labels": {"rollback-lib/application": "shop"}}, "data": {"a": "1"},
    }  # fmt: skip
    first = records.put(record)
    assert first is not None
    assert records.put(record) is None, "somebody created it before us"
    second = records.put({**first, "data": {"a": "2"}})
    assert second is not None
    assert records.put({**first, "data": {"a": "3"}}) is None, "somebody replaced it before us"
    assert not records.delete(first)
    (listed,) = records.list("ConfigMap", {"rollback-lib/application": "shop"})
    assert (listed["kind"], listed["data"]) == ("ConfigMap", {"a": "2"})
    assert records.list("ConfigMap", {"rollback-lib/application": "other"}) == ()
    assert records.delete(second)
    assert records.get("ConfigMap", "ours") is None
    assert records.put(second) is None, "it is gone"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "ours"}, "spec": {}}
    stored = records.put(lease)
    assert stored is not None
    assert records.put({**stored, "spec": {"holderIdentity": "me"}}) is not None
    cluster.close()


def counting(kubeconfig: str) -> tuple[KubernetesCluster, list[float]]:
    slept: list[float] = []
    return KubernetesCluster(kubeconfig, "sandbox", "shop", slept.append), slept


@pytest.mark.parametrize("kind", ["429", "503", "500", "reset", "reset-after", "truncated"])
def test_a_question_is_asked_again_where_the_server_is_in_trouble(sandbox: Sandbox, kubeconfig: str, kind: str) -> None:
    cluster, slept = counting(kubeconfig)
    cluster.version()
    fault = sandbox.faults.add(lambda c: c.resource == "namespaces", kind, times=2, seconds=3)
    assert cluster.identity().namespace == "shop"
    assert (fault.struck, len(slept)) == (2, 2)
    assert (slept[0] >= 3) == (kind in ("429", "503")), "as long as the server asks for, where it does"
    cluster.close()


def test_patience_ends_and_credentials_are_not_tried_twice(sandbox: Sandbox, kubeconfig: str) -> None:
    cluster, slept = counting(kubeconfig)
    cluster.version()
    sandbox.faults.add(lambda c: c.resource == "namespaces", "503", times=None, seconds=0)
    with pytest.raises(RefusedError, match="the API server answered 503"):
        cluster.identity()
    assert len(slept) == 4
    sandbox.faults.clear()
    sandbox.faults.add(lambda c: c.resource == "namespaces", "expired", times=1)
    with pytest.raises(RefusedError, match="log in again"):
        cluster.identity()
    assert len(slept) == 4
    cluster.close()


def test_an_address_that_never_answered_is_not_waited_for(tmp_path: Path, sandbox: Sandbox) -> None:
    file = tmp_path / "wrong"
    file.write_text(sandbox.kubeconfig_text(namespace="shop").replace(sandbox.url, "http://127.0.0.1:9"))
    cluster, slept = counting(str(file))
    with pytest.raises(RefusedError, match=r"does not answer at http://127\.0\.0\.1:9"):
        cluster.identity()
    assert slept == []
    cluster.close()


RECORDS: dict[str, dict[str, Any]] = {
    "Lease": {"apiVersion": "coordination.k8s.io/v1", "spec": {"holderIdentity": "me", "renewTime": None}},
    "ConfigMap": {"apiVersion": "v1", "data": {"a": "1"}},
}


@pytest.mark.parametrize("fault", ["reset", "reset-after", "truncated", "500", "endless"])
@pytest.mark.parametrize("kind", RECORDS)
def test_d49_a_record_whose_answer_is_lost_is_looked_at_and_counts_where_it_is_ours(
    sandbox: Sandbox, kubeconfig: str, kind: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KubernetesHttp.ask.__kwdefaults__, "largest", 1 << 20)  # soon at the end of our patience
    cluster, _ = counting(kubeconfig)
    records = ClusterRecords(cluster)
    assert records.get(kind, "ours") is None
    record = {"kind": kind, **RECORDS[kind], "metadata": {"name": "ours", "annotations": {"nonce": "1"}}}
    verbs = ("create", "update", "delete")
    lost = [sandbox.faults.add(lambda c, v=v: c.verb == v, fault) for v in verbs]
    first = records.put(record)
    assert first is not None
    assert first["metadata"]["uid"] == (records.get(kind, "ours") or {})["metadata"]["uid"]
    second = records.put({**first, "metadata": {**first["metadata"], "annotations": {"nonce": "2"}}})
    assert second is not None
    assert (records.get(kind, "ours") or {})["metadata"]["annotations"] == {"nonce": "2"}
    assert records.put(first) is None, "somebody replaced it, and nothing is lost any more"
    assert records.delete(second)
    assert records.get(kind, "ours") is None
    assert [f.struck for f in lost] == [1, 1, 1]
    cluster.close()


@pytest.mark.parametrize("kind", RECORDS)
def test_of_a_record_whose_answer_is_lost_another_s_is_not_taken_for_ours(
    sandbox: Sandbox, kubeconfig: str, kind: str
) -> None:
    cluster, _ = counting(kubeconfig)
    records = ClusterRecords(cluster)
    record = {"kind": kind, **RECORDS[kind], "metadata": {"name": "ours", "annotations": {"nonce": "1"}}}
    theirs = records.put({**record, "metadata": {"name": "ours", "annotations": {"nonce": "theirs"}}})
    assert theirs is not None
    for verb in ("create", "update"):
        sandbox.faults.add(lambda c, v=verb: c.verb == v, "reset")
    assert records.put(record) is None
    newer = records.put({**theirs, "metadata": {**theirs["metadata"], "annotations": {"nonce": "3"}}})
    assert newer is not None, "not taken at first: made once more"
    sandbox.faults.add(lambda c: c.verb == "update", "reset")
    assert records.put({**theirs, "metadata": {**theirs["metadata"], "annotations": {"nonce": "4"}}}) is None
    sandbox.faults.add(lambda c: c.verb == "delete", "reset")
    assert not records.delete(theirs)
    assert records.delete(newer)
    cluster.close()


def test_a_record_whose_answer_is_lost_twice_is_not_known_and_said(sandbox: Sandbox, kubeconfig: str) -> None:
    cluster, _ = counting(kubeconfig)
    records = ClusterRecords(cluster)
    assert records.get("ConfigMap", "ours") is None
    record = {"kind": "ConfigMap", **RECORDS["ConfigMap"], "metadata": {"name": "ours"}}
    lost = sandbox.faults.add(lambda c: c.verb == "create", "reset", times=None)
    with pytest.raises(UnreachableError, match="does not answer"):
        records.put(record)
    assert lost.struck == 2
    cluster.close()


@pytest.mark.parametrize(
    "body", ["[]", "3", '{"items": 3}', '{"items": ["x"]}', '{"items": [{}]}', '"\udcff', "[" * 9999]
)
def test_what_is_no_answer_of_an_api_server_is_said(body: str) -> None:
    with pytest.raises(RefusedError, match="is a proxy in between"):
        Answer(200, body.encode(errors="surrogateescape")).json()
    assert Answer(500, body.encode(errors="surrogateescape")).message() is not None


@pytest.mark.parametrize("orphan", [True, False])
def test_a_stateful_set_that_is_made_again_keeps_its_pods(
    cluster: KubernetesCluster, world: World, pictures: Pictures, orphan: bool
) -> None:
    good = pictures.push("user-service", "good", "v1.1.0")
    world.create("apps/v1 statefulsets", workload("s", good, kind="StatefulSet"))
    world.until("v1 pods/s-0", lambda p: p["status"].get("phase") == "Running")
    there = world.get("apps/v1 statefulsets/s")
    cluster.delete(ObjectRef("StatefulSet", "s"), there["metadata"]["uid"], policy="Orphan" if orphan else "Background")
    if orphan:
        pod = world.until("v1 pods/s-0", lambda p: "ownerReferences" not in p["metadata"])
        assert "deletionTimestamp" not in pod["metadata"]
    else:
        world.until("v1 pods", lambda f: not f["items"])
    assert cluster.get(ObjectRef("StatefulSet", "s")) is None
    cluster.close()
