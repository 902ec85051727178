"""A state of the cluster from its file, and the clock of all these files: the patch was made at noon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from rollback_lib.core.health import Patience, View

DATA = Path(__file__).parent / "data"
PATCHED = datetime(2026, 3, 1, 12, 0, 0, 400_000, tzinfo=UTC)


class _Loader(yaml.CSafeLoader):
    """Times stay the strings that the API sends."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def state(name: str) -> View:
    found: dict[str, Any] = yaml.load((DATA / f"{name}.yaml").read_text(), _Loader)
    lists = {key: tuple(value) for key, value in found.items() if key not in ("workload", "nodes")}
    return View(workload=found["workload"], nodes=found.get("nodes"), **lists)


def after(seconds: float, **more: Any) -> Patience:
    return Patience(now=PATCHED + timedelta(seconds=seconds), patched_at=PATCHED, **more)
