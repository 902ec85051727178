"""What a whole run asks of the API server: so much for itself, and so much a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_lib.operations import run as operation
from rollback_lib.sandbox import shop as shops
from rollback_lib.sandbox.images import Image
from rollback_lib.sandbox.registry import Registry
from tests import sandbox_shop
from tests.watched import WatchedSandbox

A_SERVICE = 8.0  # requests, kubectl's own among them; 6.0 on a machine that does nothing else
A_RUN = 95  # 79 there: a busy one looks oftener whether the pods are ready


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as made:
        yield made


def requests(folder: Path, registry: Registry, services: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many a whole rollback of so many services makes."""
    folder.mkdir()
    monkeypatch.setattr(sandbox_shop, "SERVICES", tuple(shops.SERVICES[:services]))

    def image(name: str) -> Image | None:
        found = registry.resolve(name)
        return Image(found.digest, found.version, found.behaviour) if found else None

    namespaces = (sandbox_shop.NAMESPACE,)
    with WatchedSandbox(image, namespaces=namespaces, speed=sandbox_shop.SPEED) as sandbox:
        shop = sandbox_shop.SandboxShop(folder, sandbox, registry)
        sandbox.requests.clear()
        with shop.world() as ports:
            outcome = operation.execute(shop.open("r1"), ports)
        assert outcome.code == 0, outcome.text
        return len(sandbox.requests)


@pytest.mark.long
def test_a_service_more_costs_few_requests_more(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (requests(tmp_path / str(n), registry, n, monkeypatch) for n in (3, 7))
    each = (many - few) / 4
    assert each <= A_SERVICE, (few, many)
    assert few - 3 * each <= A_RUN, (few, many)
