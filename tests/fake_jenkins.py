"""A Jenkins over real HTTP: what its source and a live 2.541 answer (statuses, headers, keys that are missing).

A job's configuration comes back as it was sent until a build saves it (`saved`): then in Jenkins's own words.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

Reply = tuple[int, dict[str, str], bytes]

# Which right each request needs, by the first pattern that fits; of several, any one will do.
NEEDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("GET", r"config\.xml", ("Job/ExtendedRead", "Job/Configure")),
    ("POST", r"config\.xml", ("Job/Configure",)),
    ("POST", r"createItem", ("Job/Create",)),
    ("GET", r"build", ("Job/Build",)),  # the form
    ("POST", r"build(WithParameters)?", ("Job/Build",)),
    ("POST", r"[0-9]+/(stop|term|kill)", ("Job/Cancel",)),
    ("POST", r"[0-9]+/input/[^/]+/abort", ("Job/Build", "Job/Cancel")),
    ("POST", r"[0-9]+/input/[^/]+/(proceed|proceedEmpty|submit)", ("Job/Build",)),
)


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
        self.folders: set[str] = set()  # beside those that the jobs lie in
        self.rights: frozenset[str] | None = None  # of who asks, such as Job/Build; None: all of them
        self.away: Callable[[], bool] = lambda: False  # it restarts: 503 to everything
        self.tells_stages = True  # whether it has the plugin Pipeline: REST API
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

    def saved(self, job: str) -> None:
        """A build of the job has ended, and Jenkins saved the job."""
        self.jobs[job] = as_saved(self.jobs[job])

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
        if self.away():
            return 503, {}, b"<html>Please wait while Jenkins is getting ready to work</html>"
        if refused := self._refused(request.command, path):
            return refused
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
        if found := re.fullmatch(r"(|(?:job/[^/]+/)+)createItem", path):
            folder, own = _name(found[1]), query["name"][0]
            if folder and folder not in self._all_folders():
                return 404, {}, b"<html>Not Found</html>"
            self.jobs[f"{folder}/{own}" if folder else own] = body.decode()
            return 200, {}, b""
        if found := re.fullmatch(r"((?:job/[^/]+/?)+?)/?(config\.xml|build|buildWithParameters|api/json)", path):
            return self._job(_name(found[1]), found[2], request.command, body)
        if found := re.fullmatch(r"(?:job/[^/]+/)+([0-9]+)/(.+)", path):
            return self._build(int(found[1]), unquote(found[2]), query)
        return 404, {}, b""

    def _refused(self, method: str, path: str) -> Reply | None:
        """What Jenkins says to who may not; None where they may."""
        if self.rights is None:
            return None
        of_job = path.startswith("job/") or path.endswith("createItem")
        what = re.sub(r"^(job/[^/]+/)+", "", path)
        asked = [rights for verb, pattern, rights in NEEDED if verb == method and re.fullmatch(pattern, what)]
        for rights in (("Overall/Read",), *((("Job/Read",),) if of_job else ()), *asked[:1]):
            if not self.rights & set(rights):
                permission = rights[0].replace("Overall/", "Hudson.").replace("Job/", "Item.")
                hidden = rights == ("Job/Read",)  # without Discover a job that one may not read is not there
                return (404, {}, b"") if hidden else (403, {"X-Required-Permission": f"hudson.model.{permission}"}, b"")
        return None

    def _all_folders(self) -> set[str]:
        above = {name.rsplit("/", n)[0] for name in self.jobs for n in range(1, name.count("/") + 1)}
        return self.folders | above

    def _job(self, name: str, what: str, method: str, body: bytes) -> Reply:
        if name in self._all_folders() and what == "api/json":
            return _json({"_class": "com.cloudbees.hudson.plugins.folder.Folder", "jobs": []})
        if name not in self.jobs:
            return 404, {}, b""
        if what == "config.xml":
            if method == "POST":
                self.jobs[name] = body.decode()
            return 200, {}, self.jobs[name].encode()
        if what == "buildWithParameters":
            given = {k: v[0] for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
            for parameter in self._definitions(name):
                chosen = given.get(parameter["name"])
                if chosen is not None and chosen not in parameter.get("choices", [chosen]):
                    return 500, {}, b"<html>A problem occurred: IllegalArgumentException</html>"
            return self.start(given)
        if what == "build":
            return (200, {}, b"<form/>") if method == "GET" else (400, {}, b"")
        declared = [{}, {"parameterDefinitions": self._definitions(name)}]
        return _json({"property": declared, "builds": [*self.builds.values()][::-1]})

    def _definitions(self, name: str) -> list[dict[str, Any]]:
        """The parameters that the job's configuration has, and those that were declared."""
        found: list[dict[str, Any]] = [{"name": n} for n in self.declared]
        for each in _element(self.jobs[name]).iter():
            if each.tag.endswith("ParameterDefinition"):
                choices = [c.text or "" for c in each.iter("string")]
                found.append({"name": each.findtext("name"), **({"choices": choices} if choices else {})})
        return found

    def _build(self, number: int, what: str, query: dict[str, list[str]]) -> Reply:
        if number not in self.builds:
            return 404, {}, b"<html>gone</html>"
        if what == "api/json":
            return _json(self.builds[number])
        if re.fullmatch(r"stop|term|kill|input/[A-Z]\w*/(proceed|proceedEmpty|submit|abort)", what):
            return 200, {}, b""
        if what in ("consoleText", "console", "input/", ""):
            return 200, {}, self.logs.get(number, b"")
        if what.startswith("wfapi/") and not self.tells_stages:
            return 404, {}, b"<html>Not Found</html>"
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


def as_saved(xml: str) -> str:
    """A configuration as Jenkins writes it after a build: the lists by their plain names, and more that is its own."""
    root = _element(xml)
    root.set("plugin", "workflow-job@1571.1580")
    for choices in root.iter("choices"):
        words = [each.text for each in choices.iter("string")]
        choices.clear()
        for word in words:
            ElementTree.SubElement(choices, "string").text = word
    actions = ElementTree.Element("actions")
    declarative = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.Declarative"
    for name in ("JobAction", "JobPropertyTrackerAction"):
        ElementTree.SubElement(actions, declarative + name, plugin="pipeline-model-definition@2.2277")
    root.insert(0, actions)
    for strategy in root.iter("strategy"):
        ElementTree.SubElement(strategy, "removeLastBuild").text = "false"
    for scm in root.iter("scm"):
        scm.set("plugin", "git@5.10.0")
        ElementTree.SubElement(scm, "submoduleCfg", {"class": "empty-list"})
    return "<?xml version='1.1' encoding='UTF-8'?>\n" + ElementTree.tostring(root, encoding="unicode")


def _element(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.sub(r"^<\?xml.*?\?>\s*", "", xml))


def _name(path: str) -> str:
    return "/".join(unquote(part) for part in path.strip("/").split("/") if part != "job")


def _json(value: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
