"""Where manifests are: the section that an environment may have of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from rollback_lib.core.errors import Problem
from rollback_lib.core.settings.places import as_glob, path_rules
from rollback_lib.core.settings.types import EnvName, Section


class Manifests(Section, frozen=True, kw_only=True):
    """Where manifests are, relative to the repository: a folder or file, with ``{service}`` where services differ.

    Of several, the first that fits a file says whose it is. ``{environment}`` stands for the environment's name.
    ``ignore``: files there that are no manifests of ours, as globs: ``*`` stays within a folder, ``**`` spans folders.
    They count for every release as if they were not there.
    """

    path: str | tuple[str, ...]
    shared: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    substitute: Mapping[EnvName, str] = {}

    def rules(self) -> Iterator[Problem]:
        if not self.paths:
            yield Problem("no path at all", key="path", fix='a folder or file, such as "k8s/{service}"')
        for i, path in enumerate(self.paths):
            key = "path" if isinstance(self.path, str) else f"path[{i}]"
            yield from path_rules(path, key, ("service", "environment"))
            if path in self.paths[:i]:
                yield Problem(f"{path!r} is named already", key=key, fix="name it once")
        for i, path in enumerate(self.shared):
            yield from path_rules(path, f"shared[{i}]", ("environment",))
        for i, pattern in enumerate(self.ignore):
            yield from path_rules(pattern, f"ignore[{i}]", ("environment",))

    @property
    def paths(self) -> tuple[str, ...]:
        """``path``, as a list also where it is one."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def where(self) -> str:
        """The paths, for people."""
        return ", ".join(self.paths)

    def of(self, environment: str) -> Manifests:
        """As they are for an environment."""
        lists = (self.paths, self.shared, self.ignore)
        path, shared, ignore = (tuple(p.replace("{environment}", environment) for p in paths) for paths in lists)
        return msgspec.structs.replace(
            self, path=path[0] if isinstance(self.path, str) else path, shared=shared, ignore=ignore
        )

    def ignores(self, path: str) -> bool:
        """Whether a file of the repository is left out."""
        return any(as_glob(pattern).fullmatch(path) for pattern in self.ignore)
