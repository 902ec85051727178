"""kubectl's login plugins: what they get, what they may not do, and that a token that ends is fetched anew."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rollback_lib.adapters import process
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.core.errors import RefusedError
from rollback_lib.sandbox.cluster import ADMIN, Sandbox
from tests.tls_front import TlsFront

pytestmark = pytest.mark.skipif(os.name == "nt", reason="plugins here are shell scripts")
API = "client.authentication.k8s.io/v1"
GOOD = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": {"token": ADMIN.token}})


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    """By TLS: over plain http nobody logs in."""
    with Sandbox(namespaces=("shop",)) as found, TlsFront(found.url, tmp_path_factory.mktemp("tls")) as front:
        yield front


def cluster(
    sandbox: TlsFront, folder: Path, script: str, *, command: str = "./login", **more: object
) -> KubernetesCluster:
    """A client whose kubeconfig logs in with this script."""
    plugin = folder / "login"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)
    plugin_of = {"apiVersion": API, "command": command, "interactiveMode": "Never", **more}
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [
            {"name": "x", "cluster": {"server": sandbox.url, "certificate-authority": str(sandbox.authority)}}
        ],
        "users": [{"name": "x", "user": {"exec": plugin_of}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return KubernetesCluster(str(folder / "kubeconfig"), None, "shop")


def said(found: KubernetesCluster) -> str:
    with pytest.raises(RefusedError) as caught:
        found.identity()
    return str(caught.value)


def test_a_plugin_gets_what_it_needs_and_nothing_of_the_build(
    sandbox: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        "CLOUDSDK_CONFIG": "/cloud",
        "AWS_PROFILE": "prod",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HOME": "/home/me",
    }
    secret = {"JENKINS_URL": "http://j", "BUILD_TAG": "b-1", "NPM_TOKEN": "t", "ROLLBACK_REGISTRY_PASSWORD": "p"}
    for name, value in {**named, **secret}.items():
        monkeypatch.setenv(name, value)
    script = f"env > {tmp_path}/seen; echo '{GOOD}'"
    found = cluster(sandbox, tmp_path, script, env=[{"name": "FOO_HOME", "value": "/foo"}])
    assert found.identity().namespace_uid
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    assert named.items() <= seen.items()
    assert seen["FOO_HOME"] == "/foo"
    assert not secret.keys() & seen.keys()
    assert json.loads(seen["KUBERNETES_EXEC_INFO"])["spec"]["interactive"] is False


@pytest.mark.parametrize("name", ["SystemRoot", "USERPROFILE", "AppData", "https_proxy", "Path", "AZURE_CONFIG_DIR"])
def test_names_are_known_however_they_are_written(name: str) -> None:
    assert process.short_environment({name: "x", f"{name}_OTHER_THING": "y", "BUILD_ID": "1"}).get(name) == "x"


@pytest.mark.parametrize(
    ("script", "command", "words"),
    [
        ("exit 0", "./not-there", "login plugin not-there cannot be run"),
        ("exit 0", "cloud-login-that-nobody-has", "login plugin cloud-login-that-nobody-has cannot be run"),
        ("echo secret-word >&2; exit 3", "./login", "login plugin login failed (exit code 3)"),
        ("echo '{}'", "./login", "gave no credentials"),
        ("echo secret-word", "./login", "gave no credentials"),
        (f"echo '{GOOD}' | sed s,/v1,/v1beta1,", "./login", "gave no credentials"),
        ('read answer </dev/tty && echo "$answer"; read answer || exit 7', "./login", "failed (exit code 7)"),
    ],
)
def test_a_plugin_that_gives_nothing_is_named_and_nothing_of_what_it_wrote_is_shown(
    sandbox: TlsFront, tmp_path: Path, script: str, command: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = said(cluster(sandbox, tmp_path, script, command=command))
    assert words in text
    assert "secret-word" not in text + capfd.readouterr().err


def test_a_plugin_that_hangs_is_given_up(sandbox: TlsFront, tmp_path: Path) -> None:
    found = cluster(sandbox, tmp_path, "sleep 30 & sleep 30")
    found.access.login_limit = 0.3
    started = time.monotonic()
    assert "does it ask a question?" in said(found)
    assert time.monotonic() - started < 5


def test_a_token_that_ends_during_the_run_is_fetched_anew(sandbox: TlsFront, tmp_path: Path) -> None:
    """The first one ends at once, and the second plugin call gives another that the server takes."""
    ended = {"token": ADMIN.token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    first = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": ended})
    found = cluster(sandbox, tmp_path, f"echo x >> {tmp_path}/calls; echo '{first}'")
    for _ in range(2):
        assert found.identity().namespace_uid
    assert len((tmp_path / "calls").read_text().split()) >= 3


def test_a_plugin_that_breaks_during_the_run_is_named(sandbox: TlsFront, tmp_path: Path) -> None:
    ended = {"token": ADMIN.token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    first = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": ended})
    found = cluster(sandbox, tmp_path, f"test -e {tmp_path}/broken && exit 9; echo '{first}'")
    assert found.identity().namespace_uid
    (tmp_path / "broken").touch()
    assert "login plugin login failed (exit code 9)" in said(found)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_that_begin_together_log_in_once(sandbox: TlsFront, tmp_path: Path, threads: int) -> None:
    found = cluster(sandbox, tmp_path, f"echo x >> {tmp_path}/calls; sleep 0.1; echo '{GOOD}'")
    together = threading.Barrier(threads)
    seen: list[str] = []

    def ask() -> None:
        together.wait()
        seen.append(found.identity().namespace_uid)

    started = [threading.Thread(target=ask) for _ in range(threads)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    assert len(seen) == threads
    assert (tmp_path / "calls").read_text().split() == ["x"]


def test_two_clients_of_one_way_in_log_in_once(sandbox: TlsFront, tmp_path: Path) -> None:
    first = cluster(sandbox, tmp_path, f"echo x >> {tmp_path}/calls; echo '{GOOD}'")
    second = KubernetesCluster(None, None, "shop", access=first.access)
    assert first.identity() == second.identity()
    assert (tmp_path / "calls").read_text().split() == ["x"]


def test_a_login_that_failed_is_tried_again_by_the_next_question(sandbox: TlsFront, tmp_path: Path) -> None:
    found = cluster(sandbox, tmp_path, f"test -e {tmp_path}/mended || exit 9; echo '{GOOD}'")
    assert "exit code 9" in said(found)
    (tmp_path / "mended").touch()
    assert found.identity().namespace_uid


def test_a_plugin_is_left_alone_where_kubectl_leaves_it(sandbox: TlsFront, tmp_path: Path) -> None:
    """Beside a token it is not run; over plain http nobody logs in."""
    cluster(sandbox, tmp_path, f"touch {tmp_path}/called; exit 9")
    file = tmp_path / "kubeconfig"
    config = yaml.safe_load(file.read_text())
    config["users"][0]["user"]["token"] = ADMIN.token
    file.write_text(yaml.safe_dump(config))
    assert KubernetesCluster(str(file), None, "shop").identity().namespace_uid
    assert not (tmp_path / "called").exists()
