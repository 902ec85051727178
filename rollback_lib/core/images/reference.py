"""What an image is called: host, path, tag and digest, with Docker's own rules for the parts that are left out."""

from __future__ import annotations

import re
from typing import Final

import msgspec

DOCKER_HUB: Final = "docker.io"

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ALLOWED = re.compile(r"[A-Za-z0-9._:/@\[\]-]+")


class ImageReference(msgspec.Struct, frozen=True):
    """An image's name in full: ``zipkin`` has the host ``docker.io`` and the path ``library/zipkin``.

    ``repository`` is the name as people write it, without tag and digest. ``tag`` and ``digest`` are empty where the
    text has none; the meaning of neither (``latest``) is added only where the registry is asked.
    """

    host: str
    path: str
    tag: str = ""
    digest: str = ""
    repository: str = ""

    @property
    def name(self) -> str:
        """Host and path: equal for two texts that mean the same repository."""
        return f"{self.host}/{self.path}"

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest if there is one, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def pinned(self, digest: str) -> str:
        """``repository@digest``, which means the same bits for ever."""
        return f"{self.repository}@{digest}"


def parse(text: str) -> ImageReference:
    """Read an image reference; ValueError, with a sentence for a person, for everything that is none.

    The grammar is that of ``docker_image``. Refused beyond it: a trailing newline (its patterns end in ``$``) and a
    host in capitals without a dot or a port (``REGISTRY/x``), which is a placeholder that nobody filled in.
    """
    if not text:
        raise ValueError("an image reference is empty")
    if not _ALLOWED.fullmatch(text):
        raise ValueError(f"{text!r} is not an image reference: it has characters that no image name can have")
    from docker_image.reference import Reference  # 45 ms

    try:
        found = Reference.parse_normalized_named(text)
    except Exception as e:  # the library raises several unrelated classes, and some of Python's own
        raise ValueError(f"{text!r} is not an image reference: {_reason(text, e)}") from None
    host, path = str(found.domain()), str(found.path())
    tag, digest = str(found["tag"] or ""), str(found["digest"] or "")
    if not host or not path:
        raise ValueError(f"{text!r} is not an image reference: it names no repository")
    if host != host.lower() and not re.search(r"[.:]", host):
        raise ValueError(f"{text!r} is not an image reference: {host} is no registry (an unfilled placeholder?)")
    if digest and not is_digest(digest):
        raise ValueError(f"{text!r} is not an image reference: {digest} is no sha256 or sha512 digest")
    written = text.removesuffix(f"@{digest}") if digest else text
    return ImageReference(host, path, tag, digest, written.removesuffix(f":{tag}") if tag else written)


def parsed(text: str) -> ImageReference | None:
    """The reference that the text is; None where it is none."""
    try:
        return parse(text)
    except ValueError:
        return None


def _reason(text: str, problem: Exception) -> str:
    if "lowercase" in str(problem):
        return "a repository name has no capitals (an unfilled placeholder?)"
    if "64-byte" in str(problem):
        return "it is a bare hash, without a repository"
    return "it does not read as [registry/]name[:tag][@digest]"


def is_registry_tag(text: str) -> bool:
    """Whether a registry can hold a tag of this name; git allows more (``v1.4.0+a3``, ``release/1.4``)."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether this is a whole digest, as registries write them (sha256 or sha512, lower case)."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(image_id: str) -> str:
    """The digest in an image reference or in a container's ``imageID``; empty where there is none.

    Runtimes write ``docker.io/x@sha256:…``, ``docker-pullable://x@sha256:…``, ``docker://sha256:…`` or ``sha256:…``.
    """
    tail = image_id.rpartition("@")[2].rpartition("//")[2]
    return tail if is_digest(tail) else ""


def repository_of(image: str) -> str:
    """The repository as written, without tag and digest; no check that it is a name."""
    head, slash, last = image.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def tag_of(image: str) -> str:
    """The tag as written, ``latest`` where there is none, empty where a digest says which image it is."""
    name, at, _ = image.partition("@")
    return "" if at else name.rpartition("/")[2].partition(":")[2] or "latest"
