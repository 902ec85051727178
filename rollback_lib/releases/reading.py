"""A release as it is in git: read and parsed once a process, however many ask; its placeholders filled in."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.images.ladder import Wanted
from rollback_lib.core.images.nodes import UNSEEN, Nodes
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.marks import last_applied
from rollback_lib.core.kube.objects import Object, kind_of, named_images
from rollback_lib.core.manifests import inventory, manifest_objects, placeholders, services
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.manifests.manifest_objects import Manifest
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.releases import left_out as beside
from rollback_lib.core.releases.left_out import LeftOut
from rollback_lib.core.releases.live import applied_shape
from rollback_lib.core.releases.tags import ReleaseRef, moment
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.core.settings.model import Settings
from rollback_lib.ports import GitHistory, Once, Ports


@dataclass(frozen=True)
class Release:
    """The manifests of a commit. ``held``: all below the roots that settings name, ignored services included, but
    not the files of `manifests.ignore`.

    What it gives is shared by everybody who asks, and nobody may change it.
    """

    commit: str
    held: Files
    settings: Settings
    _once: Once

    def manifest(self, file: str) -> Manifest:
        """One file. Raises RefusedError where it does not read."""
        data, values = self.held.texts[file], self.settings.manifests.substitute
        filled = ("filled", file, data, tuple(sorted(values.items())))
        return self._once.of(filled, lambda: placeholders.substitute(parsed(self._once, data, file), values))

    def contents(self, home: str, *, ignored: bool = False) -> Contents:
        """Its objects, for the environment whose namespace is ``home``. ``ignored``: with what settings leave out."""
        return inventory.contents(self.held, self.settings, self.manifest, home, ignored=ignored)


def release(ports: Ports, settings: Settings, commit: str) -> Release:
    """What a commit holds. Raises RefusedError where this clone lacks it."""
    roots = services.roots(settings.manifests.paths, settings.manifests.shared)
    held = ports.once.of(("tree", commit, roots), lambda: ports.git.tree(commit, roots))
    return Release(commit, held.without(settings.manifests.ignores), settings, ports.once)


def left_out(ports: Ports, settings: Settings, commit: str, planned: Collection[str]) -> LeftOut:
    """What a commit has beyond the paths of the settings. ``planned``: workloads that a plan holds, as Kind/name."""
    return beside.find(texts_that_matter(ports.git, commit), settings, planned)


def texts_that_matter(git: GitHistory, commit: str) -> dict[str, bytes]:
    """The files of a commit that may hold what is deployed, wherever they are."""
    blobs = {path: blob for path, blob in git.blobs(commit).items() if beside.may_matter(path)}
    held = git.contents(list(dict.fromkeys(blobs.values())))
    return {path: held[blob] for path, blob in blobs.items()}


def contents(ports: Ports, settings: Settings, home: str, commit: str, *, ignored: bool = False) -> Contents:
    """The objects of a commit; none where the commit is not known (empty)."""
    return release(ports, settings, commit).contents(home, ignored=ignored) if commit else Contents()


def parsed(once: Once, data: bytes, file: str) -> Manifest:
    """A file of these bytes. Raises RefusedError where it does not read."""
    return once.of(("file", file, data), lambda: manifest_objects.parse(data, file))


def known(once: Once, manifest: Manifest) -> None:
    """Keep what was parsed elsewhere: whoever has these bytes need not."""
    once.of(("file", manifest.file, manifest.data), lambda: manifest)


def containers_of(request: Request, ports: Ports, resolution: Resolution, nodes: Nodes = UNSEEN) -> list[Wanted]:
    """Every image of the target, as the release's manifests have it once its placeholders are filled in."""
    found: dict[ContainerRef, Wanted] = {}
    for service, body in objects_of(request, ports, resolution):
        here = nodes.of(body)
        for ref, image in named_images(body):
            found[ref] = Wanted(
                service, ref, image.text, image.pull_policy,
                resolution.recorded.image(ref) if resolution.recorded else None, nodes=here,
            )  # fmt: skip
    return list(found.values())


def objects_of(request: Request, ports: Ports, resolution: Resolution) -> Iterator[tuple[str, Object]]:
    """(its service, the object) of what the target may write, with its placeholders filled in. Jobs are never run."""
    target = release(ports, request.settings, resolution.target.commit)
    # what is of another namespace is never written, so no image of it is needed
    whose = {(o.file, o.document, o.part): o.service for o in resolution.objects if not o.namespace}
    for file in resolution.files:
        for document in target.manifest(file).documents:
            service = whose.get((file, document.index, document.part))
            if service is not None and kind_of(document.object) != "Job":
                yield service, document.object


def line_of(
    request: Request, resolution: Resolution, ports: Ports, file: str, ref: ObjectRef, path: Sequence[str | int]
) -> int:
    """The line of a value in a file of the target as git has it; 0 where it is not there."""
    with contextlib.suppress(KeyError, RefusedError):
        target = release(ports, request.settings, resolution.target.commit)
        return manifest_objects.line_of(target.manifest(file), ref, path, request.target_environment.namespace)
    return 0


def of_later(
    request: Request, resolution: Resolution, current: ReleaseRef, ports: Ports, ref: ObjectRef, found: Object
) -> bool:
    """Whether what was last applied to an object is, whole, the file of a release after the one that runs.

    A deploy whose workloads are unchanged starts no pod: images go on telling the release before it. Of an earlier
    release it says nothing: a file may have held the value that a tool fills in since.
    """
    home = request.target_environment.namespace
    if (given := last_applied(found)) is None:
        return False
    shape = applied_shape(given)
    for later in (r for r in resolution.releases if moment(r.date) > moment(current.date)):
        with contextlib.suppress(RefusedError):
            body = contents(ports, request.settings, home, later.commit).bodies().get(ref)
            if body is not None and applied_shape(body) == shape:
                return True
    return False
