"""An OCI registry on loopback, with the answers of docker-registry 2.8, and the images that the sandbox's pods run.

The tests hold it beside the real registry of `tests/cluster/`. It is in memory, and whoever may reach loopback may
write to it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from json import dumps
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from rollback_lib.sandbox import oci
from rollback_lib.sandbox.oci import Stored
from rollback_lib.sandbox.registry_store import ImageStore

_LARGEST: Final = 4 << 20
_PATH: Final = re.compile(r"/v2/(?P<repository>[a-z0-9._/-]+)/(?:(?P<what>manifests|blobs)/(?P<name>[^/]+)|tags/list)")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of its answer, or before it.

    ``status`` answers with ``status`` and ``headers``; ``hang`` never answers (until the registry closes, or for
    ``seconds``, and then the connection ends); ``reset`` breaks the connection; ``delay`` answers ``seconds`` late;
    ``truncate`` sends half of the true answer's body.
    """

    kind: Literal["status", "hang", "reset", "delay", "truncate"] = "status"
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


# (method, path with query) -> the fault of this request, or None
Faults = Callable[[str, str], Fault | None]


class Registry(ImageStore):
    """Use it in a ``with``. ``faults`` may be set at any time; it is asked about every request."""

    def __init__(self, *, faults: Faults | None = None, port: int = 0) -> None:
        super().__init__()
        self.faults = faults
        self.closing = threading.Event()
        self._server = _Server(self, port)
        self.hosts = (*ImageStore.hosts, urlsplit(self.url).netloc)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="registry", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and the server. May be called twice."""
        self.closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.end_connections()

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:40001``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Reply(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True  # a crash elsewhere must not leave a process that waits for a kept connection
    request_queue_size = 64

    def __init__(self, registry: Registry, port: int) -> None:
        self.registry = registry
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.connections = {t: s for t, s in self.connections.items() if t.is_alive()} | {thread: request}
        thread.start()

    def end_connections(self) -> None:
        for thread, connection in self.connections.items():
            with contextlib.suppress(OSError):  # ended already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._handle()

    do_GET = do_PUT = do_DELETE = do_POST = do_PATCH = do_HEAD

    def _handle(self) -> None:
        registry = self.server.registry
        self._truncated = False
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST:
            self.close_connection = True
            return self._answer(_refusal(413, "MANIFEST_INVALID", "manifest invalid", {}))
        body = self.rfile.read(length)  # read before any answer, or the connection cannot be kept
        fault = registry.faults(self.command, self.path) if registry.faults else None
        if fault is not None and not self._suffer(fault):
            return None
        with registry.lock:
            reply = self._reply(registry, urlsplit(self.path).path, body)
        return self._answer(reply)

    def _reply(self, registry: Registry, path: str, body: bytes) -> _Reply:
        if path == "/v2/":
            return _Reply(200, b"{}")
        found = _PATH.fullmatch(path)
        if found is None:
            return _Reply(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})
        if found["what"] == "manifests":
            return self._manifest(registry, found["repository"], found["name"], body)
        if self.command not in ("GET", "HEAD"):
            return _unsupported()
        if found["what"] == "blobs":
            return self._blob(registry, found["repository"], found["name"])
        return self._tags(registry, found["repository"])

    def _suffer(self, fault: Fault) -> bool:
        """Whether the request is answered all the same."""
        if fault.kind == "delay":
            return not self.server.registry.closing.wait(fault.seconds)
        if fault.kind == "truncate":
            self._truncated = self.close_connection = True
            return True
        if fault.kind == "status":
            self._answer(_Reply(fault.status, b"", fault.headers))
            return False
        self.close_connection = True
        if fault.kind == "hang":
            self.server.registry.closing.wait(fault.seconds or None)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        return False

    def _manifest(self, registry: Registry, repository: str, name: str, body: bytes) -> _Reply:
        place = registry.find(repository)
        if self.command == "PUT":
            return self._put(registry, repository, name, body)
        if self.command == "DELETE":
            if not _DIGEST.fullmatch(name):
                said = "provided digest did not match uploaded content"
                return _refusal(400, "DIGEST_INVALID", said, None)
            if not registry.delete(repository, name):
                return _refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", None)
            return _Reply(202)
        if self.command not in ("GET", "HEAD"):
            return _unsupported()
        by_digest = _DIGEST.fullmatch(name) is not None
        digest = name if by_digest else (place.tags.get(name, "") if place else "")
        stored = place.manifests.get(digest) if place else None
        if place is None or stored is None:
            detail = {"Name": repository, "Revision": name} if by_digest else {"Tag": name}
            said = f"unknown manifest name={repository} revision={name}" if by_digest else "manifest unknown"
            return _refusal(404, "MANIFEST_UNKNOWN", said, detail)
        accepted = self._accepted()
        if stored.media_type == oci.DOCKER_LIST and not by_digest and oci.DOCKER_LIST not in accepted:
            # An old client gets the list's manifest for linux/amd64 in its place.
            digest = oci.for_platform(oci.read(stored), "linux/amd64")
            stored = place.manifests.get(digest)
            if stored is None:
                return _refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", None)
        for kind, what in ((oci.INDEX, "index"), (oci.MANIFEST, "manifest")):
            if stored.media_type == kind and kind not in accepted:
                plural = "indexes" if what == "index" else "manifests"
                said = f"OCI {what} found, but accept header does not support OCI {plural}"
                return _refusal(404, "MANIFEST_UNKNOWN", said, None)
        headers = {"Content-Type": stored.media_type, "Docker-Content-Digest": digest, "Etag": f'"{digest}"'}
        return _Reply(200, stored.body, headers)

    def _accepted(self) -> set[str]:
        values = ",".join(self.headers.get_all("Accept") or ())
        return {value.partition(";")[0].strip() for value in values.split(",")}

    def _put(self, registry: Registry, repository: str, name: str, body: bytes) -> _Reply:
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip()
        by_digest = ":" in name
        if by_digest and name != oci.digest_of(body):
            return _refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content", None)
        try:
            if kind not in (oci.MANIFEST, oci.INDEX, oci.DOCKER_MANIFEST, oci.DOCKER_LIST):
                raise ValueError(kind)
            if not by_digest and not _TAG.fullmatch(name):
                return _refusal(400, "TAG_INVALID", "manifest tag did not match URI", None)
            digest = registry.put(repository, name, Stored(kind, body))
        except KeyError as missing:
            return _refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": missing.args[0]})
        except (ValueError, TypeError, AttributeError):
            return _refusal(400, "MANIFEST_INVALID", "manifest invalid", {})
        place = f"{registry.url}/v2/{repository}/manifests/{digest}"
        return _Reply(201, b"", {"Docker-Content-Digest": digest, "Location": place})

    def _blob(self, registry: Registry, repository: str, digest: str) -> _Reply:
        place = registry.find(repository)
        blob = place.blobs.get(digest) if place else None
        if blob is None:
            return _refusal(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Etag": f'"{digest}"'}
        return _Reply(200, blob, headers)

    def _tags(self, registry: Registry, repository: str) -> _Reply:
        place = registry.find(repository)
        if place is None:
            said = "repository name not known to registry"
            return _refusal(404, "NAME_UNKNOWN", said, {"name": repository})
        return _Reply(200, _json({"name": repository, "tags": sorted(place.tags)}))

    def _answer(self, reply: _Reply) -> None:
        self.send_response(reply.status)
        shown = {"Docker-Distribution-Api-Version": "registry/2.0", **reply.headers}
        if reply.body and "Content-Type" not in shown:
            shown["Content-Type"] = "application/json; charset=utf-8"
        for name, value in {**shown, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if self._truncated else reply.body)


def _refusal(status: int, code: str, message: str, detail: object) -> _Reply:
    error = {"code": code, "message": message, **({} if detail is None else {"detail": detail})}
    return _Reply(status, _json({"errors": [error]}))


def _unsupported() -> _Reply:
    said = "the sandbox's registry takes manifests, and images only through its own `push`"
    return _refusal(405, "UNSUPPORTED", said, None)


def _json(value: object) -> bytes:
    return dumps(value, separators=(",", ":")).encode() + b"\n"
