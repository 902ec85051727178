"""The git repository, read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rollback_lib.core.manifests.tree import Files as Tree
from rollback_lib.core.releases.tags import RepositoryIdentity, Tag


class GitHistory(Protocol):
    """The repository, read only; never the working tree."""

    def identity(self) -> RepositoryIdentity:
        """Which repository it is: where it lies, and where it came from."""
        ...

    def tags(self) -> Sequence[Tag]: ...

    def remote_tags(self, names: Sequence[str]) -> Mapping[str, str] | None:
        """The commits of these tags at the remote, where they are there; None where that cannot be known."""
        ...

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        """`tree` where all of it must be readable; else RefusedError."""
        ...

    def tree(self, commit: str, prefixes: Sequence[str]) -> Tree:
        """The manifests below these folders or at these names, links inside the tree followed."""
        ...

    def whole(self, commit: str) -> Tree:
        """Every file that may be text, at most `core.manifests.tree.MOST_BYTES`; RefusedError where there is more."""
        ...

    def naming(self, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]) -> Mapping[str, set[str]]:
        """Which of the texts stand anywhere in these files of each commit, alone or in a longer one. One question."""
        ...

    def list_paths(self, commit: str) -> Sequence[str]: ...

    def blobs(self, commit: str) -> Mapping[str, str]:
        """All files of a commit, each with the id of its content: equal ids, equal bytes. One question."""
        ...

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        """The content of each id that `blobs` gave."""
        ...


class Checkout(GitHistory, Protocol):
    """A clone with something checked out: HEAD's tree, still never the working tree."""

    def head_commit(self) -> str:
        """The commit that is checked out; empty in a repository without commits."""
        ...

    def read(self, commit: str, path: str) -> bytes: ...
