"""The door: a cluster of one process, up in some milliseconds, gone without a trace."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.api import Api
from rollback_lib.sandbox.controllers import Controllers
from rollback_lib.sandbox.images import Image, Node, Resolver
from rollback_lib.sandbox.kubelet import Kubelet
from rollback_lib.sandbox.schema import by_kind
from rollback_lib.sandbox.server import Server
from rollback_lib.sandbox.store import Snapshot, Store
from rollback_lib.sandbox.watching import Watch
from rollback_lib.sandbox.writing import Writer

ADMIN: Final = User("sandbox-admin", "sandbox-admin-token")
CONTEXT: Final = "sandbox"


@dataclass(frozen=True)
class Kept:
    """A sandbox at one moment."""

    objects: Snapshot
    nodes: Any


def nothing(_: str) -> Image | None:
    """A registry without images."""
    return None


class Sandbox:
    """A Kubernetes API on the loopback interface, with controllers and nodes. A context manager.

    `images`: what a full image name leads to (`docker.io/shop/user-service:prod`). `users`: the first one is also
    who asks without a token. `speed`: how many times faster than a real one pods start, crash and end. `watch` is told
    of each request, and may disturb it.
    """

    def __init__(
        self, images: Resolver = nothing, *, namespaces: Sequence[str] = ("default",), users: Sequence[User] = (ADMIN,),
        nodes: int = 1, speed: float = 1.0, port: int = 0, now: Callable[[], float] = time.monotonic,
        watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self.users = tuple(users)
        self.store = Store()
        self.writer = Writer(self.store)
        self._watch = watch or Watch()
        made = [Node(f"sandbox-{n + 1}", f"192.0.2.{n + 2}", n) for n in range(nodes)]
        self.kubelet = Kubelet(self.store, self.writer, made, images, now, speed)
        self._controllers = Controllers(self.store, self.writer, self.kubelet, now)
        self._api = Api(self.store, self.writer, self.kubelet, {u.token: u for u in users})
        for node in made:
            self.store.create(by_kind("Node"), _node(node, self.store.stamp()))
        for name in dict.fromkeys(("default", *namespaces)):
            self.create_namespace(name)
        self._server = Server(self._api, self._watch, port)

    def __enter__(self) -> Self:
        self._controllers.start()
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything; may be called twice."""
        self._controllers.close()
        self._server.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._server.url

    def create_namespace(self, name: str) -> None:
        self.writer.create(by_kind("Namespace"), "", {"metadata": {"name": name}}, manager="sandbox")

    def set_users(self, users: Sequence[User]) -> None:
        """Other users from now on; the first one is also who asks without a token."""
        self.users = tuple(users)
        self._api.users = {u.token: u for u in users}

    def kubeconfig_text(self, user: str = "", namespace: str = "default") -> str:
        """A kubeconfig (JSON, which is YAML) with one context, `sandbox`, for a user; the first one by default.

        kubectl sends no token over plain http, so that the server's address says who asks.
        """
        who = next((u for u in self.users if u.name == user), self.users[0])
        server = self.url if who is self.users[0] else f"{self.url}/as/{who.token}"
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": CONTEXT,
                "clusters": [{"name": CONTEXT, "cluster": {"server": server}}],
                "users": [{"name": who.name, "user": {"token": who.token}}],
                "contexts": [
                    {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": who.name, "namespace": namespace}}
                ],
            },
            indent=1,
        )

    def pull(self, *references: str) -> None:
        """Have every node ask the registry again about these images."""
        self.kubelet.pull(*references)

    def snapshot(self) -> Kept:
        """All objects, pods' insides and nodes' images, to come back to."""
        with self.store.lock:
            return Kept(self.store.snapshot(), self.kubelet.snapshot())

    def restore(self, kept: Kept) -> None:
        """Bring everything back as it was."""
        with self.store.lock:
            self.store.restore(kept.objects)
            self.kubelet.restore(kept.nodes)
        self._watch.forget()


def _node(node: Node, stamp: str) -> dict[str, Any]:
    architecture = "amd64"  # what this kubelet pulls for, whatever the machine is
    labels = {
        "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture,
    }  # fmt: skip
    resources = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    return {
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"podCIDR": f"10.244.{node.number}.0/24"},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "InternalIP", "address": node.address}],
            "conditions": [
                {
                    "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "message": "kubelet is posting ready status", "lastHeartbeatTime": stamp,
                    "lastTransitionTime": stamp,
                }
            ],
            "nodeInfo": {
                "architecture": architecture, "operatingSystem": "linux", "kubeletVersion": "v1.36.3",
                "containerRuntimeVersion": "containerd://1.6.20", "osImage": "rollback's sandbox",
                "kernelVersion": platform.release(),
            },
            "images": [],
        },
    }  # fmt: skip
