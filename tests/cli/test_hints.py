"""What is said where something is wrong around the command: once, with what there is, and with a command that works."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.desk import Desk, Ended


def told(ended: Ended) -> str:
    return " ".join((ended.out + ended.err).split())


def test_the_command_that_frees_a_deploy_s_lock_frees_it(desk: Desk) -> None:
    held = desk.rollback("guard", "--release", "v1.3.0", "--hold")
    locked = desk.rollback("guard", "--release", "v1.4.0")
    commands = {c for said in (held, locked) for c in re.findall(r"`rollback (guard [^`]*)`", told(said))}
    assert (held.code, locked.code, len(commands)) == (0, 6, 1)
    assert desk.rollback(*shlex.split(commands.pop())).code == 0
    assert desk.rollback("guard", "--release", "v1.4.0").code == 0


@pytest.mark.parametrize("command", [("plan", "--to", "v1.1.0"), ("run", "--to", "v1.1.0", "--yes"), ("status",),
                                     ("guard", "--release", "v1.2.0"), ("history",)])  # fmt: skip
def test_a_context_that_is_not_there_is_a_usage_error_with_those_that_are(desk: Desk, command: tuple[str, ...]) -> None:
    file = desk.playground.repository / "rollback.yaml"
    text = file.read_text()
    assert "context: " in text
    file.write_text(re.sub(r"context: .*", "context: gke-prod", text))
    ended = desk.rollback(*command)
    assert ended.code == 2, ended
    assert f"the kubeconfig has no context gke-prod; it has {desk.playground.shop.context}" in told(ended)


def test_a_registry_that_does_not_answer_is_said_once_with_its_services(desk: Desk) -> None:
    file = desk.playground.repository / "rollback.yaml"
    file.write_text(file.read_text().replace("http://127.0.0.1", "http://127.0.0.9"))
    ended = desk.rollback("plan", "--to", "v1.1.0")
    assert ended.code == 3, ended
    assert told(ended).count("docker.io does not answer, and could not tell") == 1, told(ended)
    assert told(ended).count("[--accept registry-unknown]") == 1
    assert all(name in told(ended) for name in ("service-discovery", "cloud-config", "user-service"))


def test_a_tag_that_a_shallow_clone_lacks_is_refused_with_the_fetch(desk: Desk, tmp_path: Path) -> None:
    source = desk.playground.repository
    desk.playground.shop.git(
        "clone", "--quiet", "--depth=1", "--branch=v1.2.0", f"file://{source}", str(tmp_path / "ci")
    )
    settings = tmp_path / "ci/rollback.yaml"
    settings.write_text((source / "rollback.yaml").read_text())
    ended = desk.rollback("plan", "--to", "v1.1.0", "--config", str(settings), "--output", "json")
    assert ended.code == 3, ended
    assert "There is no tag v1.1.0 in this clone" in json.dumps(ended.json)
    assert "`git fetch --tags`" in json.dumps(ended.json)
