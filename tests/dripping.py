"""A server on loopback whose answers come to no end: each byte in time for a read, and all of them never."""

from __future__ import annotations

import contextlib
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

How = Literal["status", "headers", "body", "endless", "hang", "login", "elsewhere", "packed"]
EVERY: Final = 0.03  # seconds between two bytes
_LINE: Final = b"HTTP/1.1 200 OK\r\n"
_LONG_LINE: Final = b"HTTP/1.1 200 " + b"O" * 10_000
_HEADERS: Final = b"Content-Type: application/json\r\nX-Filler: " + b"x" * 10_000
_MANY: Final = b"x" * (1 << 16)
_MUCH: Final = zlib.compress(b"x" * (8 << 20), wbits=31)
_ELSEWHERE: Final = b"HTTP/1.1 302 Found\r\nLocation: http://[/\r\nConnection: close\r\n\r\n"
_PACKED: Final = _LINE + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"


class Dripping:
    """``how`` its answers are, of requests that come from now on. ``asked``: their first lines."""

    def __init__(self, how: How) -> None:
        self.how: How = how
        self.asked: list[str] = []
        self.sent = 0  # bytes, of endless answers
        self._over = threading.Event()
        self._listens = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listens.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listens.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listens.accept()
                threading.Thread(target=self._answer, args=(one,), daemon=True).start()

    def _answer(self, one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := one.recv(65536)):
                    return
                head += part
            line = head.split(b"\r\n", 1)[0].decode()
            self.asked.append(line)
            if self.how == "hang":
                self._over.wait(60)
            elif self.how == "status":
                self._drip(one, _LONG_LINE)
            elif self.how == "headers":
                one.sendall(_LINE)
                self._drip(one, _HEADERS)
            elif self.how == "login" and "/token" not in line:
                realm = f'Bearer realm="{self.url}/token",service="here",scope="repository:a/b:pull"'
                one.sendall(
                    b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: " + realm.encode() + b"\r\n\r\n"
                )
            elif self.how == "elsewhere":  # and a page that has no end
                self._endless(one, _ELSEWHERE, _MANY)
            elif self.how == "packed":  # a thousand times as large when it is read
                self._endless(one, _PACKED, _MUCH)
            else:
                plain = _LINE + b"Content-Type: text/plain\r\nConnection: close\r\n\r\n"
                if self.how == "endless":
                    self._endless(one, plain, _MANY)
                one.sendall(plain)
                self._drip(one, b"{" * 10_000)

    def _endless(self, one: socket.socket, head: bytes, many: bytes) -> None:
        one.sendall(head)
        while not self._over.is_set():
            one.sendall(many)
            self.sent += len(many)

    def _drip(self, one: socket.socket, data: bytes) -> None:
        for byte in data:
            one.sendall(bytes((byte,)))
            if self._over.wait(EVERY):
                return


@contextmanager
def dripping(how: How) -> Iterator[Dripping]:
    made = Dripping(how)
    try:
        yield made
    finally:
        made.close()


def kubeconfig(url: str) -> str:
    """A kubeconfig of a cluster at this address."""
    return f"""\
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me, namespace: shop}}}}]
clusters: [{{name: here, cluster: {{server: "{url}"}}}}]
users: [{{name: me, user: {{token: t}}}}]
"""
