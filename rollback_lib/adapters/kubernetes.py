"""The cluster, read only: raw requests (`kubernetes_http`) and plain dicts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rollback_lib.adapters import addresses, bounded
from rollback_lib.adapters.access import CONNECTIONS, Access
from rollback_lib.adapters.kubernetes_http import BUSY, LIST_TIMEOUT, TROUBLED, Answer, KubernetesHttp, good, reason
from rollback_lib.core.errors import ForbiddenError, InterruptedRunError, Refusal, RefusedError
from rollback_lib.core.evidence.smoke import Answered, is_forbidden
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.kinds import CLUSTER_SCOPED, KINDS
from rollback_lib.core.kube.objects import Object, is_leaving, name_of
from rollback_lib.core.kube.snapshot import ClusterIdentity, DryRun, Events, LogEnd, Presence, Snapshot, Versions
from rollback_lib.core.run.changes import patch_text

_LOG: Final = 1 << 20  # bytes that are read of a log, of which the last are kept
_LOG_KEPT: Final = 64 << 10
_RUNTIME_LINE: Final = 16 << 10  # bytes: what is longer is several lines for the runtime, which counts the last ones
_EVENTS_PAGE: Final = 500
MOST_EVENTS: Final = 10_000
EVENTS_TIME: Final = 4.0  # seconds after which no further page is asked for
FIELD_MANAGER: Final = "kubectl-client-side-apply"  # the dry run must be the write, to the letter


class _Unread(NamedTuple):
    """Why there is no list of a kind."""

    why: str
    unserved: bool = False  # the cluster does not know the kind in this version


class KubernetesCluster:
    """`Cluster` for one context and namespace. Nothing is connected before the first question.

    ``patient``: a question is asked again where the server is busy or an answer got lost. ``timeout``: seconds for one
    answer, lists included where it is less than usual. ``agent`` is how the server knows who asks. ``access``: one that
    others use too, instead of ``kubeconfig`` and ``context``; who made it closes it. ``stopped`` ends what is being
    read (`adapters.bounded`); what is being written is waited for.
    """

    def __init__(
        self, kubeconfig: str | None, context: str | None, namespace: str, sleep: Callable[[float], None] = time.sleep,
        *, patient: bool = True, timeout: float = LIST_TIMEOUT, agent: str = "rollback_lib",
        access: Access | None = None, stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self._namespace = namespace
        self.access = access or Access(kubeconfig, context, stopped=stopped)
        self._is_ours = access is None
        self._http = KubernetesHttp(
            self.access, sleep, patient=patient, timeout=timeout, agent=agent, stopped=stopped
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections, unless they are others' too."""
        if self._is_ours:
            self.access.close()

    # -- reading

    def identity(self) -> ClusterIdentity:
        client = self._http.connect()
        answer = self._http.ask("GET", addresses.path("api", "v1", "namespaces", self._namespace))
        if answer.status == 404:
            raise RefusedError(
                f"namespace {self._namespace} does not exist in this cluster ({client.configuration.host})."
            )
        if answer.status == 403:
            raise ForbiddenError(
                Refusal(
                    f"cannot get namespace {self._namespace} (forbidden): nothing proves that this is the right "
                    "cluster.",
                    fix=f"Allow `get` on namespaces/{self._namespace} in the Role.",
                )
            )
        uid = (good(answer).get("metadata") or {}).get("uid")
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
        return str(good(self._http.ask("GET", "/version")).get("gitVersion", ""))

    def contexts(self) -> Sequence[str]:
        with contextlib.suppress(RefusedError):
            return self.access.contexts()
        return ()

    def doubts(self) -> Sequence[str]:
        return self.access.doubts()

    def snapshot(self, kinds: Sequence[str], versions: Versions | None = None) -> Snapshot:
        """One list a kind and apiVersion, in parallel; what we may not list, or is not served, is in ``refused``."""
        asked: Mapping[Any, str] = versions or {}
        usual = {k: asked.get(k, KINDS[k].api) for k in kinds}
        own = {r: api for r, api in asked.items() if isinstance(r, ObjectRef) and usual.get(r.type, api) != api}
        lists = dict.fromkeys([*usual.items(), *((ref.type, api) for ref, api in own.items())])
        answers = dict(zip(lists, self._all(self._list, list(lists)), strict=True))
        found: dict[str, dict[str, Object]] = {}
        refused: dict[str | ObjectRef, str] = {}
        unserved: set[str | ObjectRef] = set()
        for kind, api in usual.items():
            result = answers[kind, api]
            if isinstance(result, _Unread):
                refused[kind] = result.why
                unserved |= {kind} if result.unserved else set()
            else:
                found[kind] = dict(result)
        for ref, api in own.items():
            result = answers[ref.type, api]
            if isinstance(result, _Unread):
                served = f", but {usual[ref.type]}" if ref.type in found and result.unserved else ""
                refused[ref] = result.why + served
                unserved |= {ref} if result.unserved else set()
                continue
            found.setdefault(ref.type, {}).pop(ref.name, None)
            if ref.name in result:
                found[ref.type][ref.name] = result[ref.name]
        return Snapshot(found, refused, frozenset(unserved))

    def _list(self, asked: tuple[str, str]) -> dict[str, Object] | _Unread:
        kind, api = asked
        answer = self._http.ask(
            "GET", addresses.of_kind(api, KINDS[kind].plural, self._namespace), timeout=LIST_TIMEOUT
        )
        if answer.status == 403:
            return _Unread(f"cannot list {KINDS[kind].plural} in {self._namespace} (forbidden)")
        if answer.status == 404:
            return _Unread(f"the cluster does not serve {api} {kind}", unserved=True)
        return {name_of(i): {"apiVersion": api, "kind": kind, **i} for i in good(answer).get("items") or []}

    def _all(self, ask: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        self._http.connect()
        return [answer.result() for answer in bounded.begin_each(ask, items, CONNECTIONS)]  # each has its own end

    def get(self, ref: ObjectRef, api_version: str = "") -> Object | None:
        """One object, or None."""
        api = api_version or KINDS[ref.type].api
        answer = self._http.ask("GET", addresses.of_kind(api, KINDS[ref.type].plural, self._namespace, ref.name))
        return None if answer.status == 404 else {"apiVersion": api, "kind": ref.kind, **good(answer)}

    def exists(self, ref: ObjectRef) -> bool | None:
        found = self.presence(ref)
        return None if found is Presence.UNKNOWN else found is not Presence.ABSENT

    def presence(self, ref: ObjectRef) -> Presence:
        where = "" if ref.type in CLUSTER_SCOPED else self._namespace
        path = addresses.of_kind(KINDS[ref.type].api, KINDS[ref.type].plural, where, ref.name)
        answer = self._http.ask(
            "GET",
            path,
            accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",  # never the content of a Secret
        )
        if answer.status in (403, 404):
            return Presence.UNKNOWN if answer.status == 403 else Presence.ABSENT
        return Presence.LEAVING if is_leaving(good(answer)) else Presence.THERE

    def keys(self, ref: ObjectRef) -> frozenset[str] | None:
        answer = self._http.ask(
            "GET", addresses.of_kind(KINDS[ref.type].api, KINDS[ref.type].plural, self._namespace, ref.name)
        )
        if answer.status in (403, 404):
            return None
        found = good(answer)  # of a Secret nothing but its keys leaves this method
        return frozenset((*(found.get("data") or {}), *(found.get("binaryData") or {})))

    def nodes(self) -> Mapping[str, Object] | None:
        answer = self._http.ask("GET", "/api/v1/nodes", timeout=LIST_TIMEOUT)
        return None if answer.status == 403 else {name_of(n): n for n in good(answer).get("items") or []}

    def events(self) -> Events:
        """Warnings first, since the server gives events by name and knows no other order."""
        found: list[Object] = []
        ends = time.monotonic() + EVENTS_TIME
        for kinds in ("type=Warning", "type!=Warning"):
            page = {"limit": str(_EVENTS_PAGE), "fieldSelector": kinds}
            while page:
                if len(found) >= MOST_EVENTS or time.monotonic() > ends:
                    return Events(tuple(found), f"after {len(found)} no more were read")
                answer = self._http.ask("GET", addresses.of_kind("v1", "events", self._namespace), page)
                if answer.status == 403:
                    return Events(tuple(found), f"cannot list events in {self._namespace} (forbidden)")
                if answer.status != 200:
                    return Events(tuple(found), f"the API server answered {answer.status} after {len(found)}")
                listed = answer.json()
                found += listed.get("items") or []
                after = (listed.get("metadata") or {}).get("continue")
                page = {**page, "continue": after} if after else {}
        return Events(tuple(found))

    def logs(
        self, pod: str, container: str, *, previous: bool = False, lines: int = 20, timestamps: bool = False
    ) -> LogEnd:
        """A limit in bytes takes the newest away: where it was reached, fewer lines are asked for."""
        query = {"container": container}
        if timestamps:
            query["timestamps"] = "true"
        if previous:
            query["previous"] = "true"
        wanted, body = lines, b""
        while wanted:
            # one more than wanted, so that it is known whether there are more
            body = self._log(pod, {**query, "tailLines": str(wanted + 1), "limitBytes": str(_LOG)})
            if len(body) < _LOG:
                break
            wanted //= _LOG // _LOG_KEPT
        said = body.splitlines(keepends=True)
        more = len(said) > 1 and sum(1 + len(line) // _RUNTIME_LINE for line in said) > wanted
        cut, kept = more or wanted < lines, b"".join(said[more:])
        if len(kept) > _LOG_KEPT:
            end = kept[-_LOG_KEPT:]
            cut, kept = True, end.partition(b"\n")[2] or end  # from the beginning of a line, if there is one
        return LogEnd(kept.decode(errors="replace"), cut)

    def _log(self, pod: str, query: Mapping[str, str]) -> bytes:
        answer = self._http.ask(
            "GET",
            addresses.path("api", "v1", "namespaces", self._namespace, "pods", pod, "log"),
            query,
            accept="*/*",
            timeout=5,
            again=(),
            largest=_LOG,
        )
        return answer.body if answer.status == 200 else b""

    def pod_ask(
        self, pod: str, port: int, path: str, *, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answered:
        proxy = addresses.of_kind("v1", "pods", self._namespace, f"{pod}:{port}") + "/proxy/"
        began = time.monotonic()
        try:
            found = self._http.call(
                method, proxy + path.lstrip("/"), headers, body or None, timeout, largest=bounded.LARGEST,
                kept=bounded.KEPT, by_the_end=False, shown=f"{proxy}…",  # flows put what they have captured into it
            )  # fmt: skip
        except InterruptedRunError:
            raise
        except bounded.LargerError:
            problem = f"its answer is larger than {bounded.LARGEST >> 20} MiB"
            return Answered(seconds=time.monotonic() - began, problem=problem)
        except Exception as error:
            return Answered(seconds=time.monotonic() - began, problem=reason(error))
        if is_forbidden(found.status, found.body):
            problem = "the API server forbids it: `get` on pods/proxy"
            return Answered(seconds=time.monotonic() - began, problem=problem, forbidden=True)
        got = {str(k): str(v) for k, v in found.headers.items()}
        return Answered(found.status, found.body, got, time.monotonic() - began)

    # -- asking without writing

    def dry_run_patch(self, kind: str, api_version: str, name: str, operations: Sequence[Operation]) -> DryRun:
        path = addresses.of_kind(api_version, KINDS[kind].plural, self._namespace, name)
        answer = self._http.ask(
            "PATCH", path, {"dryRun": "All", "fieldManager": FIELD_MANAGER},
            patch_text(operations), content="application/json-patch+json",
        )  # fmt: skip
        return self._dry_run(answer, api_version, kind)

    def dry_run_create(self, manifest: Object) -> DryRun:
        kind, api = str(manifest["kind"]), str(manifest["apiVersion"])
        path = addresses.of_kind(api, KINDS[kind].plural, self._namespace)
        answer = self._http.ask("POST", path, {"dryRun": "All", "fieldManager": FIELD_MANAGER}, manifest)
        return self._dry_run(answer, api, kind)

    def _dry_run(self, answer: Answer, api: str, kind: str) -> DryRun:
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
        answer = self._http.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", None, body)
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
        answer = self._http.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", None, body)
        return bool((good(answer).get("status") or {}).get("allowed"))

    # -- for our own records

    def ask(
        self, method: str, kind: str, name: str = "", *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> tuple[int, Object]:
        """One request about a kind in the namespace: the status, and the answer as an object.

        A write whose answer is lost is not made again: whoever asked has to read what is true.
        """
        path = addresses.of_kind(KINDS[kind].api, KINDS[kind].plural, self._namespace, name)
        answer = self._http.ask(method, path, query, body, again=TROUBLED if method == "GET" else BUSY)
        return answer.status, answer.json() if answer.status < 400 else {"message": answer.message()}

    # -- for the writer

    def delete(self, ref: ObjectRef, uid: str, *, policy: str = "Background") -> None:
        """Delete this very object. kubectl cannot say which uid it means; a name alone may be another's by now.

        ``policy``: what becomes of what it owns (it stays with Orphan, and goes first with Foreground).
        """
        body = {
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            # here and not in the query: the server reads no query where there is a body, and takes the pods along
            "propagationPolicy": policy,
        }  # fmt: skip
        path = addresses.of_kind(KINDS[ref.type].api, KINDS[ref.type].plural, self._namespace, ref.name)
        answer = self._http.ask("DELETE", path, None, body)
        if answer.status not in (200, 202, 404):
            raise RefusedError(f"{ref} was not deleted: {answer.message()}")
