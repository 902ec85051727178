"""Everything that a release holds, and which service each object belongs to: for comparing two releases.

Read as `resolve` reads the target, so that both are told apart by the same rules; but a file that does not read is
passed over and said, since a failed release's own files may be what is broken about it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.manifests import grouping, services
from rollback_lib.core.manifests.manifest_objects import Document, Manifest
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.settings.model import Settings


class Contents(msgspec.Struct, frozen=True):
    """The objects by what they are called, each with its service; ``unread``: files that did not read.

    ``beyond``: places that this repository does not hold (a submodule, Git LFS, a link out of it), and why in words.
    """

    objects: Mapping[ObjectRef, tuple[str, Object]] = {}
    unread: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()

    def bodies(self, of: Collection[str] = ()) -> dict[ObjectRef, Object]:
        """The objects of these services and the shared ones; of all without a name."""
        wanted = {*of, grouping.SHARED}
        return {key: body for key, (service, body) in self.objects.items() if not of or service in wanted}

    def lacks(self, key: ObjectRef) -> bool:
        """Whether the release is known not to have this object: never where a file did not read, or none did."""
        return bool(self.objects) and not self.unread and not self.beyond and key not in self.objects


def contents(
    held: Files, settings: Settings, read_file: Callable[[str], Manifest], home: str, *, ignored: bool = False
) -> Contents:
    """What is in the files of a release. ``home``: the environment's namespace; ``ignored``: with the services that
    settings leave out.

    ``read_file`` gives one of the files, its placeholders filled in; it raises RefusedError for one that does not read.
    """
    texts, paths, ignore = held.texts, settings.manifests, () if ignored else settings.services.ignore
    beyond = tuple(f"{u.path} {u.why}" for u in held.unread if services.concerns(u, paths.paths, paths.shared, ignore))
    found = services.once(services.discover(tuple(texts), paths.paths, paths.shared, (), ignore, ()), held.links)
    whose = {file: service.name for service in found.services for file in service.files}
    whose |= dict.fromkeys(found.shared, grouping.SHARED)
    read: dict[str, Sequence[Document]] = {}
    for file in whose:
        try:
            read[file] = read_file(file).documents
        except RefusedError:
            continue
    sources = [grouping.source(d, whose[file], 0, home) for file, documents in read.items() for d in documents]
    if any(not s.service for s in sources):
        sources = grouping.by_workload(sources, read, (), ignore, ())
    bodies = {(file, d.index, d.part): d.object for file, documents in read.items() for d in documents}
    objects = {s.ref: (s.service, bodies[s.file, s.document, s.part]) for s in sources}
    return Contents(objects, tuple(file for file in whose if file not in read), beyond)
