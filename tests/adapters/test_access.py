"""One identity: what we send beside what kubectl sends with the same kubeconfig, and what neither takes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollback_lib.adapters import access as access_module
from rollback_lib.adapters import loading
from rollback_lib.adapters.access import Access
from rollback_lib.adapters.kubectl import Kubectl
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube import kubeconfig
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.run.changes import CreateObject
from rollback_lib.sandbox.cluster import ADMIN, Sandbox
from tests.tls_front import TlsFront, certificate

Pairs = list[tuple[str, str]]
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "Never"}
STATUS = {"apiVersion": PLUGIN["apiVersion"], "kind": "ExecCredential", "status": {"token": "of-the-plugin"}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, list(self.headers.items())))  # type: ignore[attr-defined]
        body = json.dumps({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop", "uid": "u-1"}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None: ...


class Listener:
    """A server that says yes to everything and keeps what it was sent."""

    def __init__(self, tls: tuple[Path, Path] | None) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.seen = []  # type: ignore[attr-defined]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.cluster = {"server": f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"}
        if tls:
            self.cluster["certificate-authority"] = str(tls[0])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def who(self) -> Pairs:
        """What the last request said about who asks, and as whom."""
        _, headers = self._server.seen[-1]  # type: ignore[attr-defined]
        found = ((name.lower(), value) for name, value in headers)  # Go writes them in a case of its own
        return sorted((k, v) for k, v in found if k.startswith(("authorization", "impersonate")))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    made = Listener(certificate(tmp_path_factory.mktemp("tls")))
    yield made
    made.close()


def config(cluster: Mapping[str, Any], user: Mapping[str, Any], name: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": dict(cluster)}],
        "users": [{"name": name, "user": dict(user)}],
    }


def write(file: Path, data: Any) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(data))
    return str(file)


def by_kubectl(
    folder: Path, files: str, *more: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl on the PATH")
    return subprocess.run(
        (found, *more, "get", "--raw", "/api/v1/namespaces/shop"), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=30, check=False, cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": files, **(environ or {})},
    )  # fmt: skip


def ours(files: str, context: str | None = None) -> None:
    cluster = KubernetesCluster(files, context, "shop")
    try:
        assert cluster.identity().namespace_uid == "u-1"
    finally:
        cluster.close()


USERS: Mapping[str, Mapping[str, Any]] = {
    "token": {"token": "t-1"},
    "as": {"token": "t-1", "as": "system:serviceaccount:shop:rollback"},
    "as with all it may have": {
        "token": "t-1", "as": "jane", "as-uid": "7-7", "as-groups": ["devs", "on call"],
        "as-user-extra": {"Scopes": ["one", "two"], "acme.com/área %": ["x"]},
    },
    "tokenFile with a line end": {"tokenFile": "token"},
    "tokenFile before token": {"tokenFile": "token", "token": "t-1"},
    "tokenFile that is not there, and token": {"tokenFile": "none", "token": "t-1"},
    "password": {"username": "jane", "password": "ñ:secret"},
    "plugin": {"exec": PLUGIN},
    "plugin and as": {"exec": PLUGIN, "as": "jane"},
    "plugin beside a token": {"exec": PLUGIN, "token": "t-1"},
    "plugin of the older API": {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./older"}
    },
    "empty fields": {"token": "t-1", "tokenFile": "", "username": "", "as": "", "as-groups": []},
    "unknown fields": {"token": "t-1", "impersonate": "jane", "As": "jane"},
}  # fmt: skip


def prepared(folder: Path) -> None:
    (folder / "token").write_text("of-the-file\n")
    for name, version in (("login", "v1"), ("older", "v1beta1")):
        said = json.dumps({**STATUS, "apiVersion": f"client.authentication.k8s.io/{version}"})
        (folder / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (folder / name).chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="plugins here are shell scripts")
@pytest.mark.parametrize("user", USERS.values(), ids=list(USERS))
def test_the_same_identity_is_sent_as_kubectl_sends(
    listener: Listener, tmp_path: Path, user: Mapping[str, Any]
) -> None:
    prepared(tmp_path)
    file = write(tmp_path / "kubeconfig", config(listener.cluster, user))
    done = by_kubectl(tmp_path, file)
    assert done.returncode == 0, done.stderr
    theirs = listener.who()
    ours(file)
    assert listener.who() == theirs
    assert theirs


def test_over_plain_http_no_credentials_are_sent_but_who_it_is_to_be(tmp_path: Path) -> None:
    plain = Listener(None)
    try:
        file = write(tmp_path / "kubeconfig", config(plain.cluster, {"token": "t-1", "as": "jane"}))
        assert by_kubectl(tmp_path, file).returncode == 0
        assert plain.who() == [("impersonate-user", "jane")]
        ours(file)
        assert plain.who() == [("impersonate-user", "jane")]
    finally:
        plain.close()


NOT_TAKEN: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "token and password": ({}, {"token": "t", "username": "a", "password": "b"}, "user.token"),
    "groups without as": ({}, {"token": "t", "as-groups": ["x"]}, "without `as`"),
    "uid without as": ({}, {"token": "t", "as-uid": "x"}, "without `as`"),
    "groups that are numbers": ({}, {"token": "t", "as": "j", "as-groups": [1]}, "user.as-groups"),
    "extra that is a text": ({}, {"token": "t", "as": "j", "as-user-extra": {"a": "b"}}, "user.as-user-extra"),
    "token that is a number": ({}, {"token": 123}, "user.token is not a text"),
    "tokenFile that is not there": ({}, {"tokenFile": "none"}, "tokenFile"),
    "certificate without key": ({}, {"client-certificate": "token"}, "user.client-certificate"),
    "auth-provider": ({}, {"auth-provider": {"name": "gcp", "config": {"access-token": "t"}}}, "user.auth-provider"),
    "plugin of an API that is gone": (
        {}, {"exec": {**PLUGIN, "apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "user.exec.apiVersion",
    ),
    "plugin that asks": ({}, {"exec": {**PLUGIN, "interactiveMode": "Always"}}, "interactiveMode"),
    "plugin that does not say": (
        {}, {"exec": {k: v for k, v in PLUGIN.items() if k != "interactiveMode"}}, "interactiveMode",
    ),
    "nobody": ({}, {}, "no way to log in"),
    "insecure beside an authority": ({"insecure-skip-tls-verify": True}, {"token": "t"}, "insecure-skip-tls-verify"),
    "insecure that is a text": ({"insecure-skip-tls-verify": "no"}, {"token": "t"}, "insecure-skip-tls-verify"),
    "two authorities": ({"certificate-authority-data": "eA=="}, {"token": "t"}, "cluster.certificate-authority"),
    "proxy of no kind": ({"proxy-url": "ftp://x"}, {"token": "t"}, "cluster.proxy-url"),
    "no server": ({"server": ""}, {"token": "t"}, "cluster.server"),
    "server without a scheme": ({"server": "127.0.0.1:1"}, {"token": "t"}, "cluster.server"),
    "another name of the server": ({"tls-server-name": "other"}, {"token": "t"}, "Hostname mismatch"),
}  # fmt: skip


@pytest.mark.parametrize(("cluster", "user", "words"), NOT_TAKEN.values(), ids=list(NOT_TAKEN))
def test_what_kubectl_does_not_take_is_refused_by_the_name_of_the_field(
    listener: Listener, tmp_path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], words: str
) -> None:
    prepared(tmp_path)
    file = write(tmp_path / "kubeconfig", config({**listener.cluster, **cluster}, user))
    assert by_kubectl(tmp_path, file).returncode != 0
    with pytest.raises(RefusedError, match=words):
        ours(file)


@pytest.mark.parametrize("what", ["user", "cluster"])
def test_a_context_that_names_what_is_not_there_is_refused(listener: Listener, tmp_path: Path, what: str) -> None:
    data = config(listener.cluster, {"token": "t"})
    data["contexts"][0]["context"][what] = "gone"
    file = write(tmp_path / "kubeconfig", data)
    assert by_kubectl(tmp_path, file).returncode != 0
    with pytest.raises(RefusedError, match=f"`{what}` \\(gone\\)"):
        ours(file)


def test_two_of_a_name_in_one_file_are_refused(listener: Listener, tmp_path: Path) -> None:
    data = config(listener.cluster, {"token": "t"})
    data["users"].append({"name": "x", "user": {"token": "s3cret"}})
    file = write(tmp_path / "kubeconfig", data)
    assert by_kubectl(tmp_path, file).returncode != 0
    with pytest.raises(RefusedError, match="has x twice") as caught:
        ours(file)
    assert "s3cret" not in str(caught.value)


def test_what_does_not_read_is_named_and_nothing_of_it_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("users:\n- name: x\n  user: {token: s3cret\n")
    with pytest.raises(RefusedError, match="does not read as YAML") as caught:
        ours(str(file))
    assert "s3cret" not in str(caught.value)
    file.write_bytes(b"token: \xff s3cret")
    with pytest.raises(RefusedError, match="not UTF-8"):
        ours(str(file))


def test_of_several_files_the_first_says_what_is_current_and_paths_lie_beside_their_own(
    listener: Listener, tmp_path: Path
) -> None:
    """The official client takes the last current context, and looks for a user's files beside the cluster's."""
    shutil.copy(listener.cluster["certificate-authority"], tmp_path / "ca.crt")
    cluster = {**listener.cluster, "certificate-authority": "../ca.crt"}
    first = config(cluster, {"token": "first"}, "first")
    del first["users"]  # stands in another file, beside its token
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "token").write_text("beside-b")
    second = config(cluster, {"tokenFile": "token"}, "first") | {"current-context": "second"}
    second["contexts"] += config(cluster, {}, "second")["contexts"]
    second["contexts"][0]["context"]["user"] = "of the second file"
    second["users"] += [{"name": "second", "user": {"token": "second"}}]
    files = os.pathsep.join(
        (write(tmp_path / "a" / "kubeconfig", first), str(tmp_path / "gone"), write(tmp_path / "b" / "kc", second))
    )
    assert by_kubectl(tmp_path, files).returncode == 0
    theirs = listener.who()
    assert theirs == [("authorization", "Bearer beside-b")]
    ours(files)
    assert listener.who() == theirs
    found = Access(files, None)
    assert (found.context, found.contexts()) == ("first", ("first", "second"))


def test_kubectl_is_led_to_the_context_that_was_read_whatever_becomes_the_current_one(tmp_path: Path) -> None:
    both = config({"server": "http://127.0.0.1:1"}, {}, "a")
    both["contexts"] += config({}, {}, "b")["contexts"]
    file = Path(write(tmp_path / "kubeconfig", both))
    found = Access(str(file), None)
    assert found.context == "a"
    write(file, both | {"current-context": "b"})  # `kubectl config use-context b` in another terminal
    assert found.arguments() == ("--context=a",)


def test_a_token_file_is_read_anew_and_its_last_good_content_stays(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_TOKEN_FILE_READ", 0.0)
    token = tmp_path / "token"
    token.write_text("first")
    file = write(tmp_path / "kubeconfig", config(listener.cluster, {"tokenFile": "token"}))
    cluster = KubernetesCluster(file, None, "shop")
    said = []
    for text in ("first", "second", ""):
        token.write_text(text)
        cluster.identity()
        said.append(dict(listener.who())["authorization"])
    token.unlink()
    cluster.identity()
    cluster.close()
    assert [*said, dict(listener.who())["authorization"]] == ["Bearer first", *["Bearer second"] * 3]


def test_certificates_in_the_kubeconfig_lie_in_a_private_place_only_while_they_are_used(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = Path(listener.cluster["certificate-authority"]).read_bytes()
    data = {"server": listener.cluster["server"], "certificate-authority-data": base64.b64encode(text).decode()}
    file = write(tmp_path / "kubeconfig", config(data, {"token": "t"}))
    cluster = KubernetesCluster(file, None, "shop")
    assert cluster.identity().namespace_uid == "u-1"
    (made,) = tmp_path.glob("rollback-access-*/*")
    if os.name != "nt":
        assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    cluster.close()
    cluster.close()
    assert not list(tmp_path.glob("rollback-access-*"))


def test_who_connects_waits_until_the_client_is_loaded(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that load it at once meet it half made: seen in a pod, whose disk is slow."""
    loaded = threading.Event()
    monkeypatch.setattr(loading, "_load_client", lambda: loaded.wait(20))
    file = write(tmp_path / "kubeconfig", config(listener.cluster, {"token": "t"}))
    loading.begin()
    asking = threading.Thread(target=ours, args=(file,))
    asking.start()
    asking.join(0.1)
    assert asking.is_alive()
    loaded.set()
    asking.join(20)
    assert not asking.is_alive()


# -- without a certificate


def test_what_nothing_proves_is_said_by_us_once_and_not_by_the_library(
    listener: Listener, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A warning of the library's would be an error here: pytest is set so."""
    insecure = {"server": listener.cluster["server"], "insecure-skip-tls-verify": True}
    file = write(tmp_path / "kubeconfig", config(insecure, {"token": "t"}))
    cluster = KubernetesCluster(file, None, "shop")
    for _ in range(3):
        cluster.identity()
    (said,) = cluster.doubts()
    cluster.close()
    assert "insecure-skip-tls-verify" in said
    assert listener.cluster["server"] in said
    assert capfd.readouterr().err == ""


def test_of_other_hosts_the_library_still_warns(listener: Listener, tmp_path: Path) -> None:
    import urllib3

    insecure = {"server": listener.cluster["server"].replace("127.0.0.1", "localhost")}
    file = write(tmp_path / "kubeconfig", config(insecure | {"insecure-skip-tls-verify": True}, {"token": "t"}))
    ours(file)
    with (
        urllib3.PoolManager(cert_reqs="CERT_NONE") as pool,
        pytest.raises(urllib3.exceptions.InsecureRequestWarning, match=r"host '127\.0\.0\.1'"),
    ):
        pool.request("GET", listener.cluster["server"])


@pytest.mark.parametrize(
    "cluster",
    [{"server": "http://127.0.0.1:1", "insecure-skip-tls-verify": True}, {"server": "https://127.0.0.1:1"},
     {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": False}],
)  # fmt: skip
def test_where_nothing_is_doubtful_nothing_is_said(cluster: Mapping[str, Any]) -> None:
    file = kubeconfig.File("x", config(cluster, {"token": "t"}), str)
    assert kubeconfig.doubts(kubeconfig.choose(kubeconfig.merged([file]), None)) == ()


# -- in a pod


class Pod:
    """What a pod without a kubeconfig has: the variables, a token and the cluster's certificate at a mount."""

    def __init__(self, folder: Path, front: TlsFront) -> None:
        self.mount = folder / "serviceaccount"
        self.mount.mkdir()
        (self.mount / "token").write_text(ADMIN.token)
        shutil.copy(front.authority, self.mount / "ca.crt")
        self.environ = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(front.port),
        }  # fmt: skip

    def access(self, kubeconfig: str | None = None, context: str | None = None) -> Access:
        return Access(kubeconfig, context, self.environ, mount=self.mount)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    with Sandbox(namespaces=("shop",)) as sandbox, TlsFront(sandbox.url, tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture
def pod(front: TlsFront, tmp_path: Path) -> Pod:
    return Pod(tmp_path, front)


class Scratch:
    """A run directory of two calls."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)

    def write(self, name: str, data: bytes) -> None:
        (Path(self.place) / name).parent.mkdir(exist_ok=True)
        (Path(self.place) / name).write_bytes(data)

    def remove(self, name: str) -> None:
        (Path(self.place) / name).unlink()


def test_in_a_pod_without_a_kubeconfig_kubectl_writes_where_we_read(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = pod.access()
    cluster = KubernetesCluster(None, None, "shop", access=found)
    identity = cluster.identity()
    assert (identity.context, cluster.contexts()) == ("", ())
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl on the PATH")
    hand = Kubectl(program, found.arguments, "shop", pod.environ, cluster)
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"a": "b"}}
    change = CreateObject(
        key="note", kind="ConfigMap", api_version="v1", name="note", manifest=made, before="", after=""
    )
    assert hand.act(change, Scratch(tmp_path)) is not None  # type: ignore[arg-type]
    assert cluster.exists(ObjectRef("ConfigMap", "note"))
    (file,) = tmp_path.glob("rollback-access-*/kubeconfig")
    assert ADMIN.token not in file.read_text()  # only where it lies: the next one is read there too
    if os.name != "nt":
        assert file.stat().st_mode & 0o777 == 0o600
    found.close()
    assert not file.parent.exists()


def test_a_pod_s_next_token_is_the_one_that_kubectl_sends_too(pod: Pod) -> None:
    found = pod.access()
    arguments = found.arguments()
    (pod.mount / "token").write_text("over")
    assert by_kubectl(pod.mount, "", *arguments).returncode != 0
    (pod.mount / "token").write_text(ADMIN.token)
    assert by_kubectl(pod.mount, "", *arguments).returncode == 0
    found.close()


def test_an_address_of_the_sixth_version_stands_in_brackets() -> None:
    (made,) = kubeconfig.of_pod("fd00::1", "443", "/mount")["clusters"]
    assert made["cluster"]["server"] == "https://[fd00::1]:443"


def test_a_kubeconfig_goes_before_the_pod_s_account_and_an_empty_one_is_none(pod: Pod, tmp_path: Path) -> None:
    own = tmp_path / ".kube" / "config"
    write(own, config({"server": "http://127.0.0.1:1"}, {}, "mine"))
    assert pod.access().context == "mine"
    own.write_text("")
    assert pod.access().contexts() == ()
    own.write_text("apiVersion: v1\nkind: Config\n")
    assert pod.access().context == ""


@pytest.mark.parametrize("missing", ["token", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
def test_without_all_that_a_pod_has_it_is_none(pod: Pod, missing: str) -> None:
    pod.environ.pop(missing, None)
    if missing == "token":
        (pod.mount / "token").unlink()
    with pytest.raises(RefusedError, match="this is no pod"):
        pod.access().chosen()


def test_a_kubeconfig_that_is_named_and_not_there_never_leads_to_the_pod_s_own_cluster(pod: Pod) -> None:
    with pytest.raises(RefusedError, match="gone is not there"):
        pod.access(str(pod.mount / "gone")).chosen()


def test_a_context_that_is_named_is_not_taken_for_the_pod_s_own_cluster(pod: Pod) -> None:
    with pytest.raises(RefusedError, match="nothing proves that it is gke-prod's") as caught:
        pod.access(context="gke-prod").chosen()
    assert "leave `context` out" in str(caught.value)
