"""Whether requests that go to a Service reach a pod, by its own selector and ports."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.kube.objects import Object
from rollback_lib.core.traffic import reach

TARGET = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}


def service(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {**TARGET, **spec}}


def pod(labels: dict[str, str], *, ready: bool = True, port: Any = ("http", 8080), going: bool = False) -> Object:
    meta: dict[str, Any] = {"name": "web-1", "labels": labels}
    if going:
        meta["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    ports = [{"name": port[0], "containerPort": port[1]}] if port else []
    return {
        "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "web", "ports": ports}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }  # fmt: skip


def workload(replicas: int) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas, "template": template}}


WEB = {"app": "web"}


@pytest.mark.parametrize(
    ("live", "target", "pods", "replicas", "said"),
    [
        (service(), service(), [pod(WEB)], 1, ""),
        (service(), service(), [pod(WEB, port=None)], 1, "a port named http, and no Ready pod behind it has one"),
        (service(), service(), [pod(WEB, port=("web", 8080))], 1, "a port named http"),
        (service(), service(), [pod(WEB, ready=False)], 1, "no Ready pod matches its selector app=web"),
        (service(), service(), [pod(WEB, going=True)], 1, "no Ready pod matches"),
        (service(), service(), [pod({"app": "other"})], 1, "no Ready pod matches"),
        (service(selector={"app": "x"}), service(), [pod({"app": "x"})], 1, "selects app=x, as somebody set it"),
        (service(selector={}), service(), [pod(WEB)], 1, "selects nothing, as somebody set it"),
        (service(ports=[{"port": 80, "targetPort": 9}]), service(), [pod(WEB)], 1, "port 80 goes to 9"),
    ],
)
def test_where_requests_get_lost_it_is_no_and_says_why(
    live: Object, target: Object, pods: list[Object], replicas: int, said: str
) -> None:
    found = reach.judge(live, target, pods, [workload(replicas)])
    assert (found.good, said in found.text) == (not said, True)


BLUE, GREEN = {"app": "web", "color": "blue"}, {"app": "web", "color": "green"}


@pytest.mark.parametrize(
    ("live", "target", "pods", "replicas", "empty", "said"),
    [
        (service(clusterIP="None"), service(clusterIP="None"), [], 1, False, "is headless"),
        (service(type="ExternalName"), service(type="ExternalName"), [], 1, False, "names an outside host"),
        (service(selector={}), service(selector={}), [], 1, False, "has no selector"),
        (service(), service(), [], 0, False, "selects what is at 0 replicas"),
        (service(selector={"app": "gone"}), service(selector={"app": "gone"}), [], 1, True, "and did not before"),
        (
            service(selector=GREEN),
            service(selector=BLUE),
            [pod(GREEN)],
            1,
            False,
            "the release's app=web,color=blue is",
        ),
        (service(ports=[{"port": 80}]), service(ports=[{"port": 80}]), [pod(WEB)], 1, False, "80, which no container"),
    ],
)
def test_what_is_no_loss_is_said_and_is_good(
    live: Object, target: Object, pods: list[Object], replicas: int, empty: bool, said: str
) -> None:
    found = reach.judge(live, target, pods, [workload(replicas)], empty=empty)
    assert found.good
    assert said in found.text


def test_a_colour_that_nobody_serves_is_no_colour() -> None:
    assert not reach.judge(service(selector=GREEN), service(selector=BLUE), [pod(BLUE)], [workload(1)]).good
