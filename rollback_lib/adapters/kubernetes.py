"""The cluster, read only, by the official Python client: its transport, raw requests and plain dicts.

(Its reading of a kubeconfig is not kubectl's: see `core.kube.kubeconfig`. The generated models cost 0.5 to 1.2 s on
first touch and refuse incomplete objects; discovery would cost requests and leaves a predictable file in the shared
temporary folder.)
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from rollback_lib.adapters import bounded
from rollback_lib.adapters.access import CONNECTIONS, Access
from rollback_lib.core.errors import ForbiddenError, InterruptedRunError, Refusal, RefusedError, UnreachableError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.kinds import KINDS, path_of
from rollback_lib.core.kube.objects import CLUSTER_SCOPED, Object, is_leaving, name_of
from rollback_lib.core.kube.server_answers import told
from rollback_lib.core.kube.snapshot import ClusterIdentity, DryRun, Presence, Snapshot
from rollback_lib.core.run.changes import patch_text

_TIMEOUT: Final = 30.0  # seconds, for one read of the connection, and for one answer
_LIST: Final = 120.0  # seconds for a whole list: a large one takes its time, and still comes to an end
_LOGIN: Final = 5.0  # seconds that a kubeconfig may take beside its login plugin
LARGEST: Final = 256 << 20  # bytes of one answer: the largest list that anybody has, and no more
_LOG: Final = 1 << 20  # more than we ask for
# A server that is busy, or an answer that got lost, says nothing about the rollback: asked again, for this long.
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_PATIENCE: Final = 10.0  # seconds after the first try in which another one may begin
_LOST: Final = 0  # no answer, or half of one
_BUSY: Final = (429, 503)  # not taken, whatever it was
_TROUBLED: Final = (_LOST, *_BUSY, 500, 502, 504)
FIELD_MANAGER: Final = "kubectl-client-side-apply"  # the dry run must be the write, to the letter


class _Unread(NamedTuple):
    """Why there is no list of a kind."""

    why: str
    unserved: bool = False  # the cluster does not know the kind in this version


class _Answer(msgspec.Struct):
    status: int
    body: bytes
    warnings: tuple[str, ...] = ()
    retry_after: float = 0.0

    def json(self) -> Any:
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise RefusedError(
                f"the API server's answer does not read as JSON ({error}); is a proxy in between?"
            ) from None

    def message(self) -> str:
        with contextlib.suppress(Exception):
            return told(str(json.loads(self.body).get("message") or ""))
        return told(self.body[:200].decode(errors="replace"))


class KubernetesCluster:
    """`Cluster` for one context and namespace. Nothing is connected before the first question.

    ``patient``: a question is asked again where the server is busy or an answer got lost. ``timeout``: seconds for one
    answer, lists included where it is less than usual. ``agent`` is how the server knows who asks. ``access``: one that
    others use too, instead of ``kubeconfig`` and ``context``; who made it closes it. ``stopped`` ends what is being
    read (`adapters.bounded`); what is being written is waited for.
    """

    def __init__(
        self, kubeconfig: str | None, context: str | None, namespace: str, sleep: Callable[[float], None] = time.sleep,
        *, patient: bool = True, timeout: float = _LIST, agent: str = "rollback_lib", access: Access | None = None,
        stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self._stopped = stopped
        self._patient, self._timeout, self._agent = patient, timeout, agent
        self._namespace = namespace
        self.access = access or Access(kubeconfig, context)
        self._is_ours = access is None
        self._sleep = sleep
        self._has_answered = False

    # -- transport

    def _connect(self) -> Any:
        try:
            return bounded.within(
                self.access.login_limit + _LOGIN, lambda _: self.access.client(), self._stopped
            )  # fmt: skip
        except TimeoutError:
            raise RefusedError("the kubeconfig cannot be used: it could not be read in time.") from None

    def close(self) -> None:
        """Close the connections, unless they are others' too."""
        if self._is_ours:
            self.access.close()

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, *,
        content: str = "application/json", accept: str = "application/json", timeout: float = _TIMEOUT,
        again: Sequence[int] = _TROUBLED, largest: int = LARGEST,
    ) -> _Answer:  # fmt: skip
        """One question, asked again while the answer is one of ``again``.

        A server that has never answered is not waited for: its address is more likely wrong than it is busy.
        """
        started = time.monotonic()
        for pause in (*_PAUSES, None):
            answer = self._try(method, path, query, body, content, accept, timeout, largest)
            late = time.monotonic() - started > _PATIENCE
            if answer.status not in again or pause is None or late or not (self._patient and self._has_answered):
                break
            self._sleep(max(pause, min(answer.retry_after, _PATIENCE)))
        host = self._connect().configuration.host
        if answer.status == _LOST:
            raise UnreachableError(
                Refusal(
                    f"the cluster does not answer at {host} ({answer.body.decode()}).",
                    fix="Check the network and `kubectl version` with the same context.",
                )
            )
        if answer.status == 401:
            raise RefusedError(f"the cluster does not know these credentials (401 from {host}); log in again.")
        if answer.status == 403 and "cannot impersonate" in (said := answer.message()):
            raise RefusedError(
                Refusal(
                    f"the kubeconfig cannot be used: we may not be who its `as` names: {said}.",
                    fix="Allow `impersonate` there, or take `as` out.",
                )
            )
        return answer

    def _try(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content: str, accept: str,
        timeout: float, largest: int,
    ) -> _Answer:  # fmt: skip
        self._connect()  # what is wrong with a kubeconfig is no lost answer
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content
        where = path + (f"?{urlencode(query)}" if query else "")
        is_write = method != "GET" and "dryRun" not in (query or {})
        try:
            found, data = self._call(
                method, where, headers, body, timeout, largest=largest, is_write=is_write,
                by_the_end=self._patient,  # who looks beside a run is of no use to its ending
            )  # fmt: skip
        except (RefusedError, InterruptedRunError):  # a login that does not work is no lost answer
            raise
        except bounded.LargerError:
            raise RefusedError(f"the cluster's answer is larger than {largest >> 20} MiB ({method} {path}).") from None
        except Exception as error:
            return _Answer(_LOST, _reason(error).encode())
        self._has_answered = True
        after = str(found.headers.get("Retry-After") or "")
        return _Answer(
            found.status, data or b"", tuple(_warnings(found.headers)), float(after) if after.isdecimal() else 0.0
        )

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, timeout: float, *, largest: int,
        kept: int | None = None, is_write: bool = False, by_the_end: bool = True,
    ) -> tuple[Any, bytes]:  # fmt: skip
        """(the answer, its body), all within ``timeout`` seconds."""
        from urllib3 import HTTPHeaderDict

        client = self._connect()
        whole = min(timeout, self._timeout)

        def answer(waited: bounded.Waited) -> tuple[Any, bytes]:
            sent = HTTPHeaderDict(headers)
            sent["User-Agent"] = self._agent
            self.access.sign(sent)
            found = _exactly(client, method, client.configuration.host + path, sent, body, min(whole, _TIMEOUT))
            try:
                return found, waited.read(found.read1, largest, kept=kept)
            except BaseException:
                found.close()  # else what is left of it would be read by whoever gets this connection next
                raise
            finally:
                found.release_conn()

        try:
            return bounded.within(whole, answer, self._stopped, is_write=is_write, by_the_end=by_the_end)
        except TimeoutError:
            raise TimeoutError(f"no whole answer within {whole:g} s") from None

    # -- reading

    def identity(self) -> ClusterIdentity:
        client = self._connect()
        answer = self._ask("GET", f"/api/v1/namespaces/{self._namespace}")
        if answer.status == 404:
            raise RefusedError(
                f"namespace {self._namespace} does not exist in this cluster ({client.configuration.host})."
            )
        if answer.status == 403:
            raise ForbiddenError(
                Refusal(
                    f"we may not read namespace {self._namespace}: nothing proves that this is the right cluster.",
                    fix=f"Allow `get` on namespaces/{self._namespace} in the Role.",
                )
            )
        uid = (_good(answer).get("metadata") or {}).get("uid")
        if not uid:  # without it nothing tells this namespace from another of its name
            raise RefusedError(f"{client.configuration.host} does not answer as an API server; is a proxy in between?")
        return ClusterIdentity(
            context=self.access.context,
            server=client.configuration.host,
            namespace=self._namespace,
            namespace_uid=str(uid),
        )

    def version(self) -> str:
        """The server's version, ``v1.36.3``."""
        return str(_good(self._ask("GET", "/version")).get("gitVersion", ""))

    def contexts(self) -> Sequence[str]:
        with contextlib.suppress(RefusedError):
            return self.access.contexts()
        return ()

    def doubts(self) -> Sequence[str]:
        return self.access.doubts()

    def snapshot(self, kinds: Sequence[str], versions: Mapping[str, str] | None = None) -> Snapshot:
        """One list a kind and apiVersion, in parallel; what we may not list, or is not served, is in ``refused``."""
        asked = versions or {}
        usual = {k: asked.get(k, KINDS[k].api) for k in kinds}
        own = {key: api for key, api in asked.items() if "/" in key and usual.get(key.partition("/")[0], api) != api}
        lists = dict.fromkeys([*usual.items(), *((key.partition("/")[0], api) for key, api in own.items())])
        answers = dict(zip(lists, self._all(self._list, list(lists)), strict=True))
        found: dict[str, dict[str, Object]] = {}
        refused: dict[str, str] = {}
        unserved: set[str] = set()
        for kind, api in usual.items():
            result = answers[kind, api]
            if isinstance(result, _Unread):
                refused[kind] = result.why
                unserved |= {kind} if result.unserved else set()
            else:
                found[kind] = dict(result)
        for key, api in own.items():
            kind, _, name = key.partition("/")
            result = answers[kind, api]
            if isinstance(result, _Unread):
                refused[key] = result.why + (f", but {usual[kind]}" if kind in found and result.unserved else "")
                unserved |= {key} if result.unserved else set()
                continue
            found.setdefault(kind, {}).pop(name, None)
            if name in result:
                found[kind][name] = result[name]
        return Snapshot(found, refused, frozenset(unserved))

    def _list(self, asked: tuple[str, str]) -> dict[str, Object] | _Unread:
        kind, api = asked
        answer = self._ask("GET", path_of(api, KINDS[kind].plural, self._namespace), timeout=_LIST)
        if answer.status == 403:
            return _Unread(f"we may not list {KINDS[kind].plural} in {self._namespace}")
        if answer.status == 404:
            return _Unread(f"the cluster does not serve {api} {kind}", unserved=True)
        return {name_of(i): {"apiVersion": api, "kind": kind, **i} for i in _good(answer).get("items") or []}

    def _all(self, ask: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        self._connect()
        return [answer.result() for answer in bounded.begin_each(ask, items, CONNECTIONS)]  # each has its own end

    def get(self, kind: str, name: str, api_version: str = "") -> Object | None:
        """One object, or None."""
        api = api_version or KINDS[kind].api
        answer = self._ask("GET", path_of(api, KINDS[kind].plural, self._namespace, quote(name)))
        return None if answer.status == 404 else {"apiVersion": api, "kind": kind, **_good(answer)}

    def exists(self, kind: str, name: str) -> bool | None:
        found = self.presence(kind, name)
        return None if found is Presence.UNKNOWN else found is not Presence.ABSENT

    def presence(self, kind: str, name: str) -> Presence:
        path = path_of(KINDS[kind].api, KINDS[kind].plural, self._namespace, quote(name))
        if kind in CLUSTER_SCOPED:
            path = path.replace(f"/namespaces/{self._namespace}", "", 1)
        answer = self._ask(
            "GET",
            path,
            accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",  # never the content of a Secret
        )
        if answer.status in (403, 404):
            return Presence.UNKNOWN if answer.status == 403 else Presence.ABSENT
        return Presence.LEAVING if is_leaving(_good(answer)) else Presence.THERE

    def nodes(self) -> Mapping[str, Object] | None:
        answer = self._ask("GET", "/api/v1/nodes", timeout=_LIST)
        return None if answer.status == 403 else {name_of(n): n for n in _good(answer).get("items") or []}

    def events(self) -> Sequence[Object]:
        answer = self._ask("GET", f"/api/v1/namespaces/{self._namespace}/events", {"limit": "500"})
        return tuple(answer.json().get("items") or []) if answer.status == 200 else ()

    def logs(
        self, pod: str, container: str, *, previous: bool = False, lines: int = 20, timestamps: bool = False
    ) -> str:
        query = {"container": container, "tailLines": str(lines), "limitBytes": "65536"}
        if timestamps:
            query["timestamps"] = "true"
        if previous:
            query["previous"] = "true"
        answer = self._ask(
            "GET",
            f"/api/v1/namespaces/{self._namespace}/pods/{quote(pod)}/log",
            query,
            accept="*/*",
            timeout=5,
            again=(),
            largest=_LOG,
        )
        return answer.body.decode(errors="replace") if answer.status == 200 else ""

    def pod_ask(
        self, pod: str, port: int, path: str, *, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answered:
        where = f"/api/v1/namespaces/{self._namespace}/pods/{quote(pod)}:{port}/proxy/{path.lstrip('/')}"
        began = time.monotonic()
        try:
            found, data = self._call(
                method, where, headers, body or None, timeout, largest=bounded.LARGEST, kept=bounded.KEPT,
                by_the_end=False,
            )  # fmt: skip
        except InterruptedRunError:
            raise
        except bounded.LargerError:
            problem = f"its answer is larger than {bounded.LARGEST >> 20} MiB"
            return Answered(seconds=time.monotonic() - began, problem=problem)
        except Exception as error:
            return Answered(seconds=time.monotonic() - began, problem=_reason(error))
        got = {str(k): str(v) for k, v in found.headers.items()}
        return Answered(found.status, data, got, time.monotonic() - began)

    # -- asking without writing

    def dry_run_patch(self, kind: str, api_version: str, name: str, operations: Sequence[Operation]) -> DryRun:
        path = path_of(api_version, KINDS[kind].plural, self._namespace, quote(name))
        answer = self._ask(
            "PATCH", path, {"dryRun": "All", "fieldManager": FIELD_MANAGER},
            patch_text(operations), content="application/json-patch+json",
        )  # fmt: skip
        return self._dry_run(answer, api_version, kind)

    def dry_run_create(self, manifest: Object) -> DryRun:
        kind, api = str(manifest["kind"]), str(manifest["apiVersion"])
        path = path_of(api, KINDS[kind].plural, self._namespace)
        answer = self._ask("POST", path, {"dryRun": "All", "fieldManager": FIELD_MANAGER}, manifest)
        return self._dry_run(answer, api, kind)

    def _dry_run(self, answer: _Answer, api: str, kind: str) -> DryRun:
        if answer.status in (200, 201):
            return DryRun({**answer.json(), "apiVersion": api, "kind": kind}, answer.warnings)
        return DryRun(None, answer.warnings, answer.message(), answer.status)

    def rules(self) -> tuple[list[dict[str, Any]], bool]:
        """What we may do in the namespace (SelfSubjectRulesReview), and whether the server says that this is all."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self._namespace},
        }
        answer = self._ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", None, body)
        if answer.status not in (200, 201):
            return [], False
        status = answer.json().get("status") or {}
        return list(status.get("resourceRules") or []), not status.get("incomplete")

    def may(self, verb: str, kind: str, name: str, subresource: str = "") -> bool:
        """An access review with the name: without it the server says no to a role limited by ``resourceNames``."""
        spec = {"namespace": self._namespace, "verb": verb, "group": KINDS[kind].group, "resource": KINDS[kind].plural}
        narrow = {"name": name, "subresource": subresource}
        body = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**spec, **{key: value for key, value in narrow.items() if value}}},
        }  # fmt: skip
        answer = self._ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", None, body)
        return bool((_good(answer).get("status") or {}).get("allowed"))

    # -- for our own records

    def ask(
        self, method: str, kind: str, name: str = "", *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> tuple[int, Object]:
        """One request about a kind in the namespace: the status, and the answer as an object.

        A write whose answer is lost is not made again: whoever asked has to read what is true.
        """
        path = path_of(KINDS[kind].api, KINDS[kind].plural, self._namespace, quote(name))
        answer = self._ask(method, path, query, body, again=_TROUBLED if method == "GET" else _BUSY)
        return answer.status, answer.json() if answer.status < 400 else {"message": answer.message()}

    # -- for the writer

    def delete(self, kind: str, name: str, uid: str, *, orphan: bool = False) -> None:
        """Delete this very object. kubectl cannot say which uid it means; a name alone may be another's by now.

        ``orphan``: what it owns stays.
        """
        body = {
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            # here and not in the query: the server reads no query where there is a body, and takes the pods along
            "propagationPolicy": "Orphan" if orphan else "Background",
        }  # fmt: skip
        path = path_of(KINDS[kind].api, KINDS[kind].plural, self._namespace, quote(name))
        answer = self._ask("DELETE", path, None, body)
        if answer.status not in (200, 202, 404):
            raise RefusedError(f"{kind}/{name} was not deleted: {answer.message()}")


def _exactly(client: Any, method: str, url: str, headers: Any, body: Any, timeout: float) -> Any:
    """One request with this very body by the client's own connections; its answer is still to be read.

    (The client would encode bytes once more, or take them for another kind of patch.)
    """
    from urllib3 import Timeout

    data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
    return client.rest_client.pool_manager.request(
        method, url, body=data, headers=headers, timeout=Timeout(total=timeout), preload_content=False
    )


def _good(answer: _Answer) -> dict[str, Any]:
    if answer.status >= 400:
        error = UnreachableError if answer.status in _TROUBLED else RefusedError
        raise error(f"the API server answered {answer.status}: {answer.message()}")
    found = answer.json()
    if not isinstance(found, dict):
        raise RefusedError("the API server's answer is not an object; is a proxy in between?")
    return found


def _warnings(headers: Any) -> Iterator[str]:
    for value in headers.getlist("Warning") if hasattr(headers, "getlist") else ():
        text = value.split(" ", 2)[-1].strip()
        yield told(text.strip('"'))


def _reason(error: Exception) -> str:
    deepest: BaseException = error
    while (inner := getattr(deepest, "reason", None) or deepest.__cause__) and isinstance(inner, BaseException):
        deepest = inner
    if isinstance(deepest, ssl.SSLError):
        return f"TLS: {deepest.reason or deepest}"
    text = " ".join(str(deepest).split())
    return text.rsplit(": ", 1)[-1][:160] or type(deepest).__name__
