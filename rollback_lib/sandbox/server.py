"""HTTP on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from rollback_lib.sandbox.api import Api
from rollback_lib.sandbox.requests import Answer, Request
from rollback_lib.sandbox.watching import Spoiled, Watch

_USER: Final = "/as/"  # /as/TOKEN before the API's own paths: who asks, for clients that send no token over http


class Server(ThreadingHTTPServer):
    """Serves one API until it is closed; then no thread and no socket is left."""

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, api: Api, watch: Watch, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api, self.watch = api, watch
        self.closing = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="sandbox-server")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the connections, then the threads."""
        self.closing = True
        self.api.wake_watchers()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; everything else is one of the sandbox's own."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "rollback-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        if self.server.closing:
            self.close_connection = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Who watches is told of the requests; nothing is printed."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _request(self) -> Request:
        split = urlsplit(self.path)
        path, user = split.path, ""
        if path.startswith(_USER):
            user, _, rest = path.removeprefix(_USER).partition("/")
            path = "/" + rest
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = self._chunked()
        else:
            body = self.rfile.read(length) if length else b""
        headers = {k.lower(): v for k, v in self.headers.items()}
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        return Request(self.command, path, query, headers, body, user)

    def _chunked(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _serve(self) -> None:
        request = self._request()
        ended = self.server.watch.began(request)
        truncated, pieces = False, None
        try:
            answer = self.server.api.answer(request, self.server.watch.asked)
        except Spoiled as fault:
            truncated, pieces = fault.truncate, fault.pieces
            if truncated or pieces is not None:  # done and not told: the write is made, the answer gets lost on its way
                answer = self.server.api.answer(request)
            if fault.reset:
                ended(-1)
                self._reset()
                return
        ended(answer.status)
        if pieces is not None:
            self._stream(replace(answer, stream=lambda closing: _without_end(answer.body, pieces, closing)))
        elif answer.stream is not None:
            self._stream(answer)
        else:
            self._send(answer, truncated)

    def _head(self, answer: Answer, more: Mapping[str, str]) -> bytes:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in {**answer.headers, **more}.items():
            self.send_header(name, value)
        for text in answer.warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{quoted}"')
        buffer: list[bytes] = self.__dict__["_headers_buffer"]
        head = b"".join(buffer) + b"\r\n"
        buffer.clear()
        return head

    def _send(self, answer: Answer, truncated: bool) -> None:
        head = self._head(answer, {"Content-Length": str(len(answer.body))})
        body = b"" if self.command == "HEAD" else answer.body
        if truncated:
            self.wfile.write(head + body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(head + body)  # in one send: two cost 40 ms

    def _stream(self, answer: Answer) -> None:
        assert answer.stream is not None
        closing: Callable[[], bool] = lambda: self.server.closing  # noqa: E731
        self.wfile.write(self._head(answer, {"Transfer-Encoding": "chunked"}))
        for piece in answer.stream(closing):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """Close with a RST, as a peer that died does."""
        import struct

        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _without_end(body: bytes, pieces: tuple[int, float], closing: Callable[[], bool]) -> Iterator[bytes]:
    size, every = pieces
    yield body or b" "
    while not closing():
        time.sleep(every)
        yield b" " * size
