"""The sandbox's registry may not lie: the real one and the double get the same requests and must answer alike."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator

import pytest

from rollback_lib.sandbox import oci
from rollback_lib.sandbox.registry import Registry
from tests.cluster import images
from tests.cluster.cluster import Cluster

BOTH = f"{oci.MANIFEST}, {oci.INDEX}"
ABSENT = oci.digest_of(b"nothing has this digest")
COMPARED = ("Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Content-Length", "Etag")

Said = tuple[int, dict[str, str | None], object]


def ask(url: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Said:
    request = urllib.request.Request(url + path, method=method, headers=headers or {}, data=body)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, found, data = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, found, data = error.code, error.headers, error.read()
    shown = {name: found[name] for name in COMPARED}
    if status >= 400:
        shown["Content-Length"] = None
    try:
        said = json.loads(data)
    except ValueError:
        return status, shown, data
    if status >= 400:  # the words of a refusal are for people; its code is what a client goes by
        said = said["errors"][0]["code"]
    elif "tags" in said:
        said["tags"].sort()  # the real one has them in no order
    return status, shown, said


@pytest.fixture
def double() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


def test_the_double_answers_as_the_real_registry(cluster: Cluster, double: Registry) -> None:
    repository = f"sanjodb-{uuid.uuid4().hex[:6]}/user-service"
    pushed = [
        (platform, images.push(cluster.registry_url, repository, "", "good", "v1", image_platform=platform))
        for platform in ("linux/amd64", "linux/arm64")
    ]
    digest = pushed[0][1]
    images.tag_as(cluster.registry_url, repository, digest, "v1")
    index = images.push_index(cluster.registry_url, repository, "both", pushed)
    copy(cluster.registry_url, double, repository, [digest, pushed[1][1], index])
    double.tag(repository, "v1", digest)
    double.tag(repository, "both", index)

    base = f"/v2/{repository}"
    manifest = ask(double.url, "GET", f"{base}/manifests/v1", {"Accept": BOTH})[2]
    whole = raw(cluster.registry_url, repository, digest)
    config = manifest["config"]["digest"]  # type: ignore[index]
    wrong = {"Content-Type": oci.MANIFEST}
    requests: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/v2/", {}, None),
        ("GET", "/nowhere", {}, None),
        ("GET", f"{base}/tags/list", {}, None),
        ("GET", "/v2/sanjodb/none/tags/list", {}, None),
        ("GET", f"{base}/blobs/{config}", {}, None),
        ("HEAD", f"{base}/blobs/{config}", {}, None),
        ("GET", f"{base}/blobs/{ABSENT}", {}, None),
    ]
    for name in ("v1", "both", digest, index, "none", ABSENT):
        for accept in (BOTH, oci.MANIFEST, oci.INDEX, "*/*", oci.DOCKER_MANIFEST, f"{oci.INDEX};q=0.5,{oci.MANIFEST}"):
            requests += [(method, f"{base}/manifests/{name}", {"Accept": accept}, None) for method in ("HEAD", "GET")]
    requests += [
        ("PUT", f"{base}/manifests/prod", wrong, b"{"),
        ("PUT", f"{base}/manifests/{ABSENT}", wrong, whole),
        ("PUT", "/v2/sanjodb/none/manifests/prod", wrong, whole),
        ("PUT", f"{base}/manifests/prod", wrong, whole),
        ("HEAD", f"{base}/manifests/prod", {"Accept": BOTH}, None),
        ("GET", f"{base}/tags/list", {}, None),
        ("DELETE", f"{base}/manifests/prod", {}, None),
        ("DELETE", f"{base}/manifests/{ABSENT}", {}, None),
        ("DELETE", f"{base}/manifests/{digest}", {}, None),
        ("HEAD", f"{base}/manifests/{digest}", {"Accept": BOTH}, None),
        ("HEAD", f"{base}/manifests/prod", {"Accept": BOTH}, None),
        ("GET", f"{base}/manifests/both", {"Accept": BOTH}, None),
        ("GET", f"{base}/tags/list", {}, None),
    ]
    differing = [
        f"{method} {path} {headers}\n  real   {real}\n  double {ours}"
        for method, path, headers, body in requests
        if (real := ask(cluster.registry_url, method, path, headers, body))
        != (ours := ask(double.url, method, path, headers, body))
    ]
    assert not differing, "\n".join(differing)


def raw(url: str, repository: str, digest: str, *, blob: bool = False) -> bytes:
    path = f"/v2/{repository}/{'blobs' if blob else 'manifests'}/{digest}"
    with urllib.request.urlopen(urllib.request.Request(url + path, headers={"Accept": BOTH}), timeout=10) as answer:
        data: bytes = answer.read()
    return data


def copy(url: str, double: Registry, repository: str, digests: list[str]) -> None:
    """What the real registry has, byte for byte; its large layers in name only."""
    double.push(repository, "", "good", "v1")  # makes the repository
    place = double.find(repository)
    assert place is not None
    for digest in digests:
        body = raw(url, repository, digest)
        document = json.loads(body)
        if "config" in document:
            config = document["config"]["digest"]
            place.blobs[config] = raw(url, repository, config, blob=True)
            place.blobs.update({layer["digest"]: b"" for layer in document["layers"]})
        double.put(repository, digest, oci.Stored(document["mediaType"], body))
