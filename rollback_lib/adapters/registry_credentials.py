"""Who we are to a registry: the environment, or Docker's own config.json with its credential helpers.

Docker's rules (docker/cli, config file): ``credHelpers`` for a registry come before ``credsStore``, which comes before
``auths``; Docker Hub's entry is keyed ``https://index.docker.io/v1/``.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from rollback_lib.adapters import process
from rollback_lib.adapters.bounded import LargerError, Stopped, never

HUB: Final = "docker.io"
HUB_KEY: Final = "https://index.docker.io/v1/"
_LARGEST: Final = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9_.-]+")


class CredentialsError(Exception):
    """Credentials are set up and could not be had. Never a reason to go on anonymously: the answer would mislead."""


class Credentials(msgspec.Struct, frozen=True):
    """A user and a password, or an identity token (``token``); all empty: nobody. Never shown in full."""

    user: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.who})"

    @property
    def who(self) -> str:
        """For messages: whom we ask as."""
        if self.token:
            return "with an identity token"
        return f"as user {self.user!r}" if self.user or self.password else "anonymously"

    @property
    def basic(self) -> str:
        """The Authorization header; the user arrives byte for byte (``robot$ci+x``)."""
        pair = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode()


class CredentialStore:
    """Finds the credentials for a registry's host.

    ``ROLLBACK_REGISTRY_USER`` and ``ROLLBACK_REGISTRY_PASSWORD`` count for ``own_hosts`` only: a manifest may name
    anybody's registry, and the team's password must not be sent there.
    """

    def __init__(
        self,
        docker_config: Path | None,
        environ: Mapping[str, str],
        own_hosts: Collection[str],
        helper_timeout: float = 5.0,
        stopped: Stopped = never,
    ) -> None:
        self._config = docker_config or _default_config(environ)
        self._environ = environ
        self._own_hosts = frozenset(own_hosts)
        self._helper_timeout, self._stopped = helper_timeout, stopped

    def find(self, host: str, asked_host: str) -> Credentials:
        """For images of ``host`` that are asked of ``asked_host`` (a mirror, or the same).

        CredentialsError names what is broken: a file that does not read, a helper that is missing, fails or hangs.
        """
        user = self._environ.get("ROLLBACK_REGISTRY_USER", "")
        password = self._environ.get("ROLLBACK_REGISTRY_PASSWORD", "")
        if (user or password) and self._own_hosts & {host, asked_host}:
            if not user or not password:
                raise CredentialsError("only one of ROLLBACK_REGISTRY_USER and ROLLBACK_REGISTRY_PASSWORD is set")
            return Credentials(user, password)
        config = self._read()
        keys = _keys(asked_host)
        helpers = _table(config, "credHelpers")
        for key in keys:
            if key in helpers:
                return self._ask_helper(str(helpers[key]), key) or _from_auths(config, keys)
        store = config.get("credsStore")
        if store:
            return self._ask_helper(str(store), keys[0]) or _from_auths(config, keys)
        return _from_auths(config, keys)

    def _read(self) -> dict[str, Any]:
        if self._config is None:
            return {}
        try:
            found = json.loads(self._config.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            raise CredentialsError(f"the Docker configuration {self._config} cannot be read") from None
        if not isinstance(found, dict):
            raise CredentialsError(f"the Docker configuration {self._config} cannot be read")
        return found

    def _ask_helper(self, name: str, key: str) -> Credentials | None:
        """None where the helper works and knows nothing of this registry."""
        if not _HELPER.fullmatch(name):
            raise CredentialsError(f"the Docker configuration names the credential helper {name!r}, which is no name")
        program = f"docker-credential-{name}"
        path = shutil.which(program, path=self._environ.get("PATH", os.defpath))
        if path is None:
            raise CredentialsError(f"the credential helper {program} is not installed here")
        code, out = self._run(path, key, program)
        if code:
            if "credentials not found" in out:
                return None
            raise CredentialsError(f"the credential helper {program} failed (exit code {code})")
        try:
            said = json.loads(out)
            user, secret = str(said["Username"]), str(said["Secret"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise CredentialsError(f"the credential helper {program} gave no credentials") from None
        return Credentials(token=secret) if user == "<token>" else Credentials(user, secret)

    def _run(self, path: str, key: str, program: str) -> tuple[int, str]:
        """Run a helper. It gets the environment (it needs cloud credentials), less ours and the build's."""
        env = {k: v for k, v in self._environ.items() if not k.startswith(("ROLLBACK_", "JENKINS_", "BUILD_"))}
        limit = self._helper_timeout
        try:
            done = process.run(
                (path, "get"), {}, timeout=limit, more=env, largest=_LARGEST, stopped=self._stopped, through="login",
                stdin=key.encode(),
            )  # fmt: skip
        except OSError as e:
            raise CredentialsError(f"the credential helper {program} cannot be run: {e.strerror}") from None
        except subprocess.TimeoutExpired:
            raise CredentialsError(f"the credential helper {program} gave no answer in {limit:g} s") from None
        except LargerError:
            raise CredentialsError(f"the credential helper {program} gave no credentials") from None
        return done.code, done.out


def _default_config(environ: Mapping[str, str]) -> Path | None:
    folder = environ.get("DOCKER_CONFIG", "")
    if folder:
        return Path(folder) / "config.json"
    home = environ.get("HOME") or environ.get("USERPROFILE") or ""
    return Path(home) / ".docker" / "config.json" if home else None


def _keys(host: str) -> tuple[str, ...]:
    if host in (HUB, "registry-1.docker.io", "index.docker.io"):
        return (
            HUB_KEY,
            "https://index.docker.io/v1",
            "index.docker.io",
            HUB,
            "https://docker.io",
            "registry-1.docker.io",
        )
    return (host, *(f"{scheme}://{host}{tail}" for scheme in ("https", "http") for tail in ("", "/", "/v1/", "/v2/")))


def _table(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _from_auths(config: Mapping[str, Any], keys: tuple[str, ...]) -> Credentials:
    auths = _table(config, "auths")
    for key in keys:
        entry = auths.get(key)
        if not isinstance(entry, dict) or not entry:
            continue
        if entry.get("identitytoken"):
            return Credentials(token=str(entry["identitytoken"]))
        if entry.get("auth"):
            try:
                pair = base64.b64decode(str(entry["auth"]), validate=True).decode("utf-8", "surrogateescape")
            except (binascii.Error, ValueError):
                raise CredentialsError(f"the Docker configuration has an entry for {key} that cannot be read") from None
            user, colon, password = pair.partition(":")
            if not colon:
                raise CredentialsError(f"the Docker configuration has an entry for {key} that cannot be read")
            return Credentials(user, password.rstrip("\0"))
        if entry.get("username"):
            return Credentials(str(entry["username"]), str(entry.get("password", "")))
    return Credentials()
