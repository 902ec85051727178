"""A Jenkins over real HTTP: what its source and a live 2.541 answer (statuses, headers, keys that are missing)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Reply = tuple[int, dict[str, str], bytes]


class FakeJenkins:
    """Use it in a ``with``. ``replies`` are given first, in order, to the paths that match their pattern."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.declared: list[str] = []
        self.builds: dict[int, dict[str, Any]] = {}
        self.queue: dict[int, list[dict[str, Any]]] = {}  # answers in turn; the last one stays
        self.logs: dict[int, bytes] = {}
        self.artifacts: dict[str, bytes] = {}
        self.stages: dict[int, list[dict[str, str]]] = {}
        self.questions: dict[int, list[dict[str, Any]]] = {}
        self.validator: dict[str, Any] = {"status": "ok", "data": {"result": "success"}}
        self.replies: list[tuple[str, Reply | Callable[[BaseHTTPRequestHandler], None]]] = []
        self.seen: list[tuple[str, str, bytes]] = []  # method, path with query, body
        self.crumb = "crumb-1"
        self.start: Callable[[dict[str, str]], Reply] = lambda given: (
            201,
            {"Location": self.url + "queue/item/5/"},
            b"",
        )

    def __enter__(self) -> FakeJenkins:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                fake._serve(self, b"")

            def do_POST(self) -> None:
                fake._serve(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self, method: str = "POST") -> list[str]:
        return [path for verb, path, _ in self.seen if verb == method]

    def _serve(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.seen.append((request.command, request.path, body))
        for i, (pattern, reply) in enumerate(self.replies):
            if re.search(pattern, request.path):
                del self.replies[i]
                if callable(reply):
                    reply(request)
                    request.close_connection = True
                else:
                    self._say(request, reply)
                return
        self._say(request, self._reply(request, body))

    def _say(self, request: BaseHTTPRequestHandler, reply: Reply) -> None:
        status, headers, body = reply
        request.send_response(status)
        for name, value in {"X-Jenkins": "2.541.3", "Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def _reply(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        url = urlsplit(request.path)
        path, query = url.path.lstrip("/"), parse_qs(url.query)
        if path == "crumbIssuer/api/json":
            return _json({"crumb": self.crumb, "crumbRequestField": "Jenkins-Crumb"})
        if request.command == "POST" and request.headers.get("Jenkins-Crumb") != self.crumb:
            return 403, {}, b"No valid crumb was included in the request"
        if found := re.fullmatch(r"queue/item/([0-9]+)/api/json", path):
            answers = self.queue.get(int(found[1]))
            if not answers:
                return 404, {}, b""
            return _json(answers.pop(0) if len(answers) > 1 else answers[0])
        if path == "pipeline-model-converter/validateJenkinsfile":
            return _json(self.validator)
        if path.endswith("createItem"):
            self.jobs[query["name"][0]] = body.decode()
            return 200, {}, b""
        if found := re.fullmatch(r"((?:job/[^/]+/?)+?)/?(config\.xml|buildWithParameters|api/json)", path):
            return self._job(_name(found[1]), found[2], request.command, body)
        if found := re.fullmatch(r"(?:job/[^/]+/)+([0-9]+)/(.+)", path):
            return self._build(int(found[1]), unquote(found[2]), query)
        return 404, {}, b""

    def _job(self, name: str, what: str, method: str, body: bytes) -> Reply:
        if name not in self.jobs:
            return 404, {}, b""
        if what == "config.xml":
            if method == "POST":
                self.jobs[name] = body.decode()
            return 200, {}, self.jobs[name].encode()
        if what == "buildWithParameters":
            given = {k: v[0] for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
            return self.start(given)
        declared = [{}, {"parameterDefinitions": [{"name": n} for n in self.declared]}]
        return _json({"property": declared, "builds": [*self.builds.values()][::-1]})

    def _build(self, number: int, what: str, query: dict[str, list[str]]) -> Reply:
        if number not in self.builds:
            return 404, {}, b"<html>gone</html>"
        if what == "api/json":
            return _json(self.builds[number])
        if what == "wfapi/describe":
            return _json({"stages": self.stages.get(number, [])})
        if what == "wfapi/pendingInputActions":
            return _json(self.questions.get(number, []))
        if what == "logText/progressiveText":
            log, start = self.logs.get(number, b""), int(query["start"][0])
            more = {"X-More-Data": "true"} if self.builds[number]["building"] else {}
            return 200, {"X-Text-Size": str(len(log)), **more}, log[0 if start > len(log) else start :]
        if what.startswith("artifact/") and what[9:] in self.artifacts:
            return 200, {}, self.artifacts[what[9:]]
        return 404, {}, b""


def _name(path: str) -> str:
    return "/".join(unquote(part) for part in path.strip("/").split("/") if part != "job")


def _json(value: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
