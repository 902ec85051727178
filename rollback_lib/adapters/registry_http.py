"""HTTP to one registry: authorization, redirects, retries and limits, so that what comes back is one plain `Reply`.

Rules that hold here: credentials never follow a redirect to another host, nor a token realm that is neither https nor
the same host; a write follows no redirect at all; plain http only to this machine, and never from https; nothing of
``.netrc``; a 429 is never waited for; no text holds a secret (an exception's own words may: it is told by its class).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Literal
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import urllib3

from rollback_lib.adapters import addresses, bounded, http
from rollback_lib.adapters.http import Answer
from rollback_lib.adapters.registry_credentials import Credentials, CredentialsError
from rollback_lib.core.errors import Problem
from rollback_lib.core.images import challenges
from rollback_lib.core.images.registry_answers import ACCEPT, Reply, read_tags, retry_after

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 10.0
LARGEST_BODY: Final = 4 << 20  # what registries accept as a manifest at most (OCI distribution)
LONGEST_WAIT: Final = 2.0
TAG_PAGES: Final = 10
TAGS_A_PAGE: Final = 1000
_RETRIED: Final = (502, 503, 504)
_PAUSES: Final = (0.1, 0.2)  # seconds, before another try
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class _Failure(Exception):
    """Nothing usable came back; the text is for a person. ``again``: a reset, which is worth another try."""

    def __init__(self, text: str, again: bool = False, hung: bool = False) -> None:
        super().__init__(text)
        self.again, self.hung = again, hung


class RegistryHttp:
    """One registry at ``base`` (``https://host[:port][/path]``). Safe to use from several threads.

    ``credentials`` is called at most once, when the registry first asks who we are. ``ends`` is the moment on
    ``clock`` after which nothing is sent.
    """

    def __init__(
        self,
        base: str,
        session: requests.Session,
        credentials: Callable[[], Credentials],
        ends: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: bounded.Stopped = bounded.never,
    ) -> None:
        self._stopped = stopped
        self.base = base.rstrip("/")
        self._session = session
        self._find_credentials = credentials
        self._ends, self._clock, self._sleep = ends, clock, sleep
        self._lock = threading.Lock()
        self._known: Credentials | None = None
        self._problem = ""
        self._tokens: dict[tuple[str, str], str] = {}  # (repository, what we may do there) → Authorization

    def manifest(self, method: Literal["HEAD", "GET"], path: str, target: str) -> Reply:
        """Ask for one manifest. Whatever goes wrong is in the reply."""
        return self._ask(method, path, target, {"Accept": ACCEPT}, "pull")

    def tags(self, path: str) -> frozenset[str] | None:
        """All tags of a repository; None where they are not told, or are too many: each page costs a question."""
        found: list[str] = []
        for _ in range(TAG_PAGES):
            query = urlencode({"n": TAGS_A_PAGE, **({"last": found[-1]} if found else {})})
            reply = self._ask(
                "GET", path, "list", {"Accept": "application/json"}, "pull", what="tags", query=f"?{query}"
            )  # fmt: skip
            page = read_tags(reply)
            if page is None:
                return None
            found += page
            if not page or "link" not in reply.headers:
                return frozenset(found)
        return None

    def blob(self, path: str, digest: str) -> Reply:
        """Read a small blob, such as a configuration. Whatever goes wrong is in the reply."""
        return self._ask("GET", path, digest, {}, "pull", what="blobs")

    def put_manifest(self, path: str, tag: str, media_type: str, body: bytes) -> Reply:
        """Store these bytes under a tag. Whatever goes wrong is in the reply; the write may have been done even so."""
        return self._ask("PUT", path, tag, {"Content-Type": media_type}, "pull,push", data=body)

    def _ask(
        self, method: Literal["HEAD", "GET", "PUT"], path: str, target: str, headers: dict[str, str], may: str,
        what: str = "manifests", query: str = "", **more: Any,
    ) -> Reply:  # fmt: skip
        url = f"{self.base}{addresses.path('v2', *path.split('/'), what, target)}{query}"
        who = "anonymously"
        sent = len(more.get("data", b""))

        def reply(status: int = 0, failure: str = "", raw: Answer | None = None, hung: bool = False) -> Reply:
            answered, body = ({k.lower(): v for k, v in raw.headers.items()}, raw.body) if raw else ({}, b"")
            return Reply(method, url, target, status, answered, body, who, failure, time.time(), hung, sent)

        try:
            header = self._tokens.get((path, may), "")
            who = self._known.who if header and self._known else who
            raw = self._send(method, url, {**headers, "Authorization": header}, **more)
            if raw.status == 401 and urlsplit(raw.url).netloc == urlsplit(url).netloc:
                known = self._credentials()
                who = known.who
                header = self._authorize(raw.headers.get("www-authenticate", ""), path, known, may)
                if header:
                    self._tokens[path, may] = header
                    raw = self._send(method, url, {**headers, "Authorization": header}, **more)
        except _Failure as e:
            return reply(failure=str(e), hung=e.hung)
        return reply(raw.status, raw=raw)

    def _credentials(self) -> Credentials:
        with self._lock:
            if self._known is None and not self._problem:
                try:
                    self._known = self._find_credentials()
                except CredentialsError as e:
                    self._problem = f"{e}; not asked anonymously instead"
            if self._known is None:
                raise _Failure(self._problem)
            return self._known

    def _authorize(self, challenge: str, path: str, known: Credentials, may: str) -> str:
        """The Authorization that answers this challenge; empty where there is none to give."""
        wanted = challenges.chosen(challenge)
        if wanted is None:
            return ""
        if wanted.scheme == "basic":
            return known.basic if known.user else ""
        said = wanted.parameters
        realm, here = said.get("realm", ""), urlsplit(self.base)
        there = http.place(realm)
        same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        if not there.hostname or not (there.scheme == "https" or (same and http.is_here(realm))):
            raise _Failure(f"the registry sends us to {there.netloc or 'nowhere'} for a token, not over https")
        scope = said.get("scope") or ""
        if not scope or ("push" in may and "push" not in scope):  # some challenge a write as if it were a read
            scope = f"repository:{path}:{may}"
        asked = {"service": said.get("service", ""), "scope": scope}
        asked = {key: value for key, value in asked.items() if value}
        if known.token:
            form = {"grant_type": "refresh_token", "refresh_token": known.token, "client_id": "rollback-lib", **asked}
            raw = self._send("POST", realm, {}, data=form)
        else:
            raw = self._send("GET", realm, {"Authorization": known.basic if known.user else ""}, params=asked)
        place = f"{there.scheme}://{there.netloc}{there.path}"
        if raw.status in (401, 403):
            raise _Failure(f"{place} gave no token ({raw.status}): wrong credentials, or no right to see it")
        if raw.status != 200:
            raise _Failure(f"{place} gave no token ({raw.status})")
        if not (token := challenges.token(raw.body)):
            raise _Failure(f"{place} gave no token")
        return f"Bearer {token}"

    def _send(self, method: str, url: str, headers: dict[str, str], **more: Any) -> Answer:
        """One request, its redirects followed, and sent again twice at most where that may help."""

        def ask() -> Answer | _Failure:
            try:
                return self._follow(method, url, headers, **more)
            except _Failure as e:
                return e

        def wait(found: Answer | _Failure, pause: float) -> float | None:
            wants = None
            if isinstance(found, _Failure):
                if not found.again:
                    return None
            else:
                wants = retry_after(found.headers, time.time())
                if not (found.status in _RETRIED or (found.status == 429 and wants is not None)):
                    return None
                if (wants or 0.0) > LONGEST_WAIT:
                    return None
            pause = max(pause, wants or 0.0)
            if self._clock() + pause >= self._ends():
                raise _Failure("no answer within the time for all questions")
            return pause

        found = bounded.again(ask, wait, _PAUSES, self._sleep)
        if isinstance(found, _Failure):
            raise found
        return found

    def _follow(self, method: str, url: str, headers: dict[str, str], **more: Any) -> Answer:
        raw = self._once(method, url, headers, **more)
        for _ in range(3):
            if raw.status not in _REDIRECTS or "location" not in raw.headers or method in ("POST", "PUT"):
                break
            there = _joined(raw.url, raw.headers["location"])
            plain = raw.url.startswith("http://") and there.startswith("http://") and http.is_here(there)
            if not (plain or there.startswith("https://")):
                break
            if urlsplit(there)[:2] != urlsplit(url)[:2]:
                headers = {key: value for key, value in headers.items() if key != "Authorization"}
            raw = self._once(method, there, headers)
        return raw

    def _once(self, method: str, url: str, headers: dict[str, str], **more: Any) -> Answer:
        left = self._ends() - self._clock()
        if left <= 0:
            raise _Failure("not asked: the time for all questions was over")
        sent = {"Accept-Encoding": "identity", **{key: value for key, value in headers.items() if value}}
        direct = {"http": "", "https": "", "all": ""} if http.is_here(url) else None
        limits = (min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left))

        def send(waited: bounded.Waited) -> Answer:
            return http.received(  # to its end even where there is none: else the connection is lost
                self._session, method, url, waited, 0 if method == "HEAD" else LARGEST_BODY, headers=sent,
                timeout=limits, proxies=direct, **more,
            )  # fmt: skip

        try:
            return http.ask(method, url, send, left, self._stopped, is_write=method == "PUT")
        except TimeoutError:
            raise _Failure("no answer within the time for all questions", hung=True) from None
        except bounded.LargerError:
            raise _Failure("the answer is larger than any manifest") from None
        except requests.RequestException as e:
            raise _failure(e) from None
        except (UnicodeError, urllib3.exceptions.HTTPError) as e:
            if isinstance(e, urllib3.exceptions.ReadTimeoutError):
                raise _Failure("no answer in time", hung=True) from None
            if isinstance(e, urllib3.exceptions.ProtocolError):
                raise _Failure("the connection broke", again=True) from None
            raise _Failure("this address cannot be asked") from None


def new_session(connections: int) -> requests.Session:
    """Keeps connections, no cookies. Proxies and certificate authorities come from the environment."""
    session = http.session()
    session.headers["User-Agent"] = "rollback-lib"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections))
    return session


def _failure(problem: requests.RequestException) -> _Failure:
    words = repr(problem)  # looked at, never shown: it may hold a proxy's password
    if isinstance(problem, requests.exceptions.SSLError):
        return _Failure("no trusted TLS connection (certificate, or REQUESTS_CA_BUNDLE)")
    if isinstance(problem, requests.exceptions.ProxyError):
        return _Failure("no way through the proxy")
    if isinstance(problem, requests.Timeout):
        return _Failure("no answer in time", hung=True)
    if "NameResolutionError" in words or "getaddrinfo" in words:
        return _Failure("its name is not known here (DNS)")
    if "refused" in words:
        return _Failure("the connection was refused")
    if "NewConnectionError" in words or "unreachable" in words:
        return _Failure("no route to it")
    if "Read timed out" in words:
        return _Failure("no answer in time", hung=True)
    if isinstance(problem, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return _Failure("the connection broke", again=True)
    return _Failure(f"the request failed ({type(problem).__name__})")


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; empty where that does not read."""
    try:
        there = urljoin(url, location)
    except ValueError:
        return ""
    return there if http.place(there).hostname else ""


def own_url(host: str) -> str:
    """Where a host's images are asked for when no mirror is named."""
    return f"http://{host}" if http.is_here(f"http://{host}") else f"https://{host}"


def mirror_problem(host: str, url: str) -> Problem | None:
    """What is wrong with the URL that is to answer for a host's images; None where nothing is."""
    key = f"images.registries.{host}.url"
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return Problem("this is no URL", key=key)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok or parts.query or parts.fragment:
        return Problem("a registry's URL is https://host[:port][/path]", key=key)
    if "@" in parts.netloc:
        return Problem("a registry's URL must not hold a user or password", key=key, fix="use Docker's config.json")
    if parts.scheme == "http" and not http.is_here(url):
        return Problem("plain http is only for a registry on this machine", key=key, fix="use https")
    return None
