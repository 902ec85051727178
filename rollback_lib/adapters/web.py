"""`Web` by requests: one try, a deadline for all of it, a bound on what is read, and no redirect."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollback_lib.adapters import loading
from rollback_lib.core.smoke import Answered

LARGEST: Final = 1 << 20  # bytes of an answer
_CONNECT: Final = 3.0


class RequestsWeb:
    """Proxies and CA bundles are those of the environment; nothing comes from ``.netrc``. Safe for several threads."""

    def ask(
        self, method: str, url: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str],
        body: bytes = b"", timeout: float,
    ) -> Answered:  # fmt: skip
        with loading.alone():
            import requests

        began = time.monotonic()
        try:
            with requests.Session() as session:
                found = session.request(
                    method, url, params=list(query), headers={"User-Agent": "rollback_lib", **headers},
                    data=body or None, timeout=(min(_CONNECT, timeout), timeout), allow_redirects=False, stream=True,
                    auth=_as_given,
                )  # fmt: skip
                data = _read(found, began + timeout)
        except Exception as error:  # of many libraries; the words of some hold the address with what was in it
            return Answered(seconds=time.monotonic() - began, problem=_told(error))
        return Answered(found.status_code, data, dict(found.headers), time.monotonic() - began)


def _as_given(request: Any) -> Any:
    """requests reads ~/.netrc unless it is given something to authorize with."""
    return request


def _read(found: Any, ends: float) -> bytes:
    data: bytes = b""
    for part in found.iter_content(1 << 14):
        data += part
        if len(data) >= LARGEST:
            return data[:LARGEST]
        if time.monotonic() > ends:
            raise TimeoutError
    return data


def _told(error: Exception) -> str:
    kinds = {type(error).__name__, *(k.__name__ for k in type(error).__mro__)}
    if "Timeout" in kinds or "TimeoutError" in kinds:
        return "it did not answer in time"
    if "SSLError" in kinds:
        return "its certificate is not trusted"
    if "ProxyError" in kinds:
        return "the proxy does not let us through"
    return "it cannot be reached" if "ConnectionError" in kinds else type(error).__name__
