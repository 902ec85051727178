"""A webhook on loopback in several moods. What it was sent stays in ``got``."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

TOKEN: Final = "hook-s3cret-T0ken/with:strange@chars"
MOODS: Final = ("hangs", "drips", "resets", "500", "404", "redirects", "garbage")


class FakeHook:
    """Use it in a ``with``. ``url`` holds the token, as Slack's addresses do."""

    def __init__(self, mood: str = "ok", tls: tuple[Path, Path] | None = None) -> None:
        self.mood = mood
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.fake = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/services/{TOKEN}"

    @property
    def events(self) -> list[str]:
        """Of webhooks that were sent the notice as it is."""
        return [body["event"] for _, _, body in self.got]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class NoRoute:
    """An address from which no answer to a connection ever comes, as where there is no route or a wall drops it."""

    def __enter__(self) -> Self:
        self._full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._waiting = []
        for _ in range(4):  # what the queue has room for; whoever comes after is not answered
            self._waiting.append(one := socket.socket())
            one.setblocking(False)
            one.connect_ex(self._full.getsockname())
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._full.getsockname()[1]}/services/{TOKEN}"

    def __exit__(self, *_: object) -> None:
        for each in (*self._waiting, self._full):
            each.close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        fake: FakeHook = self.server.fake  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake.got.append((self.path, dict(self.headers), json.loads(body)))
        match fake.mood:
            case "hangs":
                fake.release.wait(30)
            case "drips":  # a byte now and then: no single wait is long
                for byte in b"HTTP/1.1 200 OK\r\n":
                    self.wfile.write(bytes([byte]))
                    if fake.release.wait(0.5):
                        break
            case "resets":
                self._reset()
            case "redirects":
                self._answer(307, {"Location": f"http://127.0.0.1:{fake.port}/elsewhere"})
            case "garbage":
                self.wfile.write(b"\x00\xff nothing of HTTP\r\n\r\n")
            case mood:
                self._answer(200 if mood == "ok" else int(mood), {})

    def do_CONNECT(self) -> None:
        fake: FakeHook = self.server.fake  # type: ignore[attr-defined]
        fake.got.append((self.path, {}, None))
        if fake.mood == "hangs":
            fake.release.wait(30)
        elif fake.mood == "resets":
            self._reset()
        else:
            self._answer(403, {})

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "2"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"no")

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""
