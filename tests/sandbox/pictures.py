"""A registry of behaviours, for tests that need no registry."""

import hashlib

from rollback_lib.sandbox.images import Image


class Pictures:
    """Images by name. `push` gives a tag another image, as a build does."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def push(self, name: str, behaviour: str, version: str, *, tag: str = "") -> str:
        digest = "sha256:" + hashlib.sha256(f"{name}/{behaviour}/{version}".encode()).hexdigest()
        image = Image(digest, version, behaviour)
        reference = f"sanjodb/{name}:{tag or version}"
        self._images[f"docker.io/{reference}"] = image
        self._images[f"docker.io/sanjodb/{name}@{digest}"] = image
        return reference

    def put(self, name: str, image: Image) -> None:
        self._images[name] = image

    def clear(self) -> None:
        self._images.clear()

    def remove(self, reference: str) -> None:
        del self._images[f"docker.io/{reference}"]

    def resolve(self, name: str) -> Image | None:
        return self._images.get(name)
