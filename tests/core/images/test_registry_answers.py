import hashlib
import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.images import registry_answers as ra
from rollback_lib.core.images.registry_answers import Absent, AskBody, CannotTell, Part, Present, Reply, read_reply

MANIFEST = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:" + "c" * 64}, "layers": []}).encode()
INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OCI, OCI_INDEX = ra.MANIFEST_TYPES[0], ra.INDEX_TYPES[0]
URL = "https://r.example/v2/x/manifests/v1"


def digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def reply(method: Literal["HEAD", "GET"], status: int, target: str = "v1", body: bytes = b"", **more: Any) -> Reply:
    headers = more.pop("headers", {})
    return Reply(method=method, url=URL, target=target, status=status, body=body, headers=headers, **more)


@pytest.mark.parametrize(
    ("status", "headers", "target", "verdict"),
    [
        (200, {"content-type": OCI, "docker-content-digest": A}, "v1", Present(A, OCI)),
        (200, {"content-type": f"{OCI_INDEX}; charset=utf-8", "docker-content-digest": A}, "v1", Present(A, OCI_INDEX)),
        (200, {"content-type": OCI, "docker-content-digest": A}, A, Present(A, OCI)),
        (200, {"content-type": OCI, "docker-content-digest": B}, A, AskBody()),
        (200, {"content-type": OCI}, "v1", AskBody()),
        (200, {"content-type": OCI, "docker-content-digest": "nonsense"}, "v1", AskBody()),
        (200, {"content-type": "text/html", "docker-content-digest": A}, "v1", AskBody()),
        (200, {"docker-content-digest": A}, "v1", AskBody()),
        (404, {}, "v1", AskBody()),
        (405, {}, "v1", AskBody()),
        (400, {}, "v1", AskBody()),
        (501, {}, "v1", AskBody()),
        (204, {}, "v1", AskBody()),
        (302, {}, "v1", AskBody()),
        (401, {}, "v1", AskBody()),
        (403, {}, "v1", AskBody()),
        (410, {}, "v1", AskBody()),
        (451, {}, "v1", AskBody()),
        (500, {}, "v1", AskBody()),
    ],
)
def test_head(status: int, headers: dict[str, str], target: str, verdict: ra.Verdict) -> None:
    assert read_reply(reply("HEAD", status, target, headers=headers)) == verdict


@pytest.mark.parametrize(
    ("body", "headers", "target", "kind"),
    [
        (MANIFEST, {"content-type": OCI, "docker-content-digest": digest(MANIFEST)}, "v1", OCI),
        (MANIFEST, {"content-type": OCI}, "v1", OCI),
        (MANIFEST, {}, digest(MANIFEST), OCI),
        (INDEX, {"content-type": "application/json"}, "v1", OCI_INDEX),
        (INDEX, {"content-type": ra.INDEX_TYPES[1]}, "v1", ra.INDEX_TYPES[1]),
        (INDEX, {"content-type": OCI}, "v1", OCI_INDEX),  # a wrong type does not make an index a manifest
    ],
)
def test_get_counts_the_digest_over_the_exact_body(
    body: bytes, headers: dict[str, str], target: str, kind: str
) -> None:
    assert read_reply(reply("GET", 200, target, body, headers=headers)) == Present(digest(body), kind, body)


def test_a_sha512_digest_is_counted_as_such() -> None:
    asked = "sha512:" + hashlib.sha512(MANIFEST).hexdigest()
    assert read_reply(reply("GET", 200, asked, MANIFEST)) == Present(asked, OCI, MANIFEST)


@pytest.mark.parametrize(
    ("body", "headers", "target", "said"),
    [
        (MANIFEST, {"docker-content-digest": A}, "v1", [A, digest(MANIFEST)]),
        (MANIFEST, {}, A, [digest(MANIFEST), "not what was asked for"]),
        (b"<html>Sign in</html>", {"content-type": "text/html"}, "v1", ["no manifest"]),
        (b'{"schemaVersion": 1, "fsLayers": []}', {}, "v1", ["schema 1"]),
        (b"[]", {}, "v1", ["no manifest"]),
        (b"{}", {"content-type": OCI}, "v1", ["no manifest"]),
        (b"\xff", {}, "v1", ["no manifest"]),
    ],
)
def test_a_body_that_contradicts_proves_nothing(
    body: bytes, headers: dict[str, str], target: str, said: list[str]
) -> None:
    found = read_reply(reply("GET", 200, target, body, headers=headers))
    assert isinstance(found, CannotTell)
    assert all(part in found.text for part in said)


def test_absent_only_when_get_says_404() -> None:
    found = read_reply(reply("GET", 404, who="as user 'bot'"))
    assert found == Absent(f"asked GET {URL} as user 'bot': 404, not there")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "no such repository, or no right to see it"),
        (403, "no such repository, or no right to see it"),
        (429, "the quota is spent"),
        (500, "in trouble"),
        (503, "in trouble"),
        (302, "redirect"),
        (204, "says nothing"),
        (410, "says nothing"),
        (418, "says nothing"),
        (451, "says nothing"),
    ],
)
def test_no_other_status_is_an_answer(status: int, said: str) -> None:
    found = read_reply(reply("GET", status, who="as user 'bot'"))
    assert isinstance(found, CannotTell)
    assert said in found.text
    assert URL in found.text
    assert "as user 'bot'" in found.text
    assert found.limited is (status == 429)


def test_a_quota_that_head_finds_spent_is_not_spent_further() -> None:
    found = read_reply(reply("HEAD", 429))
    assert isinstance(found, CannotTell)
    assert found.limited


def test_no_route_is_no_answer() -> None:
    found = read_reply(reply("HEAD", 0, failure="no connection: refused"))
    assert found == CannotTell(f"asked HEAD {URL} anonymously: no connection: refused")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"retry-after": "900"}, "free again at 2026-01-01 00:15:00 UTC (in 900 s)"),
        ({"retry-after": "Thu, 01 Jan 2026 00:15:00 GMT"}, "00:15:00 UTC"),
        ({"x-ratelimit-reset": "1767226500"}, "00:15:00 UTC"),
        ({"ratelimit-reset": "900"}, "00:15:00 UTC"),
        ({"retry-after": "soon"}, "the quota is spent"),
        ({"retry-after": "9" * 40}, "the quota is spent"),
        ({}, "the quota is spent"),
    ],
)
def test_a_spent_quota_names_when_it_is_free_again(headers: dict[str, str], said: str) -> None:
    found = read_reply(reply("GET", 429, headers=headers, at=1767225600.0))
    assert isinstance(found, CannotTell)
    assert said in found.text


def test_an_index_is_read_with_its_platforms_and_attestations_are_none() -> None:
    body = json.dumps(
        {
            "manifests": [
                {"digest": A, "platform": {"os": "linux", "architecture": "amd64"}},
                {"digest": B, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
                {"digest": B, "platform": {"os": "unknown", "architecture": "unknown"}},
                {"digest": "nonsense", "platform": {"os": "linux", "architecture": "amd64"}},
                {"platform": None},
                7,
            ]
        }
    ).encode()
    parts = ra.read_index(body)
    assert parts == (Part(A, "linux/amd64"), Part(B, "linux/arm64/v8"), Part(B, ""))
    assert ra.for_platform(parts, "linux/arm64") == (Part(B, "linux/arm64/v8"),)
    assert ra.for_platform(parts, "linux/arm") == ()


def test_the_configuration_digest_is_read_from_a_manifest() -> None:
    assert ra.config_digest(MANIFEST) == "sha256:" + "c" * 64
    assert ra.config_digest(INDEX) == ""
    assert ra.config_digest(b"no") == ""


@given(st.binary(), st.integers(0, 599), st.sampled_from(["HEAD", "GET"]))
def test_no_reply_crashes(body: bytes, status: int, method: Literal["HEAD", "GET"]) -> None:
    assert isinstance(read_reply(reply(method, status, body=body)), Present | Absent | CannotTell | AskBody)
