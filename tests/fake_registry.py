"""A registry on loopback that behaves: it stores manifests, counts what it is asked, and has moods.

Not a mock: it checks Accept, credentials and tokens as a registry does. A mood changes one thing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


class ReceivedRequest:
    """One request as it came."""

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method, self.path, self.headers = method, path, headers

    @property
    def target(self) -> str:
        return self.path.rpartition("/")[2]


class FakeRegistry:
    """Use it in a ``with``. ``moods`` are called for each manifest request, the first that answers (True) wins."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.asked: list[ReceivedRequest] = []
        self.moods: list[Callable[[_Handler, str, str], bool]] = []
        self.users: dict[str, str] = {}
        self.auth = ""  # "", basic, bearer
        self.realm = ""
        self.may_push = True
        self.page = 1000  # tags that it lists at once at most
        self.names_scope = True
        self.vague = False  # the challenge to a write asks for a token to read
        self.tokens = 0
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.fake = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def count(self, method: str) -> int:
        return sum(a.method == method and "/manifests/" in a.path for a in self.asked)

    def push(
        self, repository: str, tag: str, platforms: tuple[str, ...] = (), config: str = "", plain: str = ""
    ) -> str:
        """Store an image, or an index with one manifest a platform; the digest of what the tag names.

        ``plain``: an image that says in its configuration for which platform it is.
        """
        if not platforms:
            system, _, machine = plain.partition("/")
            blob = json.dumps({"os": system, "architecture": machine, "of": f"{repository}{tag}{config}"}).encode()
            config_digest = digest_of(blob if plain else f"{repository}{tag}{config}".encode())
            if plain:
                self.blobs[repository, config_digest] = blob
            return self._store(repository, tag, OCI, {"config": {"digest": config_digest}, "layers": []})
        entries = []
        for platform in platforms:
            system, _, machine = platform.partition("/")
            digest = self.push(repository, "", config=f"{tag}{platform}")
            entries.append({"digest": digest, "platform": {"os": system, "architecture": machine}})
        entries.append({"digest": digest_of(b"x"), "platform": {"os": "unknown", "architecture": "unknown"}})
        return self._store(repository, tag, OCI_INDEX, {"manifests": entries})

    def _store(self, repository: str, tag: str, kind: str, document: dict[str, Any]) -> str:
        body = json.dumps({"schemaVersion": 2, **document}).encode()
        for name in {tag, digest_of(body)} - {""}:
            self.stored[(repository, name)] = (kind, body)
        return digest_of(body)

    def mood(self, status: int, method: str = "", target: str = "", after: int = 0, **headers: str) -> None:
        """Answer with this status: to one method, to one target, after so many questions of that kind."""
        seen = [0]

        def answer(handler: _Handler, repository: str, asked: str) -> bool:
            if (method and handler.command != method) or (target and asked != target):
                return False
            seen[0] += 1
            if seen[0] <= after:
                return False
            handler.answer(status, b"", {k.replace("_", "-"): v for k, v in headers.items()})
            return True

        self.moods.append(answer)

    def keep_in(self, storage: FakeRegistry, status: int) -> None:
        """Send each question on to ``storage``, at an address that is signed for GET, as S3, GCS and Azure sign them.

        The storage refuses another method (403), and a second way to log in beside the signature (400).
        """

        def send_on(handler: _Handler, repository: str, target: str) -> bool:
            signed = f"{storage.url}/v2/{repository}/manifests/{target}?signature=GET"
            handler.answer(status, b"", {"Location": signed})
            return True

        def serve(handler: _Handler, repository: str, target: str) -> bool:
            stored = storage.stored.get((repository, target.removesuffix("?signature=GET")))
            if handler.command != "GET" or stored is None:
                handler.answer(403, b"SignatureDoesNotMatch")
            elif "Authorization" in handler.headers:
                handler.answer(400, b"Only one auth mechanism allowed")
            else:
                handler.answer(200, stored[1], {"Content-Type": "application/octet-stream"})
            return True

        self.moods.append(send_on)
        storage.moods.append(serve)

    def hang(self) -> None:
        """Take the question and never answer."""

        def answer(handler: _Handler, repository: str, asked: str) -> bool:
            handler.server.fake.release.wait(10)  # type: ignore[attr-defined]
            return True

        self.moods.append(answer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @property
    def fake(self) -> FakeRegistry:
        return self.server.fake  # type: ignore[attr-defined,no-any-return]

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.fake.asked.append(ReceivedRequest("POST", self.path, dict(self.headers)))
        good = form.get("refresh_token") == ["identity-token"]
        self.answer(200 if good else 401, b'{"access_token": "t0ken"}' if good else b"")

    def do_GET(self) -> None:
        fake = self.fake
        fake.asked.append(ReceivedRequest(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        parts = urlsplit(self.path)
        if parts.path == "/token":
            return self.token(parts.query)
        what = next((kind for kind in ("/blobs/", "/tags/") if kind in parts.path), "/manifests/")
        repository, _, target = parts.path.removeprefix("/v2/").partition(what)
        if fake.auth and not self.authorized():
            may = "pull,push" if self.command == "PUT" and not fake.vague else "pull"
            scope = 'service="fake",scope=' + (f'"repository:{repository}:{may}"' if fake.names_scope else "")
            realm = fake.realm or f"{fake.url}/token"
            challenge = 'Basic realm="fake"' if fake.auth == "basic" else f'Bearer realm="{realm}",{scope}'
            return self.answer(401, b"", {"WWW-Authenticate": challenge})
        for mood in fake.moods:
            if mood(self, repository, target):
                return None
        if self.command == "PUT":
            stored = (self.headers["Content-Type"], self.body)
            fake.stored |= {(repository, name): stored for name in (target, digest_of(self.body))}
            return self.answer(201, b"", {"Docker-Content-Digest": digest_of(self.body)})
        if what == "/blobs/":
            blob = fake.blobs.get((repository, target))
            return self.answer(404) if blob is None else self.answer(200, blob)
        if what == "/tags/":
            return self.tags(repository, parse_qs(parts.query))
        kind, body = fake.stored.get((repository, target), ("", b""))
        if not kind or kind not in self.headers.get("Accept", ""):
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return self.answer(200, body, {"Content-Type": kind, "Docker-Content-Digest": digest_of(body)})

    def tags(self, repository: str, query: dict[str, list[str]]) -> None:
        """A page of them in their order, and a link where there are more."""
        every = sorted(name for held, name in self.fake.stored if held == repository and not name.startswith("sha256:"))
        rest = [name for name in every if name > query.get("last", [""])[0]]
        page = rest[: min(int(query["n"][0]), self.fake.page)]
        link = {"Link": f'</v2/{repository}/tags/list?last={page[-1]}&n=1>; rel="next"'} if rest != page else {}
        body = json.dumps({"name": repository, "tags": page}).encode()
        return self.answer(200 if every else 404, body, {"Content-Type": "application/json", **link})

    def token(self, query: str) -> None:
        self.fake.tokens += 1
        said = self.headers.get("Authorization", "")
        if self.fake.users and not self.known_user(said):
            return self.answer(401)
        scope = parse_qs(query)["scope"][0]
        if not self.fake.may_push:
            scope = scope.replace(",push", "")
        return self.answer(200, json.dumps({"token": f"t0ken-{scope}"}).encode())

    def known_user(self, header: str) -> bool:
        pairs = {base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in self.fake.users.items()}
        return header.removeprefix("Basic ") in pairs

    def authorized(self) -> bool:
        said = self.headers.get("Authorization", "")
        if self.fake.auth == "basic":
            return self.known_user(said)
        return said.startswith("Bearer t0ken") and (self.command != "PUT" or "push" in said)


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
