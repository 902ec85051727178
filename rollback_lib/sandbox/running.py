"""A pod on a node and its containers as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback_lib.sandbox.images import NEVER_READY, Image, Node
from rollback_lib.sandbox.schema import Object


@dataclass
class Container:
    """A container of a pod as it is now."""

    name: str
    init: bool
    phase: str = "creating"  # creating, failed (to pull or to be configured), running, waiting (to restart), done
    due: float | None = None  # when the next thing happens
    image: Image | None = None
    shown: str = ""
    image_id: str = ""
    reason: str = ""
    message: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    pulls: int = 0
    ready: bool = False
    started_at: str = ""
    ended: dict[str, Any] | None = None  # how the last instance ended
    last_log: str = ""
    id: str = ""


@dataclass
class Pod:
    """A pod on a node."""

    node: Node
    address: str
    containers: list[Container]
    ends: float | None = None  # when it is gone


def is_sidecar(pod: Object, one: Container) -> bool:
    """Whether it is an init container that goes on running beside the others."""
    spec: Object = next((c for c in pod["spec"].get("initContainers") or [] if c["name"] == one.name), {})
    return spec.get("restartPolicy") == "Always" and one.phase == "running"


def listens(one: Container) -> int:
    """The port that the container answers on; 0 where on none."""
    if one.image is None or one.image.behaviour == NEVER_READY:
        return 0
    text = one.environment.get("SERVER_PORT", "")
    return int(text) if text.isdecimal() else one.image.port


def probed(one: Container, spec: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the readiness probe succeeds, and what it says if not."""
    assert one.image is not None
    probe = spec.get("readinessProbe") or {}
    asked = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc")
    if asked is None:
        return one.image.behaviour != NEVER_READY, "command failed"
    port = asked.get("port")
    if isinstance(port, str) and not port.isdecimal():
        port = next((p["containerPort"] for p in spec.get("ports") or [] if p.get("name") == port), 0)
    if int(port or 0) != listens(one):
        return False, f"dial tcp: port {port}: connect: connection refused"
    if "httpGet" in probe:
        status, _, _ = one.image.serve(str(asked.get("path") or "/"), one.environment)
        return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"
    return True, ""
