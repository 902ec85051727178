"""The registry double, asked by our own client and by plain HTTP."""

import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.sandbox import oci
from rollback_lib.sandbox.registry import Fault, Registry

REPOSITORY = "sanjodb/user-service"
REFERENCE = f"{REPOSITORY}:v1.1.0"
BOTH = ("linux/amd64", "linux/arm64")
EVERY_KIND = f"{oci.MANIFEST}, {oci.INDEX}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


def look_up(registry: Registry, tmp_path: Path, reference: str = REFERENCE, **more: object) -> Answer:
    slept: list[float] = []
    mirrors = {"docker.io": registry.url}
    with RegistryClient(mirrors, tmp_path / "none.json", {}, deadline=1.0, sleep=slept.append) as client:
        return client.look_up([reference], **more)[reference]  # type: ignore[arg-type]


def ask(
    registry: Registry, method: str, path: str, *, accept: str = "", body: bytes | None = None, kind: str = ""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(registry.url).netloc, timeout=5)
    headers = {"Accept": accept} if accept else {}
    try:
        connection.request(method, path, body, {**headers, **({"Content-Type": kind} if kind else {})})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def error_code(body: bytes) -> str:
    return str(json.loads(body)["errors"][0]["code"])


def test_our_client_finds_a_pushed_image(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0")
    answer = look_up(registry, tmp_path)
    assert (answer.state, answer.digest) == ("present", digest)


def test_our_client_looks_into_an_index(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0", platforms=BOTH)
    answer = look_up(registry, tmp_path, platforms=BOTH, configs=True)
    assert (answer.state, answer.digest, answer.platforms) == ("present", digest, BOTH)
    assert len(answer.digests) == 5  # the index, two manifests, two configs


def test_an_index_lacks_the_platforms_that_were_not_pushed(registry: Registry, tmp_path: Path) -> None:
    registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0", platforms=("linux/arm64",), index=True)
    answer = look_up(registry, tmp_path)
    assert (answer.state, list(answer.missing)) == ("absent", ["linux/amd64"])


def test_a_deleted_image_is_absent_under_every_name(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0")
    registry.tag(REPOSITORY, "prod", digest)
    assert registry.delete(REPOSITORY, digest)
    assert not registry.delete(REPOSITORY, digest)
    names = [REFERENCE, f"{REPOSITORY}:prod", f"{REPOSITORY}@{digest}"]
    assert [look_up(registry, tmp_path, name).state for name in names] == ["absent"] * 3


def test_a_tag_pushed_again_names_the_new_image_and_keeps_the_old_one_by_digest(registry: Registry) -> None:
    old = registry.push(REPOSITORY, "prod", "good", "v1.1.0")
    new = registry.push(REPOSITORY, "prod", "wrong", "v1.2.0")
    assert old != new
    assert registry.resolve(f"{REPOSITORY}:prod") == (new, "wrong", "v1.2.0")
    assert registry.resolve(f"docker.io/{REPOSITORY}@{old}") == (old, "good", "v1.1.0")
    assert registry.resolve(f"{REPOSITORY}:prod@{old}") == (old, "good", "v1.1.0")


def test_a_digest_depends_on_what_was_pushed_and_on_nothing_else(registry: Registry) -> None:
    with Registry() as other:
        assert registry.push(REPOSITORY, "a", "good", "1") == other.push(REPOSITORY, "b", "good", "1")
        assert len({registry.push(*each) for each in DIFFERENT}) == len(DIFFERENT)


DIFFERENT = (
    (REPOSITORY, "a", "good", "1"),
    (REPOSITORY, "a", "good", "2"),
    (REPOSITORY, "a", "crash", "1"),
    ("sanjodb/x", "a", "good", "1"),
)


def test_resolving_an_index_gives_the_digest_of_the_index_and_the_program_of_the_platform(registry: Registry) -> None:
    digest = registry.push(REPOSITORY, "v1", "never-ready", "v1", platforms=("linux/arm64", "linux/amd64"))
    assert registry.resolve(f"{REPOSITORY}:v1") == (digest, "never-ready", "v1")
    only_arm = registry.push(REPOSITORY, "v2", "good", "v2", platforms=("linux/arm64",), index=True)
    assert registry.resolve(f"{REPOSITORY}:v2") is None
    assert registry.resolve(f"{REPOSITORY}@{only_arm}", "linux/arm64") == (only_arm, "good", "v2")


@pytest.mark.parametrize("reference", ["ghcr.io/sanjodb/user-service:v1", "sanjodb/none:v1", f"{REPOSITORY}:v2", "x"])
def test_what_the_registry_does_not_have_resolves_to_nothing(registry: Registry, reference: str) -> None:
    registry.push(REPOSITORY, "v1", "good", "v1")
    assert registry.resolve(reference) is None


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_without_the_index_type_in_accept_an_index_is_not_found(registry: Registry, method: str) -> None:
    registry.push(REPOSITORY, "v1", "good", "v1", platforms=BOTH)
    path = f"/v2/{REPOSITORY}/manifests/v1"
    assert ask(registry, method, path, accept=EVERY_KIND)[0] == 200
    status, headers, body = ask(registry, method, path, accept=oci.MANIFEST)
    assert (status, headers["Content-Type"]) == (404, "application/json; charset=utf-8")
    assert method == "HEAD" or error_code(body) == "MANIFEST_UNKNOWN"


def test_head_says_what_get_would_send(registry: Registry) -> None:
    digest = registry.push(REPOSITORY, "v1", "good", "v1")
    path = f"/v2/{REPOSITORY}/manifests/v1"
    status, headers, nothing = ask(registry, "HEAD", path, accept=EVERY_KIND)
    whole = ask(registry, "GET", path, accept=EVERY_KIND)[2]
    assert (status, nothing, int(headers["Content-Length"])) == (200, b"", len(whole))
    assert headers["Docker-Content-Digest"] == digest == oci.digest_of(whole)


def test_the_config_and_layers_that_a_manifest_names_are_there(registry: Registry) -> None:
    registry.push(REPOSITORY, "v1", "good", "v1")
    manifest = json.loads(ask(registry, "GET", f"/v2/{REPOSITORY}/manifests/v1", accept=EVERY_KIND)[2])
    for part in (manifest["config"], *manifest["layers"]):
        status, _, blob = ask(registry, "GET", f"/v2/{REPOSITORY}/blobs/{part['digest']}")
        assert (status, oci.digest_of(blob), len(blob)) == (200, part["digest"], part["size"])


def test_tags_are_listed(registry: Registry) -> None:
    for tag in ("v2", "prod", "v1"):
        registry.push(REPOSITORY, tag, "good", "v1")
    body = ask(registry, "GET", f"/v2/{REPOSITORY}/tags/list")[2]
    assert json.loads(body) == {"name": REPOSITORY, "tags": ["prod", "v1", "v2"]}


def test_putting_a_manifest_under_another_tag_moves_that_tag(registry: Registry) -> None:
    old = registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0")
    registry.push(REPOSITORY, "prod", "wrong", "v1.2.0")
    body = ask(registry, "GET", f"/v2/{REPOSITORY}/manifests/v1.1.0", accept=EVERY_KIND)[2]
    path = f"/v2/{REPOSITORY}/manifests/prod"
    status, headers, _ = ask(registry, "PUT", path, body=body, kind=oci.MANIFEST)
    assert (status, headers["Docker-Content-Digest"], registry.digest(REPOSITORY, "prod")) == (201, old, old)


def test_a_manifest_whose_parts_are_missing_or_whose_digest_is_wrong_is_refused(registry: Registry) -> None:
    elsewhere = oci.make("sanjodb/x", "good", "v1", "linux/amd64").manifest
    for name, body, code in (
        ("v1", elsewhere.body, "MANIFEST_BLOB_UNKNOWN"),
        (oci.digest_of(b"x"), elsewhere.body, "DIGEST_INVALID"),
        ("v1", b"{", "MANIFEST_INVALID"),
        ("v1", b'{"config": 3}', "MANIFEST_INVALID"),
    ):
        path = f"/v2/{REPOSITORY}/manifests/{name}"
        status, _, said = ask(registry, "PUT", path, body=body, kind=oci.MANIFEST)
        assert (status, error_code(said)) == (400, code)
    assert ask(registry, "GET", f"/v2/{REPOSITORY}/tags/list")[0] == 404  # nothing of it was kept


def test_a_snapshot_brings_back_what_was_there(registry: Registry) -> None:
    old = registry.push(REPOSITORY, "prod", "good", "v1.1.0")
    before = registry.snapshot()
    for _ in range(2):  # a snapshot can be restored more than once
        registry.push(REPOSITORY, "prod", "crash", "v1.2.0")
        registry.push("sanjodb/x", "prod", "crash", "v1.2.0")
        registry.delete(REPOSITORY, old)
        registry.restore(before)
        assert registry.resolve(f"{REPOSITORY}:prod") == (old, "good", "v1.1.0")
        assert registry.resolve("sanjodb/x:prod") is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 401),
        Fault("status", 429),
        Fault("status", 500),
        Fault("status", 503, {"Retry-After": "1"}),
        Fault("hang", seconds=2),
        Fault("reset"),
        Fault("truncate"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_our_client_cannot_tell_while_a_fault_stands_and_can_after_it(
    registry: Registry, tmp_path: Path, fault: Fault
) -> None:
    digest = registry.push(REPOSITORY, "v1.1.0", "good", "v1.1.0", index=True)  # of an index the body is asked for
    asked: list[tuple[str, str]] = []

    def faults(method: str, path: str) -> Fault | None:
        asked.append((method, path))
        return fault

    registry.faults = faults
    assert look_up(registry, tmp_path).state == "unknown"
    assert asked[0] == ("HEAD", f"/v2/{REPOSITORY}/manifests/v1.1.0")
    registry.faults = None
    assert look_up(registry, tmp_path).digest == digest


def test_many_requests_share_a_connection(registry: Registry) -> None:
    registry.push(REPOSITORY, "v1", "good", "v1")
    connection = http.client.HTTPConnection(urlsplit(registry.url).netloc, timeout=5)
    ports = set()
    for path in (f"/v2/{REPOSITORY}/manifests/v1", "/v2/x/manifests/none", "/nowhere", "/v2/"):
        connection.request("GET", path)
        connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1


def test_closing_ends_kept_and_hanging_connections_and_every_thread() -> None:
    before = threading.active_count()
    registry = Registry(faults=lambda method, path: Fault("hang") if "hang" in path else None)
    with registry:
        kept, hanging = (http.client.HTTPConnection(urlsplit(registry.url).netloc, timeout=5) for _ in range(2))
        kept.request("GET", "/v2/")
        kept.getresponse().read()
        hanging.request("GET", "/v2/hang/tags/list")
    with pytest.raises((http.client.HTTPException, OSError)):
        hanging.getresponse()
    kept.close()
    hanging.close()
    registry.close()
    assert threading.active_count() == before
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{registry.url}/v2/", timeout=1)


def test_a_taken_port_is_refused(registry: Registry) -> None:
    with pytest.raises(OSError):
        Registry(port=int(registry.url.rpartition(":")[2]))
