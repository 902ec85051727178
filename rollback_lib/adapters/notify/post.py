"""One POST of JSON to an address that is a secret: no text that comes from here holds it.

Proxies and certificate authorities are those of the environment (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE). Redirects
are not followed: an address that moved is for a person to look at, and the message is for nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rollback_lib.adapters import bounded, calls, http, loading
from rollback_lib.core.report.notices import Delivery


def address(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """(the address that the variable holds, what is wrong with it)."""
    url = environ.get(variable, "").strip()
    if not url:
        return "", f"{variable} is not set"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    return (url, "") if usable else ("", f"{variable} holds no http address")


def post(
    variable: str,
    body: Any,
    environ: Mapping[str, str],
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Delivery:
    """Send ``body`` to the address in ``variable``; anything but 2xx is a failure."""
    url, problem = address(variable, environ)
    if problem:
        return Delivery(problem)
    with loading.alone():
        import requests  # 0.1 s, and most runs tell nobody from most of their processes

    data = json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "User-Agent": "rollback-lib", **(headers or {})}

    limits = (0.9 * seconds, seconds)  # that there is no connection is known before all of the time is over

    def post_it(waited: bounded.Waited) -> http.Answer:
        with http.session() as session:
            return http.received(session, "POST", url, waited, None, data=data, headers=sent, timeout=limits)

    try:  # its path is the secret
        status = http.ask("POST", url, post_it, seconds, shown=f"{calls.address(url, path=False)} of {variable}").status
    except TimeoutError:
        return Delivery(f"no answer in {seconds:.0f} s", unclear=True)
    except requests.exceptions.ConnectTimeout:
        return Delivery(f"no connection in {seconds:.0f} s")
    except requests.exceptions.Timeout:
        return Delivery(f"no answer in {seconds:.0f} s", unclear=True)
    except requests.exceptions.SSLError:
        return Delivery("no trusted TLS connection (its certificate, or REQUESTS_CA_BUNDLE)")
    except requests.exceptions.ProxyError:
        return Delivery("the proxy does not lead there (HTTPS_PROXY, NO_PROXY)")
    except requests.exceptions.ConnectionError as error:
        return Delivery(f"cannot be reached ({_root(error)})")
    except Exception as error:  # its text may hold the address
        return Delivery(f"could not be sent ({type(error).__name__})")
    if 300 <= status < 400:
        return Delivery(f"answers with a redirect ({status}), which is not followed: see {variable}")
    return Delivery() if 200 <= status < 300 else Delivery(f"answers {status}")


def _root(error: BaseException) -> str:
    """The class of what lies below: resolved, refused and reset are different things to put right."""
    reason = getattr(error.args[0] if error.args else None, "reason", None) or (error.args[0] if error.args else None)
    return type(reason if isinstance(reason, BaseException) else error).__name__
