"""Images made by hand: bytes that an OCI registry stores. An image's config says how the sandbox's pods behave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES: Final = frozenset({INDEX, DOCKER_LIST})
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_BEHAVIOUR: Final = "sandbox.behaviour"
_TITLE: Final = "org.opencontainers.image.title"
_VERSION: Final = "org.opencontainers.image.version"


class Stored(NamedTuple):
    """A manifest as it was pushed."""

    media_type: str
    body: bytes


class Made(NamedTuple):
    """An image for one platform: its manifest, and the blobs that it names."""

    manifest: Stored
    blobs: tuple[bytes, ...]


class Image(NamedTuple):
    """What a node finds when it pulls: the digest that the name stands for, and what its program does."""

    digest: str
    behaviour: str
    version: str


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make(repository: str, behaviour: str, version: str, platform: str) -> Made:
    """The same bytes every time; other bytes for every repository, behaviour, version and platform."""
    system, _, architecture = platform.partition("/")
    layer = f"{repository} {behaviour} {version}\n".encode()
    # No layer knows its repository; with the title, two repositories do not share a digest.
    labels = {_TITLE: repository, _VERSION: version, _BEHAVIOUR: behaviour}
    config = _json(
        {
            "os": system,
            "architecture": architecture,
            "config": {"Labels": labels, "ExposedPorts": {"8080/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER, "digest": digest_of(layer), "size": len(layer)}],
    }
    return Made(Stored(MANIFEST, _json(manifest)), (layer, config))


def make_index(images: Sequence[tuple[str, Stored]]) -> Stored:
    """An index of (platform, manifest) pairs."""
    entries = []
    for platform, stored in images:
        system, _, architecture = platform.partition("/")
        entries.append(
            {
                "mediaType": stored.media_type,
                "digest": digest_of(stored.body),
                "size": len(stored.body),
                "platform": {"os": system, "architecture": architecture},
            }
        )
    return Stored(INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))


def read(stored: Stored) -> dict[str, Any]:
    """A manifest as data. Raises ValueError for what is no JSON object."""
    found = json.loads(stored.body)
    if not isinstance(found, dict):
        raise ValueError("a manifest is a JSON object")
    return found


def for_platform(index: Mapping[str, Any], platform: str) -> str:
    """The digest that an index has for a platform; empty where it has none."""
    system, _, architecture = platform.partition("/")
    for entry in index.get("manifests") or []:
        has = entry.get("platform") or {}
        if (has.get("os"), has.get("architecture")) == (system, architecture):
            return str(entry["digest"])
    return ""


def named_by(stored: Stored) -> tuple[str, ...]:
    """The digests that a manifest or index needs in its repository."""
    found = read(stored)
    if stored.media_type in INDEXES:
        return tuple(str(entry["digest"]) for entry in found.get("manifests") or [])
    parts = [found.get("config"), *(found.get("layers") or [])]
    return tuple(str(part["digest"]) for part in parts if part)


def program(config: bytes) -> tuple[str, str]:
    """(behaviour, version) of an image's config; an image of somebody else's is good and has no version."""
    labels = (json.loads(config).get("config") or {}).get("Labels") or {}
    return str(labels.get(_BEHAVIOUR) or "good"), str(labels.get(_VERSION) or "")


def split(reference: str) -> tuple[str, str, str, str]:
    """(host, repository, tag, digest) of an image reference; nothing said means docker.io, and the tag latest."""
    rest, _, digest = reference.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # the colon was a port's
        name, tag = rest, ""
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "docker.io", name if slash else f"library/{name}"
    return host, path, tag or ("" if digest else "latest"), digest


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
