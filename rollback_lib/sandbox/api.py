"""One request in, one answer out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from rollback_lib.sandbox import access, discovery, reading, writing
from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.requests import Answer, Request, Target, target_of, verb_of
from rollback_lib.sandbox.schema import Object
from rollback_lib.sandbox.status import ApiError, not_here
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer

_RUNTIME_LINE: Final = 16 << 10  # characters
Classed = Callable[[Request, str, "Target | None"], None]


class Runtime(Protocol):
    """What runs in the pods."""

    def log(self, pod: Object, container: str, *, previous: bool) -> str: ...

    def serve(self, pod: Object, port: int, path: str) -> tuple[int, bytes, str]: ...


class Api:
    """The API of one sandbox."""

    def __init__(self, store: Store, writer: Writer, runtime: Runtime, users: Mapping[str, User]) -> None:
        self._store, self._writer, self._runtime = store, writer, runtime
        self.users = dict(users)  # by token

    def answer(self, request: Request, classed: Classed = lambda *_: None) -> Answer:
        """The answer; a refusal is one as well. `classed` is told what is asked, and may raise to spoil it."""
        try:
            return self._answer(request, classed)
        except ApiError as error:
            found = Answer.of(error.body, error.code)
            found.headers.update(error.headers)
            return found

    def wake_watchers(self) -> None:
        """Have every watch look at once whether the server is being closed."""
        with self._store.changed:
            self._store.changed.notify_all()

    def _user(self, request: Request) -> User:
        return access.acting(self._who(request), request.headers, self.users.values())

    def _who(self, request: Request) -> User:
        token = request.user or request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not token:  # kubectl sends no token over plain http
            return next(iter(self.users.values()))
        if token not in self.users:
            raise ApiError(401, "Unauthorized")
        return self.users[token]

    def _answer(self, request: Request, classed: Classed) -> Answer:
        user = self._user(request)
        about = discovery.answer(request)
        if about is not None:
            classed(request, "get", None)
            return about
        target = target_of(request.path)
        verb = verb_of(request, target)
        classed(request, verb, target)
        kind = target.resource.kind
        if kind in ("SelfSubjectAccessReview", "SelfSubjectRulesReview"):
            if verb != "create":
                raise ApiError(405, "the server does not allow this method on the requested resource")
            ask = access.access_review if kind == "SelfSubjectAccessReview" else access.rules_review
            return Answer.of(ask(user, request.json()), 201)
        access.demand(user, verb, target, request.query.get("fieldSelector", ""))
        if verb == "patch" and writing.is_apply(request) and not self._is_there(target):
            access.demand(user, "create", target)  # an apply that makes one
        if target.subresource in ("log", "proxy"):
            return self._log(request, target) if target.subresource == "log" else self._proxy(request, target)
        if target.subresource == "scale":
            return self._scale(request, target, verb)
        if verb in ("list", "watch"):
            if target.subresource:
                raise not_here(request.path)
            return (reading.list_ if verb == "list" else reading.watch)(self._store, request, target)
        if verb == "get":
            if request.flag("watch"):
                return reading.watch(self._store, request, target)
            return reading.get(self._store, request, target)
        if verb == "deletecollection":
            return self._delete_all(request, target)
        if verb == "delete":
            return self._delete(request, target)
        warnings: list[str] = []
        found, status = writing.answer_to(request, target, self._writer, verb, warnings)
        answer = reading.shown(request, target.resource, found, status)
        answer.warnings = warnings
        return answer

    def _is_there(self, target: Target) -> bool:
        return self._store.find(target.resource, target.namespace, target.name) is not None

    def _delete(self, request: Request, target: Target) -> Answer:
        options = self._delete_options(request)
        found = self._writer.delete(target.resource, target.namespace, target.name, options, dry_run=_dry(options))
        if target.resource.kind in ("Pod", "Namespace", "Service"):
            return reading.shown(request, target.resource, found)
        metadata = found["metadata"]
        details = {"name": metadata["name"], "kind": target.resource.plural, "uid": metadata["uid"]}
        if target.resource.group:
            details["group"] = target.resource.group
        return Answer.of(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    @staticmethod
    def _delete_options(request: Request) -> dict[str, Any]:
        """The options of the body, or else of the query: a real server does not look at it where there is a body."""
        if request.body:
            body = request.json()
            return dict(body) if isinstance(body, dict) else {}
        return {
            name: request.query[name]
            for name in ("propagationPolicy", "gracePeriodSeconds", "dryRun")
            if name in request.query
        }

    def _delete_all(self, request: Request, target: Target) -> Answer:
        listed = json.loads(reading.list_(self._store, request, target).body)
        options = self._delete_options(request)
        options.pop("preconditions", None)
        for found in listed["items"]:
            metadata = found["metadata"]
            self._writer.delete(
                target.resource, metadata.get("namespace", ""), metadata["name"], options,
                dry_run=_dry(options),
            )  # fmt: skip
        return Answer.of(listed)

    # -- parts of objects

    def _log(self, request: Request, target: Target) -> Answer:
        pod = self._store.get(target.resource, target.namespace, target.name)
        names = [c["name"] for g in ("containers", "initContainers") for c in pod["spec"].get(g) or []]
        wanted = request.query.get("container", "")
        if not wanted and len(pod["spec"]["containers"]) > 1:
            raise ApiError(
                400,
                f"a container name must be specified for pod {target.name}, choose one of: [{' '.join(names)}]",
            )
        wanted = wanted or names[0]
        if wanted not in names:
            raise ApiError(400, f"container {wanted} is not valid for pod {target.name}")
        text = self._runtime.log(pod, wanted, previous=request.flag("previous"))
        # a runtime breaks what is longer, and the kubelet counts the last lines by the runtime's file
        lines = [x[at : at + _RUNTIME_LINE] for x in text.splitlines(keepends=True)
                 for at in range(0, len(x), _RUNTIME_LINE)]  # fmt: skip
        if (tail := request.query.get("tailLines")) is not None:
            lines = lines[-int(tail) :] if int(tail) else []
        body = "".join(lines).encode()
        if limit := request.query.get("limitBytes"):
            body = body[: int(limit)]
        return Answer(200, body, "text/plain")

    def _proxy(self, request: Request, target: Target) -> Answer:
        name, port = _name_and_port(target.name)
        if target.resource.kind == "Pod":
            pod = self._store.get(target.resource, target.namespace, name)
            number = int(port) if port.isdecimal() else _first_port(pod)
        elif target.resource.kind == "Service":
            service = self._store.get(target.resource, target.namespace, name)
            pod, number = self._behind(service, port)
        else:
            raise not_here(request.path)
        status, body, content = self._runtime.serve(pod, number, "/" + target.rest)
        if status == 0:
            raise ApiError(
                503, f"error trying to reach service: dial tcp {pod.get('status', {}).get('podIP', '')}:{number}: "
                f"connect: connection refused", reason="ServiceUnavailable",
            )  # fmt: skip
        return Answer(status, body, content)

    def _behind(self, service: Object, port: str) -> tuple[Object, int]:
        from rollback_lib.sandbox.schema import by_kind

        name, space = service["metadata"]["name"], service["metadata"]["namespace"]
        ports = service["spec"].get("ports") or []
        chosen = next((p for p in ports if port in ("", str(p["port"]), p.get("name"))), None)
        slices = [
            s for s in self._store.all(by_kind("EndpointSlice"), space)
            if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
        ]  # fmt: skip
        for found in slices:
            for endpoint in found.get("endpoints") or []:
                if chosen is not None and endpoint.get("conditions", {}).get("ready"):
                    pod = self._store.find(by_kind("Pod"), space, endpoint["targetRef"]["name"])
                    number = next((p["port"] for p in found.get("ports") or []
                                   if p.get("name", "") == chosen.get("name", "")), 0)  # fmt: skip
                    if pod is not None and number:
                        return pod, number
        raise ApiError(503, f'no endpoints available for service "{name}"')

    def _scale(self, request: Request, target: Target, verb: str) -> Answer:
        space, name, resource = target.namespace, target.name, target.resource
        found = self._store.get(resource, space, name)
        if verb in ("update", "patch"):
            scale = _scale_of(found)
            if verb == "patch":
                kind = request.headers.get("content-type", "").split(";")[0]
                from rollback_lib.sandbox.patches import json_patch, merge_patch

                by_operations = kind == writing.JSON_PATCH
                scale = json_patch(scale, request.body) if by_operations else merge_patch(scale, request.json())
            else:
                scale = request.json()
            replicas = int((scale.get("spec") or {}).get("replicas") or 0)
            patch: Any = {"spec": {"replicas": replicas}}
            if (version := (scale.get("metadata") or {}).get("resourceVersion")) is not None:
                patch["metadata"] = {"resourceVersion": version}
            found, _ = self._writer.patch(
                resource, space, name, patch, writing.MERGE_PATCH, manager=request.manager, dry_run=request.dry_run
            )
        elif verb != "get":
            raise ApiError(405, "the server does not allow this method on the requested resource")
        return Answer.of(_scale_of(found))


def _dry(options: Mapping[str, Any]) -> bool:
    return bool(options.get("dryRun"))


def _scale_of(found: Object) -> Object:
    metadata = {k: found["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    labels = (found["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    status = {"replicas": found.get("status", {}).get("replicas", 0), "selector": selector}
    spec = {"replicas": found["spec"].get("replicas", 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _name_and_port(text: str) -> tuple[str, str]:
    """`[SCHEME:]NAME[:PORT]`."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return parts[0], parts[1] if len(parts) == 2 else ""


def _first_port(pod: Object) -> int:
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            return int(port["containerPort"])
    return 80
