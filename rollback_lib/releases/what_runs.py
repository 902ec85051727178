"""What stages and operations ask of what runs."""

from __future__ import annotations

from rollback_lib.ports import Ports


def node_platforms(ports: Ports) -> tuple[str, ...]:
    """The platforms of the nodes; linux/amd64 where we may not list them."""
    nodes = ports.cluster.nodes() or {}
    found = {
        f"{info.get('operatingSystem')}/{info.get('architecture')}"
        for n in nodes.values()
        if (info := (n.get("status") or {}).get("nodeInfo") or {}).get("architecture")
    }
    return tuple(sorted(found)) or ("linux/amd64",)
