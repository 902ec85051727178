"""Whole commands with the kubeconfigs that lead two clients to two identities, to none, or to a server nobody knows."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml

from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.cluster import ADMIN, CONTEXT
from rollback_lib.sandbox.schema import all_resources
from rollback_lib.sandbox.shop import GOOD, NAMESPACE
from tests.cli.desk import Desk
from tests.command_line import Ended
from tests.tls_front import TlsFront

RUN = ("run", "--to", GOOD, "--yes")
READER = User("reader", "reader-token", ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},))
# May be somebody else, and nothing more: none of what this user does itself may be seen in a run.
ROBOT = User("robot", "robot-token", ({"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def front(desk: Desk, folder: Path) -> Iterator[TlsFront]:
    users = desk.playground.cluster.users
    with TlsFront(desk.playground.cluster.url, folder) as made:
        yield made
    desk.playground.cluster.set_users(users)


def kubeconfig(file: Path, front: TlsFront, user: dict[str, object], *, insecure: bool = False) -> str:
    cluster = {"server": front.url, **({"insecure-skip-tls-verify": True} if insecure else
               {"certificate-authority": str(front.authority)})}  # fmt: skip
    text = {
        "contexts": [{"name": CONTEXT, "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": user}],
    }
    file.write_text(yaml.safe_dump(text))
    return str(file)


def told(done: Ended) -> str:
    return " ".join((done.out + done.err).split())


def test_who_may_only_read_as_somebody_else_is_refused_before_a_write(
    desk: Desk, front: TlsFront, tmp_path: Path
) -> None:
    desk.playground.cluster.set_users((ADMIN, READER))
    before = desk.objects()
    desk.playground.cluster.requests.clear()
    done = desk.rollback(*RUN, KUBECONFIG=kubeconfig(tmp_path / "k", front, {"token": ADMIN.token, "as": "reader"}))
    assert done.code == 3
    assert "we may not patch" in told(done)
    assert not desk.playground.cluster.requests.writes()
    assert desk.objects() == before


def test_a_run_is_made_as_the_one_that_the_kubeconfig_names_from_the_first_read_to_the_last_write(
    desk: Desk, front: TlsFront, tmp_path: Path
) -> None:
    """The user behind it may do nothing at all, so that one request of its own would be refused."""
    desk.playground.cluster.set_users((User("nobody", "n", ()), ROBOT, ADMIN))
    file = kubeconfig(tmp_path / "k", front, {"token": ROBOT.token, "as": ADMIN.name})
    done = desk.rollback(*RUN, KUBECONFIG=file)
    assert done.code == 0, told(done)
    assert not [e for e in desk.playground.cluster.requests if e.status in (401, 403)]


def test_who_may_not_be_the_other_is_refused_and_told_so(desk: Desk, front: TlsFront, tmp_path: Path) -> None:
    desk.playground.cluster.set_users((ADMIN, READER))
    file = kubeconfig(tmp_path / "k", front, {"token": READER.token, "as": ADMIN.name})
    done = desk.rollback("plan", "--to", GOOD, KUBECONFIG=file)
    assert done.code == 3
    assert "we cannot act as who its `as` names (forbidden)" in told(done)


def test_a_run_in_a_pod_without_a_kubeconfig(
    desk: Desk, front: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, temporary = tmp_path / "mount", tmp_path / "tmp"
    mount.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (mount / "token").write_text(ROBOT.token)
    os.link(front.authority, mount / "ca.crt")
    desk.playground.cluster.set_users((User("nobody", "n", ()), User("pod", ROBOT.token)))
    settings = desk.playground.repository / "rollback.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(f"    context: {CONTEXT}\n", ""), encoding="utf-8")
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(front.port)}
    with mock.patch("rollback_lib.adapters.access.MOUNT", mount):
        done = desk.rollback(*RUN, KUBECONFIG="", HOME=str(tmp_path), **environ)
    assert done.code == 0, told(done)
    assert not list(temporary.iterdir())
    assert ROBOT.token not in done.out + done.err
    assert not any(ROBOT.token.encode() in f.read_bytes() for f in desk.runs()[-1].rglob("*") if f.is_file())


def test_a_server_that_nothing_proves_is_warned_of_once_in_plan_and_doctor(
    desk: Desk, front: TlsFront, tmp_path: Path
) -> None:
    file = kubeconfig(tmp_path / "k", front, {"token": ADMIN.token}, insecure=True)
    plan = desk.rollback("plan", "--to", GOOD, KUBECONFIG=file)
    assert plan.code == 0, told(plan)
    assert told(plan).count("insecure-skip-tls-verify") == 1
    assert "Unverified HTTPS" not in plan.out + plan.err
    found = [c for c in desk.rollback("doctor", "--output", "json", KUBECONFIG=file).json["checks"]
             if "insecure-skip-tls-verify" in c["text"]]  # fmt: skip
    assert [(c["name"], c["state"]) for c in found] == [("cluster", "warn")]


def test_a_server_that_is_proven_is_not_warned_of(desk: Desk, front: TlsFront, tmp_path: Path) -> None:
    plan = desk.rollback("plan", "--to", GOOD, KUBECONFIG=kubeconfig(tmp_path / "k", front, {"token": ADMIN.token}))
    assert plan.code == 0, told(plan)
    assert "nothing proves" not in told(plan)


def test_who_may_not_see_the_namespace_is_told_all_the_same_what_else_is_lacking(desk: Desk) -> None:
    cluster = desk.playground.cluster
    rights = [r.plural for r in all_resources() if r.plural not in ("namespaces", "configmaps")]
    cluster.set_users((dataclasses.replace(ADMIN, rules=({"apiGroups": ["*"], "resources": rights, "verbs": ["*"]},)),))
    try:
        ended = desk.rollback("doctor")
    finally:
        cluster.set_users((ADMIN,))
    assert ended.code == 1, ended
    assert f"cannot get namespace {NAMESPACE} (forbidden)" in told(ended)
    lacking = [line for line in ended.out.splitlines() if line.startswith("FAIL permission")]
    assert any("configmaps" in line for line in lacking), ended
