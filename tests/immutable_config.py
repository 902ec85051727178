"""A world whose ConfigMap is immutable and differs between the releases: it can only be deleted and made again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.snapshot import DryRun
from tests.pipeline.test_loop import World


def immutable_config(folder: Path, monkeypatch: pytest.MonkeyPatch, **metadata: Any) -> World:
    """``metadata``: what the live ConfigMap has besides its name, its uid and a label."""
    made = World(folder)
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart}\nimmutable: true\ndata: {A: %s}\n"
    for release in ("v1", "v2"):
        made.git.releases[release] |= {"k8s/cart/config.yaml": (text % release).encode()}
    meta: dict[str, Any] = {"name": "cart", "uid": "one", "labels": {"team": "kept"}, **metadata}
    made.cluster.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True, "data": {"A": "v2"}}
    )
    patched = made.cluster.dry_run_patch

    def dry_run_patch(kind: str, api: str, name: str, operations: Sequence[Operation]) -> DryRun:
        if kind == "ConfigMap":
            said = 'ConfigMap "cart" is invalid: data: Forbidden: field is immutable when `immutable` is set'
            return DryRun(None, (), said, 422)
        return patched(kind, api, name, operations)

    monkeypatch.setattr(made.cluster, "dry_run_patch", dry_run_patch)
    return made
