"""How a process reaches its cluster, found once: what reads, and the kubectl that writes, are led to it from here."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import yaml

from rollback_lib.adapters import bounded, http, loading, login_plugin
from rollback_lib.adapters.login_plugin import LIMIT, LoginError
from rollback_lib.core import encoding
from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.kube import kubeconfig
from rollback_lib.core.kube.kubeconfig import Chosen, Config

MOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECTIONS: Final = 8
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOKEN_FILE_READ: Final = 60.0  # seconds: the kubelet writes a pod's next token long before the old one ends
_RENEWED: Final = timedelta(minutes=1)  # before a plugin's credentials end
_HOW: Final = "Set KUBECONFIG, and `context` in rollback.yaml; see `kubectl config get-contexts`."


class Access:
    """One context of a kubeconfig, or the account of the pod that we run in. Nothing is read before the first question.

    ``kubeconfig``: as KUBECONFIG has it (several files are one); without it the user's own, and where there is none the
    pod's account, which is mounted at ``mount``. Threads share one login; ``stopped`` ends its plugin.
    """

    def __init__(
        self, kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ,
        *, mount: Path | None = None, stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self._files, self._wanted, self._environ = kubeconfig, context, environ
        self._mount = mount or MOUNT
        self.login_limit, self._stopped = LIMIT, stopped
        self._lock = threading.RLock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._config: Config | None = None
        self._chosen: Chosen | None = None
        self._of_pod: dict[str, Any] | None = None
        self._client: Any = None
        self._login: dict[str, Any] = {}
        self._certificate: str | None = None  # of the plugin's, that `_client` was made with
        self._token_file: tuple[float, str] = (0.0, "")

    # -- which

    def chosen(self) -> Chosen:
        """The context with its cluster and user. Raises RefusedError where none can be used."""
        with self._lock:
            if self._chosen is None:
                self._chosen = kubeconfig.choose(self._read(), self._wanted)
            return self._chosen

    @property
    def context(self) -> str:
        """The context's name; empty for the pod's own account."""
        name = self.chosen().context
        return "" if self._of_pod else name

    def contexts(self) -> Sequence[str]:
        """The contexts there are; none for the pod's own account."""
        with self._lock:
            config = self._read()
            return () if self._of_pod else tuple(config.contexts)

    def doubts(self) -> tuple[str, ...]:
        """What makes it less than sure that it is this cluster which answers."""
        return kubeconfig.doubts(self.chosen())

    def arguments(self) -> tuple[str, ...]:
        """What leads kubectl to the same context, whatever becomes the current one meanwhile."""
        with self._lock:
            chosen = self.chosen()
            if self._of_pod is None:
                return (f"--context={chosen.context}",)
            # kubectl's own way to a pod's account ends with the first flag that is given to it.
            file = Path(self._scratch()) / "kubeconfig"
            if not file.exists():
                self._write(file, json.dumps(self._of_pod).encode())
            return (f"--kubeconfig={file}", f"--context={chosen.context}")

    def _read(self) -> Config:
        if self._config is None:
            self._config = self._read_files()
        return self._config

    def _read_files(self) -> Config:
        home = self._environ.get("HOME")
        usual = (Path(home) if home else Path.home()) / ".kube" / "config"
        names = dict.fromkeys(filter(None, (self._files or str(usual)).split(os.pathsep)))
        found = [file for name in names if (file := _parsed(name)) is not None]
        config = kubeconfig.merged(found)
        if config.contexts or config.clusters or config.users:
            return config
        if self._files:  # never another cluster than the one that was named
            raise _refused(f"{self._files} is not there, or empty", _HOW)
        host, port = (self._environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        if not (host and port and (self._mount / "token").is_file()):
            raise _refused(f"there is none ({usual}), and this is no pod with an account of its own", _HOW)
        if self._wanted:
            raise _refused(
                f"there is none, only the account of this pod, and nothing proves that it is {self._wanted}'s",
                "Give the pod a kubeconfig that has this context, or leave `context` out of the environment in "
                "rollback.yaml: then the cluster is meant that the pod runs in.",
            )
        self._of_pod = kubeconfig.of_pod(host, port, str(self._mount))
        return kubeconfig.merged([kubeconfig.File("the pod's account", self._of_pod, os.path.abspath)])

    # -- asking

    def client(self) -> Any:
        """The official client, connected to it. Raises RefusedError where it cannot be."""
        with self._lock:
            try:
                certificate = self._log_in().get("clientCertificateData")
                if self._client is None or certificate != self._certificate:
                    self._certificate = certificate
                    self._client = self._connected()
            except LoginError as error:
                raise RefusedError(f"the kubeconfig cannot be used: {error}.") from None
            return self._client

    def _connected(self) -> Any:
        with loading.alone():
            from kubernetes.client import ApiClient, Configuration

        chosen = self.chosen()
        cluster, user = chosen.cluster, chosen.user
        settings = Configuration()
        settings.retries = False
        settings.host = cluster["server"].rstrip("/")
        if http.is_here(settings.host) and settings.proxy in getproxies().values():
            settings.proxy = None  # as kubectl: no proxy of the environment before this machine (kind, minikube)
        if "proxy-url" in cluster:
            settings.proxy, settings.no_proxy = cluster["proxy-url"], ""
        if chosen.is_tls:
            settings.ssl_ca_cert = self._file("certificate-authority", cluster)
            settings.cert_file = self._file("client-certificate", user, self._login.get("clientCertificateData"))
            settings.key_file = self._file("client-key", user, self._login.get("clientKeyData"))
            settings.tls_server_name = cluster.get("tls-server-name")
            settings.verify_ssl = not cluster.get("insecure-skip-tls-verify", False)
        if not settings.verify_ssl:  # `doubts` says it once, and not every request
            _say_nothing_of(urlsplit(settings.host).hostname or "")
        settings.connection_pool_maxsize = CONNECTIONS
        try:
            return ApiClient(configuration=settings)
        except Exception as error:
            raise _refused(f"no connection can be made ({type(error).__name__})", _HOW) from None

    def sign(self, headers: Any) -> None:
        """Add who asks, and as whom, to a request's headers (a multi-valued mapping, as urllib3's).

        Raises RefusedError where nobody can log in (any more).
        """
        try:
            if said := self._authorization():
                headers["Authorization"] = said
        except LoginError as error:
            raise RefusedError(f"the kubeconfig cannot be used: {error}.") from None
        for name, value in kubeconfig.impersonation(self.chosen().user):
            headers.add(name, value)

    def _authorization(self) -> str:
        chosen = self.chosen()
        user = chosen.user
        if not chosen.is_tls:
            return ""
        if token := self._token(user):
            return f"Bearer {token}"
        if "username" in user:
            both = f"{user['username']}:{user.get('password', '')}"
            return f"Basic {base64.b64encode(both.encode()).decode()}"
        token = str(self._log_in().get("token") or "")
        return f"Bearer {token}" if token else ""

    def _token(self, user: Mapping[str, Any]) -> str:
        if "tokenFile" not in user:
            return str(user.get("token", ""))
        with self._lock:
            read, token = self._token_file
            if not token or time.monotonic() - read > _TOKEN_FILE_READ:
                try:
                    token = Path(user["tokenFile"]).read_text(encoding="utf-8").strip() or token
                except (OSError, UnicodeDecodeError) as error:
                    token = token or user.get("token", "")
                    if not token:
                        said = getattr(error, "strerror", None) or "it is no text"
                        raise LoginError(f"its tokenFile {user['tokenFile']} cannot be read: {said}") from None
                self._token_file = (time.monotonic(), token)
            return token

    def _log_in(self) -> dict[str, Any]:
        """What the login plugin gave, asked anew shortly before it ends; nothing where there is none."""
        chosen = self.chosen()
        plugin = chosen.user.get("exec")
        if plugin is None or not chosen.is_tls or kubeconfig.has_own_credentials(chosen.user):
            return {}
        with self._lock:
            if not self._login or _has_ended(self._login):
                self._login = login_plugin.run(plugin, chosen.cluster, self._environ, self.login_limit, self._stopped)
            return self._login

    # -- files

    def _file(self, key: str, found: Mapping[str, Any], text: str | None = None) -> str | None:
        """The file that a field names, or one with what stands in ``KEY-data``; ``text``: what a plugin gave."""
        data = text.encode() if text else None
        if data is None and f"{key}-data" in found:
            try:
                data = base64.b64decode(found[f"{key}-data"], validate=True)
            except ValueError:
                raise _refused(f"{key}-data does not read as base64", _HOW) from None
        if data is None:
            path = found.get(key)
            if path is not None and not Path(path).is_file():
                raise _refused(f"its {key} is not there ({path})", _HOW)
            return path
        file = Path(self._scratch()) / key
        self._write(file, data)
        return str(file)

    def _scratch(self) -> str:
        if self._folder is None:
            try:
                self._folder = tempfile.TemporaryDirectory(prefix="rollback-access-")  # for nobody but us (0700)
            except OSError as error:
                raise RefusedError(f"there is no place for a temporary file: {error.strerror}.") from None
        return self._folder.name

    @staticmethod
    def _write(file: Path, data: bytes) -> None:
        try:
            file.unlink(missing_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(data)
        except OSError as error:
            raise RefusedError(f"{file} cannot be written: {error.strerror}.") from None

    def close(self) -> None:
        """Close the connections, and remove what was written. May be called twice."""
        with self._lock:
            if self._client is not None:
                self._client.rest_client.pool_manager.clear()
                self._client = None
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None


def _parsed(name: str) -> kubeconfig.File | None:
    """A file; None where it is not there, or says nothing. No error holds a word of it: that may be a token."""
    path = Path(name)
    try:
        data = yaml.load(encoding.decode(path.read_bytes()).text, _LOADER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(f"{name}: {error.strerror}", _HOW) from None
    except encoding.NotTextError as error:
        raise _refused(f"{name} is {error.text}", encoding.NotTextError.FIX) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _refused(f"{name}{f', line {mark.line + 1},' if mark else ''} does not read as YAML", "") from None
    folder = os.path.abspath(path.parent)
    return None if data is None else kubeconfig.File(name, data, lambda own: os.path.join(folder, own))


def _has_ended(login: Mapping[str, Any]) -> bool:
    with contextlib.suppress(ValueError):
        if end := login.get("expirationTimestamp"):
            at = datetime.fromisoformat(str(end))
            return (at if at.tzinfo else at.replace(tzinfo=UTC)) - _RENEWED <= datetime.now(UTC)
    return False


def _say_nothing_of(host: str) -> None:
    """Keep urllib3 from warning at every request to this host; to others it still does."""
    import re

    from urllib3.exceptions import InsecureRequestWarning

    said = f"Unverified HTTPS request is being made to host '{re.escape(host)}'"
    warnings.filterwarnings("ignore", message=said, category=InsecureRequestWarning)


def _refused(text: str, fix: str) -> RefusedError:
    return RefusedError(Refusal(f"the kubeconfig cannot be used: {text}.", fix=fix))
