"""The command on the sandbox, by a real kubectl: closed by a run that fails, opened from nothing but the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.sandbox.playground import Playground
from tests.command_line import Ended, rollback

GATEWAY = "api-gateway"


@pytest.fixture
def playground() -> Iterator[Playground]:
    with Playground() as made:
        made.deploy("v1.1.0")
        made.deploy("v1.2.0")
        yield made


def isolating(playground: Playground, maintenance: str = "", path: str = "/") -> None:
    file = playground.repository / "rollback.yaml"
    text = file.read_text()
    closing = f"    isolation: {{mode: service, targets: [{GATEWAY}], drain: 100ms{maintenance}}}\n"
    where = next(line for line in text.splitlines(keepends=True) if line.strip().startswith("namespace:"))
    text = text.replace(where, where + closing)
    head = text.split("\nverify:")[0].rstrip("\n")
    file.write_text(f"{head}\nverify: {{smoke: [{{service: {GATEWAY}, path: {path}}}]}}\n")


def command(playground: Playground, *arguments: str, folder: Path | None = None) -> Ended:
    return rollback(*arguments, folder=folder or playground.repository, environ=playground.environment())


def service(playground: Playground) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(playground.must("get", "service", GATEWAY, "--output=json"))
    return {
        "spec": found["spec"],
        "labels": found["metadata"].get("labels"),
        "notes": found["metadata"].get("annotations"),
    }


@pytest.mark.long
def test_a_run_closes_and_opens_and_leaves_the_service_as_it_was(playground: Playground) -> None:
    isolating(playground)
    before = service(playground)
    done = command(playground, "run", "--to=v1.1.0", "--isolate", "--yes")
    assert done.code == 0, done.out + done.err
    assert "traffic is open" in done.out
    assert service(playground) == before


@pytest.mark.long
def test_what_a_failed_run_leaves_closed_is_seen_in_status_and_opened_without_repository_and_settings(
    playground: Playground, tmp_path: Path
) -> None:
    isolating(playground, path="/not-there")
    before = service(playground)
    failed = command(playground, "run", "--to=v1.1.0", "--isolate", "--yes")
    assert failed.code == 5, failed.out + failed.err
    assert "TRAFFIC IS CLOSED" in failed.out
    assert "rollback reopen -e prod" in failed.out
    assert service(playground) != before
    status = command(playground, "status")
    assert "CLOSED: Service/api-gateway" in status.out
    assert command(playground, "reopen", "--namespace=ecommerce", folder=tmp_path).code == 7, "nobody says yes"
    opened = command(playground, "reopen", "--namespace=ecommerce", "--context=sandbox", "--yes", folder=tmp_path)
    assert opened.code == 0, opened.out + opened.err
    assert "Service/api-gateway opened; traffic is open in namespace ecommerce" in opened.out
    assert service(playground) == before
    again = command(playground, "reopen", "-e", "prod", "--yes", "--output=json")
    assert (again.code, again.json["opened"]) == (0, [])


def test_without_settings_the_namespace_must_be_named(tmp_path: Path) -> None:
    done = rollback("reopen", "--yes", folder=tmp_path)
    assert done.code == 2
    assert "--namespace" in done.out
    assert "traffic is as it was" in done.out
