"""kubectl's login plugins: what they get, what they may not do, and that a token that ends is fetched anew."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rollback_lib.adapters import process
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.core.errors import RefusedError
from rollback_lib.sandbox.cluster import ADMIN, Sandbox

pytestmark = pytest.mark.skipif(os.name == "nt", reason="plugins here are shell scripts")
API = "client.authentication.k8s.io/v1"
GOOD = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": {"token": ADMIN.token}})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(namespaces=("shop",)) as found:
        yield found


def cluster(
    sandbox: Sandbox, folder: Path, script: str, *, command: str = "./login", **more: object
) -> KubernetesCluster:
    """A client whose kubeconfig logs in with this script."""
    plugin = folder / "login"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)
    config = yaml.safe_load(sandbox.kubeconfig_text())
    config["users"][0]["user"] = {"exec": {"apiVersion": API, "command": command, "interactiveMode": "Never", **more}}
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return KubernetesCluster(str(folder / "kubeconfig"), None, "shop")


def said(found: KubernetesCluster) -> str:
    with pytest.raises(RefusedError) as caught:
        found.identity()
    return str(caught.value)


def test_a_plugin_gets_what_it_needs_and_nothing_of_the_build(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    sandbox: Sandbox, tmp_path: Path, script: str, command: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = said(cluster(sandbox, tmp_path, script, command=command))
    assert words in text
    assert "secret-word" not in text + capfd.readouterr().err


def test_a_plugin_that_hangs_is_given_up(sandbox: Sandbox, tmp_path: Path) -> None:
    found = cluster(sandbox, tmp_path, "sleep 30 & sleep 30")
    found._logins.limit = 0.3
    started = time.monotonic()
    assert "does it ask a question?" in said(found)
    assert time.monotonic() - started < 5


def test_a_token_that_ends_during_the_run_is_fetched_anew(sandbox: Sandbox, tmp_path: Path) -> None:
    """The first one ends at once, and the second plugin call gives another that the server takes."""
    ended = {"token": ADMIN.token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    first = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": ended})
    found = cluster(sandbox, tmp_path, f"echo x >> {tmp_path}/calls; echo '{first}'")
    for _ in range(2):
        assert found.identity().namespace_uid
    assert len((tmp_path / "calls").read_text().split()) >= 3


def test_a_plugin_that_breaks_during_the_run_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    ended = {"token": ADMIN.token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    first = json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": ended})
    found = cluster(sandbox, tmp_path, f"test -e {tmp_path}/broken && exit 9; echo '{first}'")
    assert found.identity().namespace_uid
    (tmp_path / "broken").touch()
    assert "login plugin login failed (exit code 9)" in said(found)
