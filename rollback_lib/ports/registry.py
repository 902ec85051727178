"""Image registries: looking, and the one write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from rollback_lib.core.images.registry_answers import Answer


class Registry(Protocol):
    """Image registries, read only."""

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = ..., configs: bool = False
    ) -> Mapping[str, Answer]:
        """An answer for each reference. ``configs``: with the config digests, at the price of one GET a manifest, and
        with the platform of plain images, at that of one more."""
        ...

    def list_tags(self, repository: str) -> Collection[str] | None:
        """All tags of a repository; None where it does not list them, or not all of them."""
        ...


class RegistryWriter(Protocol):
    """The one write to a registry. Nothing is pulled, and no image is pushed that the repository has not."""

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        """Point ``repository:tag`` at the manifest or index that the repository has as ``digest``.

        Does nothing where it points there already. ``was``: the digest that the tag must name before (empty: none);
        None: whatever it names. Raises StaleError where it names another, RefusedError where the tag is as it was,
        FailedError where it is not, or nobody can tell.
        """
        ...
