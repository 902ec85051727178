"""The one way to ask over HTTP: in a time, of a size, once, and told to ``logging``.

Redirects are for whoever asks to follow or not. Nothing comes from ``.netrc``. Proxies and certificate authorities are
those of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from rollback_lib.adapters import bounded, calls, loading
from rollback_lib.core import names

if TYPE_CHECKING:
    from requests import PreparedRequest, Session


class Answer(msgspec.Struct, frozen=True):
    """What a server answered at ``url``. In the names of ``headers`` upper and lower case are the same."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""


def ask(
    method: str, url: str, send: Callable[[bounded.Waited], Answer], seconds: float,
    stopped: bounded.Stopped = bounded.never, *, shown: str = "", is_write: bool = False, by_the_end: bool = True,
) -> Answer:  # fmt: skip
    """What ``send`` gets, by `bounded.within`, whose errors it raises. ``shown``: the address as it may be told."""
    with calls.call("http", f"{method} {shown or calls.address(url)}") as call:
        answer = bounded.within(seconds, send, stopped, is_write=is_write, by_the_end=by_the_end)
        call.ended = str(answer.status)
        return answer


def session() -> Session:
    """One of `requests`, for `received`."""
    with loading.alone():
        import requests

    made = requests.Session()
    without_redirects(made)
    return made


def without_redirects(session: Any) -> None:
    """Have it find no redirect in any answer.

    Where it finds one it reads all of the body, however large, and the address, whatever that is, even if it is not to
    be followed.
    """
    session.get_redirect_target = lambda answer: None


def received(
    session: Session, method: str, url: str, waited: bounded.Waited, largest: int | None, *, kept: int | None = None,
    **more: Any,
) -> Answer:  # fmt: skip
    """One request of `requests`, with its body to the end (see `bounded.Waited.read`); ``largest`` None: without it."""
    with session.request(method, url, allow_redirects=False, stream=True, auth=as_given, **more) as got:
        body = b"" if largest is None else waited.read(pieces(got), largest, kept=kept)
        return Answer(got.status_code, got.headers, body, url)


def pieces(got: Any) -> Callable[[int], bytes]:
    """The body of an answer of `requests`, as `bounded.Waited.read` takes it."""
    return lambda size: got.raw.read1(size, decode_content=True)


def as_given(request: PreparedRequest) -> PreparedRequest:
    """requests reads ~/.netrc unless it is given something to authorize with."""
    return request


def place(address: str) -> SplitResult:
    """The parts of an address that somebody else wrote; none of them where it does not read."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # read when it is asked for
        return parts
    except ValueError:
        return urlsplit("")


def is_here(url: str) -> bool:
    """Whether this address names this machine."""
    return names.is_loopback(urlsplit(url).hostname or "")
