"""The sections of rollback.yaml that say what is looked at: smoke tests, flows, logs, metrics, alerts, reports.

Secrets are named by environment variable, never written: ``credentials: {Authorization: SHOP_AUTHORIZATION}`` sends
that variable's whole value as this header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from rollback_lib.core import names
from rollback_lib.core.errors import Problem
from rollback_lib.core.settings.types import (
    Duration,
    EnvName,
    HeaderName,
    Label,
    Number,
    Port,
    Section,
    ServiceOrAll,
    Status,
    pattern_rules,
    seconds,
    url_rules,
)

LONGEST_DETECT: Final = 60.0
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Ask(Section, frozen=True, kw_only=True):
    """One request and what makes its answer good.

    Asked of a Ready pod of ``service`` through the API server, so that it works with traffic closed too; or of
    ``url``; or ``command`` is run in a pod (exit code 0 is good, ``body`` is looked for in what it prints).
    ``port`` None: the pod's first. ``json``: a part of the answer. ``header`` and ``body``: patterns that must be
    found. ``within``: no slower. ``credentials``: header → variable.
    """

    service: Label
    path: str = "/"
    port: Port | None = None
    url: str | None = None
    command: tuple[str, ...] = ()
    method: Method = "GET"
    headers: Mapping[HeaderName, str] = {}
    credentials: Mapping[HeaderName, EnvName] = {}
    send: Any = None  # sent as JSON
    status: Status = 200
    json: Mapping[str, Any] | None = None
    header: Mapping[HeaderName, str] = {}
    body: str | None = None
    within: Duration | None = None
    timeout: Duration = "10s"

    def rules(self) -> Iterator[Problem]:
        bad = not names.is_plain(self.path) or re.search(r"[\s#\\]|(?i:/(\.|%2e){1,2}(/|\?|$))", self.path)
        if bad or not self.path.startswith("/") or self.path.startswith("//"):
            yield Problem(f"{self.path!r} is not a path on the service", key="path", fix="such as /actuator/health")
        yield from url_rules(self.url, "url")
        if self.url and self.command:
            yield Problem("is asked of a url or runs a command, not both", key="command", fix="make two tests of it")
        for name, value in self.headers.items():
            if not names.is_plain(value):
                yield Problem("holds characters that do not print", key=f"headers.{name}")
            if name.lower() in ("authorization", "cookie", "proxy-authorization", "x-api-key"):
                yield Problem(
                    "a secret is not written here", key=f"headers.{name}", fix=f"credentials: {{{name}: VAR}}"
                )
        for name in self.credentials:
            if name.lower() == "authorization" and not self.url:
                fix = "ask by url, or run a command in the pod"
                yield Problem("the API server takes this header for itself", key=f"credentials.{name}", fix=fix)
        for name, pattern in self.header.items():
            yield from pattern_rules(pattern, f"header.{name}")
        yield from pattern_rules(self.body, "body")

    @property
    def where(self) -> str:
        """What is asked, for people."""
        if self.command:
            return f"{self.service} `{' '.join(self.command)}`"
        asked = self.url or f"{self.service}{self.path}"
        return asked if self.method == "GET" else f"{self.method} {asked}"


class Smoke(Ask, frozen=True, kw_only=True):
    """One request to a service after the rollback, repeated until it is good or ``patience`` is over."""

    patience: Duration = "15s"
    every: Duration = "1s"


class Step(Ask, frozen=True, kw_only=True):
    """One request of a flow. ``{name}`` in path, url, headers and ``send`` is a captured value.

    ``capture``: name → where in the JSON answer, such as ``order.id`` or ``items.0.sku``.
    """

    capture: Mapping[str, str] = {}

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        for name in self.capture:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
                yield Problem(f"{name!r} cannot name a value", key="capture", fix="small letters, digits and _")
        if self.command and self.capture:
            yield Problem("only an answer to a request has values", key="capture", fix="ask by path or url")


class Flow(Section, frozen=True, kw_only=True):
    """Requests in their order, such as log in, add to cart, order; it ends with the first that is not good."""

    name: str
    steps: tuple[Step, ...]

    def rules(self) -> Iterator[Problem]:
        if not self.name.strip() or not names.is_plain(self.name) or len(self.name) > 80:
            yield Problem("a flow needs a name of at most 80 characters that print", key="name")
        if not self.steps:
            yield Problem("a flow without steps", key="steps", fix="name at least one request")
        known: set[str] = set()
        for i, step in enumerate(self.steps):
            for name in captured_names(step):
                if name not in known:
                    yield Problem(f"{{{name}}} is captured by no step before", key=f"steps[{i}]", fix="capture it")
            known |= set(step.capture)


def captured_names(step: Step) -> tuple[str, ...]:
    """The captured values that a step uses."""
    texts = [step.path, step.url or "", *step.headers.values()]
    if step.send is not None:
        texts.append(msgspec.json.encode(step.send).decode())
    return tuple(dict.fromkeys(n for t in texts for n in re.findall(r"\{([a-z][a-z0-9_]{0,30})\}", t)))


class LogPattern(Section, frozen=True, kw_only=True):
    """A line in a log that means something. ``after``: how many of them it takes."""

    pattern: str
    cause: str = "LogPattern"
    service: ServiceOrAll = "*"
    severity: Literal["broken", "suspect", "note"] = "suspect"
    after: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1

    def rules(self) -> Iterator[Problem]:
        yield from pattern_rules(self.pattern, "pattern")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,40}", self.cause):
            yield Problem(f"{self.cause!r} cannot name a cause", key="cause", fix="one word, such as PaymentDeclined")


class Logs(Section, frozen=True, kw_only=True):
    """What is looked for in logs, beside the usual signs of Java, Python, Node and Go; ``ignore``: never a sign."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 200
    patterns: tuple[LogPattern, ...] = ()
    ignore: tuple[str, ...] = ()

    def rules(self) -> Iterator[Problem]:
        for i, pattern in enumerate(self.ignore):
            yield from pattern_rules(pattern, f"ignore[{i}]")


class Server(Section, frozen=True, kw_only=True):
    """A monitoring system. ``credentials``: header → variable that holds its whole value."""

    url: str
    credentials: Mapping[HeaderName, EnvName] = {}

    def rules(self) -> Iterator[Problem]:
        yield from url_rules(self.url, "url")


class Alertmanager(Server, frozen=True, kw_only=True):
    """Firing alerts. ``matchers`` narrow them down, as Alertmanager writes them: ``namespace="shop"``.

    ``service_label``: the label that names the service. ``broken``: severities that prove it; others are a suspicion.
    """

    matchers: tuple[str, ...] = ()
    service_label: str = "service"
    broken: tuple[str, ...] = ("critical", "page")


class Query(Section, frozen=True, kw_only=True):
    """A Prometheus query and what it must not exceed (``above``) or fall below (``below``)."""

    name: str
    query: str
    above: Number | None = None
    below: Number | None = None
    service: str = ""
    service_label: str = "service"
    severity: Literal["broken", "suspect"] = "broken"

    def rules(self) -> Iterator[Problem]:
        if (self.above is None) == (self.below is None):
            yield Problem("needs one of above and below", key="above", fix="such as above: 0.05")
        if not self.query.strip() or len(self.query) > 2000:
            yield Problem("empty, or longer than 2000 characters", key="query")
        if not self.name.strip() or not names.is_plain(self.name):
            yield Problem("a query needs a name that prints", key="name")


class Prometheus(Server, frozen=True, kw_only=True):
    """Queries with their thresholds; ``verify`` asks them again after the rollback."""

    queries: tuple[Query, ...] = ()


class Reports(Section, frozen=True, kw_only=True):
    """Files that tests left, as globs below the repository's folder; ``failures`` is Locust's bound in percent."""

    junit: tuple[str, ...] = ()
    locust: tuple[str, ...] = ()
    failures: Number = "1"
    slower_than: Duration | None = None

    def rules(self) -> Iterator[Problem]:
        for key, globs in (("junit", self.junit), ("locust", self.locust)):
            for i, glob in enumerate(globs):
                if (
                    not glob
                    or not names.is_plain(glob)
                    or glob.startswith(("/", "~"))
                    or ".." in re.split(r"[/\\]", glob)
                ):
                    yield Problem(f"{glob!r} is not below the repository", key=f"{key}[{i}]", fix="such as build/*.xml")


class Detect(Section, frozen=True, kw_only=True):
    """Where evidence is looked for beside the cluster itself, and how long at most, all of it together."""

    deadline: Duration = "10s"
    logs: Logs = Logs()
    alertmanager: Alertmanager | None = None
    prometheus: Prometheus | None = None
    reports: Reports = Reports()

    def rules(self) -> Iterator[Problem]:
        if seconds(self.deadline) > LONGEST_DETECT:
            yield Problem("a rollback does not wait that long for evidence", key="deadline", fix="at most 60s")
