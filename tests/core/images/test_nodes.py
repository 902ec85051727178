"""What nodes say to images."""

from typing import Any

from rollback_lib.core.images.nodes import UNSEEN, Nodes, PodNodes

A, B = ("sha256:" + x * 64 for x in "ab")
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
       "spec": {"template": {"spec": {"nodeSelector": {"pool": "web"}}}}}  # fmt: skip


def node(name: str, platform: str, *images: tuple[str, ...], pool: str = "web", **spec: Any) -> dict[str, Any]:
    system, _, machine = platform.partition("/")
    return {
        "metadata": {"name": name, "labels": {"pool": pool}}, "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": system, "architecture": machine},
            "images": [{"names": list(names)} for names in images],
        },
    }  # fmt: skip


def test_what_a_node_holds_is_found_by_digest_and_by_name_however_the_runtime_writes_them() -> None:
    containerd = node("n1", "linux/amd64", (f"docker.io/library/redis@{A}", "docker.io/library/redis:7"))
    docker = node("n2", "linux/amd64", ("redis:7", f"redis@{A}"), ("<none>@<none>", "<none>:<none>"))
    found = Nodes((containerd, docker, {**node("n3", "linux/amd64"), "status": None})).of(WEB)
    assert found.holding([A, B]) == ("n1", "n2")
    assert (found.digest_of("redis:7"), found.digest_of("redis"), found.holding([B])) == (A, "", ())
    other = node("n4", "linux/amd64", (f"redis@{B}", "redis:7"))
    assert Nodes((containerd, other)).of(WEB).digest_of("docker.io/redis:7") == "", "two images of one name"


def test_only_nodes_that_take_the_pods_count() -> None:
    arm = node("arm", "linux/arm64", (f"redis@{B}",), pool="other")
    windows = node("win", "windows/amd64", taints=[{"key": "os", "value": "windows", "effect": "NoSchedule"}])
    found = Nodes((node("n1", "linux/amd64", (f"redis@{A}",)), arm, windows)).of(WEB)
    assert (found.platforms, found.known, list(found.digests)) == (("linux/amd64",), True, [A])
    assert Nodes((arm, windows)).of(WEB) == PodNodes(platforms=(), known=True)


def test_where_nodes_may_not_be_listed_linux_amd64_is_assumed_and_known_to_be() -> None:
    assert (UNSEEN.of(WEB), UNSEEN.platforms) == (PodNodes(), ("linux/amd64",))
    assert (PodNodes().platforms, PodNodes().known) == (("linux/amd64",), False)
    cordoned = node("c", "linux/s390x", unschedulable=True)
    assert Nodes((cordoned, node("n", "linux/arm64"))).platforms == ("linux/arm64",)
    assert Nodes((cordoned,)).platforms == ("linux/amd64",)
