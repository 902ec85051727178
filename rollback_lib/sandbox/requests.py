"""What is asked: the verb and the target of a request, as the API's paths say them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from rollback_lib.sandbox import protobuf
from rollback_lib.sandbox.schema import Resource, all_resources, resource
from rollback_lib.sandbox.status import ApiError, not_here

TRUE: Final = frozenset({"true", "True", "1"})
_VERBS: Final = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Target:
    """One resource, or one object of it, or a part of that."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # behind proxy/


@dataclass(frozen=True)
class Request:
    """One request, before it is known whether it may be answered."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    user: str = ""

    @property
    def dry_run(self) -> bool:
        return "dryRun" in self.query

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    @property
    def agent(self) -> str:
        """The client's name: `kubectl`, `rollback_lib`."""
        return self.headers.get("user-agent", "unknown").split("/", 1)[0]

    @property
    def manager(self) -> str:
        """Who owns what this request writes."""
        return self.query.get("fieldManager") or self.agent

    def flag(self, name: str) -> bool:
        return self.query.get(name, "") in TRUE

    def json(self) -> Any:
        """The body, also where it came as protobuf."""
        if self.headers.get("content-type", "").startswith("application/vnd.kubernetes.protobuf"):
            return protobuf.decoded(self.body)
        try:
            return json.loads(self.body or b"null")
        except ValueError as error:
            raise ApiError(400, f"the body does not read as JSON: {error}") from None


@dataclass
class Answer:
    """What is answered. `stream` yields the pieces of a watch."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stream: Callable[[Callable[[], bool]], Iterator[bytes]] | None = None

    @classmethod
    def of(cls, found: Any, status: int = 200) -> Answer:
        return cls(status, json.dumps(found, separators=(",", ":")).encode())


def target_of(path: str) -> Target:
    """The target of a path below /api or /apis."""
    parts = [unquote(p) for p in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise not_here(path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    found = resource(group, version, rest[0])
    if found is None:
        if not any((r.group, r.version) == (group, version) for r in all_resources()):
            raise not_here(f"{group or 'core'}/{version}")
        raise ApiError(404, "the server could not find the requested resource", details={"kind": rest[0]})
    if found.namespaced and not namespace and len(rest) > 1:
        raise not_here(path)
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    tail = "/".join(rest[3:])
    if subresource and not any(s["name"] == f"{found.plural}/{subresource}" for s in found.subresources):
        raise not_here(f"{found.plural}/{subresource}")
    return Target(found, namespace, name, subresource, tail)


def verb_of(request: Request, target: Target) -> str:
    """The verb as rules name it."""
    if request.method not in _VERBS:
        raise ApiError(405, f"this is rollback's sandbox: {request.method} is not known")
    verb = _VERBS[request.method]
    if not target.name:
        if verb == "get":
            return "watch" if request.flag("watch") else "list"
        if verb == "delete":
            return "deletecollection"
    elif verb == "create" and not target.subresource:
        raise ApiError(405, "the server does not allow this method on the requested resource")
    return verb
