import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.registry_credentials import Credentials, CredentialsError, CredentialStore

posix = pytest.mark.skipif(os.name == "nt", reason="helpers here are shell scripts")


def helper(tmp_path: Path, name: str, script: str) -> None:
    path = tmp_path / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def store(tmp_path: Path, config: Any, **more: Any) -> CredentialStore:
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return CredentialStore(path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, (), **more)


@posix
def test_a_helper_for_the_registry_comes_before_the_store_and_the_file(tmp_path: Path) -> None:
    helper(tmp_path, "own", """read key; echo '{"Username": "own", "Secret": "'$key'"}'""")
    helper(tmp_path, "all", """read key; echo '{"Username": "all", "Secret": "'$key'"}'""")
    config = {"credHelpers": {"r.example:5000": "own"}, "credsStore": "all", "auths": {"r.example:5000": {}}}
    found = store(tmp_path, config)
    assert found.find("r.example:5000", "r.example:5000") == Credentials("own", "r.example:5000")
    assert found.find("docker.io", "docker.io") == Credentials("all", "https://index.docker.io/v1/")


@posix
def test_a_helper_that_knows_nothing_is_not_broken(tmp_path: Path) -> None:
    helper(tmp_path, "all", "echo 'credentials not found in native keychain'; exit 1")
    assert store(tmp_path, {"credsStore": "all"}).find("r.example", "r.example") == Credentials()


@posix
@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("bad", "echo secret; exit 1", "docker-credential-bad failed (exit code 1)"),
        ("odd", "echo secret", "docker-credential-odd gave no credentials"),
        ("slow", "sleep 30 & sleep 30", "docker-credential-slow gave no answer in 0.2 s"),
        ("none", "", "docker-credential-none is not installed"),
        ("../x", "", "which is no name"),
    ],
)
def test_a_broken_helper_is_named_and_nothing_of_its_output_is_shown(
    tmp_path: Path, name: str, script: str, said: str
) -> None:
    if script:
        helper(tmp_path, name, script)
    with pytest.raises(CredentialsError) as e:
        store(tmp_path, {"credsStore": name}, helper_timeout=0.2).find("r.example", "r.example")
    assert said in str(e.value)
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("config", ["{", "[]", '{"auths": {"r.example": {"auth": "%%"}}}'])
def test_a_configuration_that_does_not_read_is_named(tmp_path: Path, config: str) -> None:
    with pytest.raises(CredentialsError, match="Docker configuration"):
        store(tmp_path, config).find("r.example", "r.example")


def test_docker_hubs_entry_has_a_key_of_its_own(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"bob:p:w").decode()}
    assert store(tmp_path, {"auths": {"https://index.docker.io/v1/": entry}}).find(
        "docker.io", "docker.io"
    ) == Credentials("bob", "p:w")


def test_credentials_do_not_show_themselves() -> None:
    assert "secret" not in repr(Credentials("bob", "secret")) + str(Credentials(token="secret"))
