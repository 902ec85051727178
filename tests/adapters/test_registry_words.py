"""Whatever a registry answers, what comes of it is an answer of ours or an error of ours."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_lib.adapters import bounded, http
from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.images import challenges
from rollback_lib.core.images.challenges import Challenge
from tests.fake_registry import FakeRegistry

NAMES = (
    "WWW-Authenticate", "Location", "Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", "Content-Type",
    "Docker-Content-Digest", "Link", "Set-Cookie", "Content-Length", "Content-Encoding", "Date",
)  # fmt: skip
TYPE = "application/vnd.oci.image.index.v1+json"
TEXT = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n"), max_size=60)
PIECES = st.sampled_from(
    ("Bearer ", "Basic ", "realm=", "scope=", "service=", '"', "\\", ",", "=", " ", "https://here.example/token", "x",
     "https://[", "http://here.example:99999/", "//", "-1", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT", TYPE, "sha256:",
     "sha256:" + "a" * 64, "sha512:", "a=b; Max-Age=x", "gzip")
)  # fmt: skip
VALUES = st.one_of(TEXT, st.lists(PIECES, max_size=8).map("".join))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), PIECES),
    lambda each: st.one_of(
        st.lists(each, max_size=3),
        st.dictionaries(
            st.sampled_from(("token", "access_token", "tags", "manifests", "config", "layers", "errors", "digest",
                             "platform", "mediaType", "schemaVersion", "code", "os", "architecture")), each, max_size=4,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
BODIES = st.one_of(st.binary(max_size=30), JSON.map(lambda value: json.dumps(value).encode()))
ADDRESSES = st.sampled_from(
    ("https://here.example/token", "https://[", "//[/x", "http://here.example/", "https://a:b/", "", "\\", "https://é/")
)
CHALLENGES = st.one_of(
    VALUES,
    st.tuples(
        st.sampled_from(("Bearer ", "bearer ", "Basic a=b, Bearer ", "Basic ", "Bearer")),
        st.lists(st.tuples(st.sampled_from(("realm", "service", "scope")), st.one_of(ADDRESSES, TEXT)), max_size=4),
        st.sampled_from(('"', "")),
    ).map(lambda said: said[0] + ",".join(f"{name}={said[2]}{value}{said[2]}" for name, value in said[1])),
)
HEADERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
ANSWERS = st.one_of(
    st.tuples(st.sampled_from((200, 201, 204, 403, 404, 429, 500, 503, 999)), HEADERS, BODIES),
    st.tuples(st.just(401), CHALLENGES.map(lambda said: {"WWW-Authenticate": said}), BODIES),
    st.tuples(st.sampled_from((301, 302, 307)), ADDRESSES.map(lambda said: {"Location": said}), BODIES),
    st.just((200, {}, b'{"token": "t"}')),
)


class _Body(io.BytesIO):
    def read1(self, size: int | None = -1, decode_content: bool = False) -> bytes:
        return io.BytesIO.read(self, -1 if size is None else size)


def answered(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> None:
    """Each request gets the next of these, the last one for good."""
    left = list(answers)

    def send(self: Any, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        status, headers, body = left.pop(0) if len(left) > 1 else left[0]
        made = requests.Response()
        made.status_code, made.url, made.request = status, str(request.url), request
        made.headers = requests.structures.CaseInsensitiveDict(headers)
        made.raw = _Body(body)
        return made

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


@settings(max_examples=60)
@given(st.lists(ANSWERS, min_size=1, max_size=5))
def test_no_answer_of_a_registry_leads_to_an_error_that_is_not_ours(answers: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        answered(patched, answers)
        with RegistryClient({}, None, {"HOME": "/nowhere"}, sleep=lambda _: None, deadline=5) as registry:
            found = registry.look_up(["here.example/a/b:1"], configs=True)
            assert found["here.example/a/b:1"].state in ("present", "absent", "unknown")
            registry.list_tags("here.example/a/b")
            with contextlib.suppress(RollbackError):
                registry.put_tag("here.example/a/b", "sha256:" + "a" * 64, "v1")


def test_of_a_redirect_no_more_is_read_than_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests reads all of it, followed or not; see `http.without_redirects`."""
    body = b"x" * 100
    read: list[bytes] = []
    monkeypatch.setattr(_Body, "read", lambda self, size=-1, **_: read.append(io.BytesIO.read(self, size)) or read[-1])
    answered(monkeypatch, [(302, {"Location": "https://here.example/"}, body)])
    with http.session() as session:
        found = http.received(session, "GET", "https://here.example/x", bounded.Waited(), None)
        assert (found.status, found.body, read) == (302, b"", [])
        assert http.received(session, "GET", "https://here.example/x", bounded.Waited(), 1000).body == body


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ('Bearer realm="https://a/t",scope=', [("bearer", {"realm": "https://a/t", "scope": ""})]),
        ('bearer realm="https://a/t" , service = here', [("bearer", {"realm": "https://a/t", "service": "here"})]),
        ('Bearer realm="a, b=\\"c\\"",scope="x,y"', [("bearer", {"realm": 'a, b="c"', "scope": "x,y"})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Negotiate, Basic", [("negotiate", {}), ("basic", {})]),
        ('Bearer realm="a', [("bearer", {"realm": "a"})]),
        ("Bearer", [("bearer", {})]),
        ("", []),
        ('="",,;', []),
    ],
    ids=["no scope", "blanks", "quotes", "two", "no parameters", "cut off", "alone", "none", "nonsense"],
)  # fmt: skip
def test_a_challenge_is_read_as_it_is_meant(header: str, read: list[tuple[str, dict[str, str]]]) -> None:
    assert challenges.challenges(header) == tuple(Challenge(*one) for one in read)


@given(VALUES)
def test_every_text_reads_as_some_challenges(header: str) -> None:
    assert all(c.scheme == c.scheme.lower() for c in challenges.challenges(header))
    http.place(header)


def test_d49_a_challenge_with_an_empty_scope_is_answered(tmp_path: Path) -> None:
    with FakeRegistry() as fake:
        fake.auth = "bearer"
        fake.names_scope = False
        digest = fake.push("sanjodb/x", "v1")
        with RegistryClient({"docker.io": fake.url}, tmp_path / "none", {}, sleep=lambda _: None) as registry:
            found = registry.look_up(["sanjodb/x:v1"])["sanjodb/x:v1"]
        assert (found.state, found.digest) == ("present", digest)
        assert fake.tokens == 1
