"""HTTP to the API server by the official Python client's own connections: raw requests, signed by `Access`.

(Its reading of a kubeconfig is not kubectl's: see `core.kube.kubeconfig`. The generated models cost 0.5 to 1.2 s on
first touch and refuse incomplete objects; discovery would cost requests and leaves a predictable file in the shared
temporary folder.)
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from rollback_lib.adapters import bounded, calls, http
from rollback_lib.adapters.access import Access
from rollback_lib.core import encoding
from rollback_lib.core.errors import InterruptedRunError, Refusal, RefusedError, UnreachableError
from rollback_lib.core.kube.server_answers import told

_TIMEOUT: Final = 30.0  # seconds, for one read of the connection, and for one answer
LIST_TIMEOUT: Final = 120.0  # seconds for a whole list: a large one takes its time, and still comes to an end
_LOGIN: Final = 5.0  # seconds that a kubeconfig may take beside its login plugin
LARGEST: Final = 256 << 20  # bytes of one answer: the largest list that anybody has, and no more
# A server that is busy, or an answer that got lost, says nothing about the rollback: asked again, for this long.
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_PATIENCE: Final = 10.0  # seconds after the first try in which another one may begin
_LOST: Final = 0  # no answer, or half of one
BUSY: Final = (429, 503)  # not taken, whatever it was
TROUBLED: Final = (_LOST, *BUSY, 500, 502, 504)


class Answer(msgspec.Struct):
    """What the server said; ``status`` 0: nothing, and the body says why."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()
    retry_after: float = 0.0

    def json(self) -> dict[str, Any]:
        """The object, or the list of objects with names. Raises RefusedError where it is neither."""
        try:
            found: dict[str, Any] = encoding.from_json(self.body)
            msgspec.convert(found, _Listed)
            return found
        except encoding.NotJsonError as error:
            said = str(error)
        except msgspec.ValidationError as error:
            said = f"is none of an API server ({error})"
        raise RefusedError(f"the API server's answer {said}; is a proxy in between?")

    def message(self) -> str:
        with contextlib.suppress(Exception):
            return told(str(encoding.from_json(self.body).get("message") or ""))
        return told(self.body[:200].decode(errors="replace"))


class _Meta(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    metadata: _Meta


class _Listed(msgspec.Struct):
    metadata: dict[str, Any] | None = None
    items: list[_Named] | None = None


class KubernetesHttp:
    """Questions to the API server that ``access`` leads to, which stays others' to close. See `KubernetesCluster`."""

    def __init__(
        self, access: Access, sleep: Callable[[float], None] = time.sleep, *, patient: bool = True,
        timeout: float = LIST_TIMEOUT, agent: str = "rollback_lib", stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        self.access = access
        self._sleep, self._stopped = sleep, stopped
        self._patient, self._timeout, self._agent = patient, timeout, agent
        self._has_answered = False

    def connect(self) -> Any:
        """The client. Raises RefusedError where the kubeconfig leads nowhere."""
        try:
            return bounded.within(
                self.access.login_limit + _LOGIN, lambda _: self.access.client(), self._stopped
            )  # fmt: skip
        except TimeoutError:
            raise RefusedError("the kubeconfig cannot be used: it could not be read in time.") from None

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, *,
        content: str = "application/json", accept: str = "application/json", timeout: float = _TIMEOUT,
        again: Sequence[int] = TROUBLED, largest: int = LARGEST,
    ) -> Answer:  # fmt: skip
        """One question, asked again while the answer is one of ``again``.

        A server that has never answered is not waited for: its address is more likely wrong than it is busy.
        """
        started = time.monotonic()

        def wait(answer: Answer, pause: float) -> float | None:
            late = time.monotonic() - started > _PATIENCE
            if answer.status not in again or late or not (self._patient and self._has_answered):
                return None
            return max(pause, min(answer.retry_after, _PATIENCE))

        answer = bounded.again(
            lambda: self._try(method, path, query, body, content, accept, timeout, largest),
            wait, _PAUSES, self._sleep,
        )  # fmt: skip
        host = self.connect().configuration.host
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
                    f"the kubeconfig cannot be used: we cannot act as who its `as` names (forbidden): {said}.",
                    fix="Allow `impersonate` there, or take `as` out.",
                )
            )
        return answer

    def _try(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content: str, accept: str,
        timeout: float, largest: int,
    ) -> Answer:  # fmt: skip
        self.connect()  # what is wrong with a kubeconfig is no lost answer
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content
        is_write = method != "GET" and "dryRun" not in (query or {})
        try:
            found = self.call(
                method, path, headers, body, timeout, query=query, largest=largest, is_write=is_write,
                by_the_end=self._patient,  # who looks beside a run is of no use to its ending
            )  # fmt: skip
        except (RefusedError, InterruptedRunError):  # a login that does not work is no lost answer
            raise
        except bounded.LargerError:
            said = f"the cluster's answer is larger than {largest >> 20} MiB ({method} {path})."
            if is_write:  # what it asked for may be done, so whoever asked has to look
                return Answer(_LOST, said.encode())
            raise RefusedError(said) from None
        except Exception as error:
            return Answer(_LOST, reason(error).encode())
        self._has_answered = True
        after = str(found.headers.get("Retry-After") or "")
        return Answer(
            found.status, found.body, tuple(_warnings(found.headers)), float(after) if after.isdecimal() else 0.0
        )

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, timeout: float, *,
        query: Mapping[str, str] | None = None, largest: int, kept: int | None = None, is_write: bool = False,
        by_the_end: bool = True, shown: str = "",
    ) -> http.Answer:  # fmt: skip
        """One request and its answer, all within ``timeout`` seconds. ``shown``: the path as it may be told."""
        from urllib3 import HTTPHeaderDict

        client = self.connect()
        whole = min(timeout, self._timeout)
        host, asked = client.configuration.host, f"?{urlencode(query)}" if query else ""
        told_of = calls.address(host + (shown or path)) + asked

        def answer(waited: bounded.Waited) -> http.Answer:
            sent = HTTPHeaderDict(headers)
            sent["User-Agent"] = self._agent
            self.access.sign(sent)
            found = _exactly(client, method, host + path + asked, sent, body, min(whole, _TIMEOUT))
            try:
                return http.Answer(found.status, found.headers, waited.read(found.read1, largest, kept=kept))
            except BaseException:
                found.close()  # else what is left of it would be read by whoever gets this connection next
                raise
            finally:
                found.release_conn()

        try:
            return http.ask(
                method, host + path, answer, whole, self._stopped, shown=told_of, is_write=is_write,
                by_the_end=by_the_end,
            )  # fmt: skip
        except TimeoutError:
            raise TimeoutError(f"no whole answer within {whole:g} s") from None


def _exactly(client: Any, method: str, url: str, headers: Any, body: Any, timeout: float) -> Any:
    """One request with this very body by the client's own connections; its answer is still to be read.

    (The client would encode bytes once more, or take them for another kind of patch.)
    """
    from urllib3 import Timeout

    data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
    return client.rest_client.pool_manager.request(
        method, url, body=data, headers=headers, timeout=Timeout(total=timeout), preload_content=False,
        redirect=False,
    )  # fmt: skip


def good(answer: Answer) -> dict[str, Any]:
    """The object that was answered. Raises UnreachableError or RefusedError where none was."""
    if answer.status >= 400:
        error = UnreachableError if answer.status in TROUBLED else RefusedError
        raise error(f"the API server answered {answer.status}: {answer.message()}")
    return answer.json()


def _warnings(headers: Any) -> Iterator[str]:
    for value in headers.getlist("Warning") if hasattr(headers, "getlist") else ():
        text = value.split(" ", 2)[-1].strip()
        yield told(text.strip('"'))


def reason(error: Exception) -> str:
    """Why there was no answer, in words that hold no address."""
    deepest: BaseException = error
    while (inner := getattr(deepest, "reason", None) or deepest.__cause__) and isinstance(inner, BaseException):
        deepest = inner
    if isinstance(deepest, ssl.SSLError):
        return f"TLS: {deepest.reason or deepest}"
    text = " ".join(str(deepest).split())
    return text.rsplit(": ", 1)[-1][:160] or type(deepest).__name__
