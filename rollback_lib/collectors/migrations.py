"""The migrations between two releases, read from git: one listing a tree, and only the contents that decide."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.manifests import services
from rollback_lib.core.releases import migrations
from rollback_lib.core.releases.migrations import Migration
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import GitHistory, Ports


class Schema:
    """Trees are listed once, however many releases are compared."""

    def __init__(self, git: GitHistory, settings: Settings, releases: Sequence[ReleaseRef]) -> None:
        self._git, self._settings = git, settings
        self._releases = releases  # newest first
        self._listed: dict[str, Mapping[str, str]] = {}

    def between(self, current: ReleaseRef, target: ReleaseRef, going: Collection[str]) -> tuple[Migration, ...]:
        """What current's migrations have that the target's have not, of the services that are ``going`` back."""
        found = migrations.candidates(
            self._blobs(current.commit), self._blobs(target.commit), self._settings.migrations
        )
        wanted = list(dict.fromkeys(b for c in found for b in c.blobs))
        found = migrations.confirmed(found, self._git.contents(wanted) if wanted else {})
        if not found:
            return ()
        trees = []
        for one in self._span(current, target):
            with contextlib.suppress(RefusedError):  # a shallow clone lacks it: a release is less well known then
                trees.append((one.release, self._blobs(one.commit)))
        return migrations.between(
            found, self._settings.migrations, services={*self._services(target), *going}, going=going, trees=trees
        )

    def any_at(self, release: ReleaseRef) -> bool:
        """Whether the release may have migrations at all."""
        return migrations.any_at(self._blobs(release.commit), self._settings.migrations)

    def _services(self, release: ReleaseRef) -> set[str]:
        """Every service that a path may tell, gone back or not."""
        where = self._settings.manifests
        paths = tuple(path for path in self._blobs(release.commit) if not where.ignores(path))
        found = services.discover(paths, where.paths, where.shared).services
        return {s.name for s in found} | set(self._settings.services.ignore)

    def _span(self, current: ReleaseRef, target: ReleaseRef) -> list[ReleaseRef]:
        """The releases after the target up to current, oldest first, as far as dates tell."""
        commits = [r.commit for r in self._releases]
        if target.commit not in commits or current.commit not in commits:
            return [current]
        newer, older = commits.index(current.commit), commits.index(target.commit)
        return [*reversed(self._releases[newer:older])] or [current]

    def _blobs(self, commit: str) -> Mapping[str, str]:
        if commit not in self._listed:
            self._listed[commit] = self._git.blobs(commit)
        return self._listed[commit]


def unknown_to_target(
    request: Request, resolution: Resolution, images: Images, ports: Ports, warnings: list[str]
) -> Iterable[Refusal]:
    """Migrations that the target does not know. Where nobody knows what runs, a warning: a guess refuses nothing."""
    schema = Schema(ports.git, request.settings, resolution.releases)
    target, current = resolution.target, images.current
    going = {name for name, _ in resolution.services}
    if current.commit:
        for found in schema.between(current, target, going):
            yield migrations.refusal(found, current.release, target.release)
        return
    newest = resolution.releases[0] if resolution.releases else target
    if schema.any_at(newest) or schema.any_at(target):
        found_all = schema.between(newest, target, going)
        warnings.append(migrations.unknown_warning(found_all, target.release, newest.release))
