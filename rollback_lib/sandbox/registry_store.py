"""What an OCI registry holds: manifests and blobs by digest, and tags, a repository each. No HTTP here."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rollback_lib.sandbox import oci
from rollback_lib.sandbox.oci import Image, Stored


@dataclass
class Repository:
    """One repository, changed only under the store's lock."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, Stored] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> Repository:
        return Repository(dict(self.tags), dict(self.manifests), dict(self.blobs))


class Snapshot:
    """Everything that a registry holds, to `ImageStore.restore`."""

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        self._repositories = {name: each.copy() for name, each in repositories.items()}

    def copied(self) -> dict[str, Repository]:
        return {name: each.copy() for name, each in self._repositories.items()}


class ImageStore:
    """Images by repository. ``hosts`` are the registry hosts that it stands for."""

    hosts: tuple[str, ...] = ("docker.io", "index.docker.io")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._repositories: dict[str, Repository] = {}

    def push(
        self, repository: str, tag: str, behaviour: str, version: str, *, platforms: Sequence[str] = ("linux/amd64",),
        index: bool = False,
    ) -> str:  # fmt: skip
        """Store an image and return the digest of what the tag names; an empty tag leaves it without one.

        Several platforms, or ``index``, make an index. The same arguments make the same digest.
        """
        with self.lock:
            made = [(platform, oci.make(repository, behaviour, version, platform)) for platform in platforms]
            place = self._repositories.setdefault(repository, Repository())
            for _, image in made:
                place.blobs.update({oci.digest_of(blob): blob for blob in image.blobs})
                place.manifests[oci.digest_of(image.manifest.body)] = image.manifest
            whole = made[0][1].manifest
            if index or len(made) > 1:
                whole = oci.make_index([(platform, image.manifest) for platform, image in made])
            return self._store(repository, tag, whole)

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Give what is there by digest one more tag. KeyError where it is not there."""
        with self.lock:
            place = self._repositories[repository]
            self._store(repository, tag, place.manifests[digest])

    def delete(self, repository: str, digest: str) -> bool:
        """Take a manifest away, with its tags; whether it was there."""
        with self.lock:
            place = self._repositories.get(repository)
            if place is None or place.manifests.pop(digest, None) is None:
                return False
            place.tags = {tag: named for tag, named in place.tags.items() if named != digest}
            return True

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag names; None where there is no such tag."""
        with self.lock:
            place = self._repositories.get(repository)
            return place.tags.get(tag) if place else None

    def resolve(self, reference: str, platform: str = "linux/amd64") -> Image | None:
        """What a node of the platform gets when it pulls a reference; None where it gets nothing.

        A reference with tag and digest goes by the digest.
        """
        host, repository, tag, digest = oci.split(reference)
        if host not in self.hosts:
            return None
        with self.lock:
            place = self._repositories.get(repository)
            named = digest or (place.tags.get(tag) if place else None)
            if place is None or not named or (stored := place.manifests.get(named)) is None:
                return None
            if stored.media_type in oci.INDEXES:
                of_platform = place.manifests.get(oci.for_platform(oci.read(stored), platform))
                if of_platform is None:
                    return None
                stored = of_platform
            config = place.blobs.get(str((oci.read(stored).get("config") or {}).get("digest")))
            return Image(named, *oci.program(config)) if config else None

    def snapshot(self) -> Snapshot:
        with self.lock:
            return Snapshot(self._repositories)

    def restore(self, snapshot: Snapshot) -> None:
        with self.lock:
            self._repositories = snapshot.copied()

    def find(self, repository: str) -> Repository | None:
        """To be read under the lock."""
        return self._repositories.get(repository)

    def put(self, repository: str, name: str, stored: Stored) -> str:
        """A manifest as a client pushes it, by tag or digest. KeyError names what it needs and is not there."""
        with self.lock:
            place = self._repositories.get(repository) or Repository()
            for needed in oci.named_by(stored):
                if needed not in (place.manifests if stored.media_type in oci.INDEXES else place.blobs):
                    raise KeyError(needed)
            return self._store(repository, "" if ":" in name else name, stored)

    def _store(self, repository: str, tag: str, stored: Stored) -> str:
        place = self._repositories.setdefault(repository, Repository())
        digest = oci.digest_of(stored.body)
        place.manifests[digest] = stored
        if tag:
            place.tags[tag] = digest
        return digest
