"""`Web` by requests: one try, a deadline for all of it, a bound on what is read, and no redirect."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.adapters import bounded, calls, http
from rollback_lib.core.errors import InterruptedRunError
from rollback_lib.core.evidence.smoke import Answered

_CONNECT: Final = 3.0


class RequestsWeb:
    """Proxies and CA bundles are those of the environment; nothing comes from ``.netrc``. Safe for several threads."""

    def __init__(self, stopped: bounded.Stopped = bounded.never) -> None:
        self._stopped = stopped

    def ask(
        self, method: str, url: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str],
        body: bytes = b"", timeout: float,
    ) -> Answered:  # fmt: skip
        def send(waited: bounded.Waited) -> http.Answer:
            with http.session() as session:
                return http.received(
                    session, method, url, waited, bounded.LARGEST, kept=bounded.KEPT, params=list(query),
                    headers={"User-Agent": "rollback_lib", **headers}, data=body or None,
                    timeout=(min(_CONNECT, timeout), timeout),
                )  # fmt: skip

        shown = calls.address(url, path=False)  # flows put what they have captured into it
        began = time.monotonic()
        try:
            got = http.ask(method, url, send, timeout, self._stopped, shown=shown, by_the_end=False)
        except InterruptedRunError:
            raise
        except Exception as error:  # of many libraries; the words of some hold the address with what was in it
            return Answered(seconds=time.monotonic() - began, problem=_told(error))
        return Answered(got.status, got.body, dict(got.headers), time.monotonic() - began)


def _told(error: Exception) -> str:
    if isinstance(error, bounded.LargerError):
        return f"its answer is larger than {bounded.LARGEST >> 20} MiB"
    kinds = {type(error).__name__, *(k.__name__ for k in type(error).__mro__)}
    if "Timeout" in kinds or "TimeoutError" in kinds:
        return "it did not answer in time"
    if "SSLError" in kinds:
        return "its certificate is not trusted"
    if "ProxyError" in kinds:
        return "the proxy does not let us through"
    return "it cannot be reached" if "ConnectionError" in kinds else type(error).__name__
