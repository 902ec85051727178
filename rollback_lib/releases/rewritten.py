"""The target's manifests as `rewrite` has put them into the run directory: what is applied."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

import msgspec

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object, ref_of
from rollback_lib.core.manifests import grouping, overlay, splice
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.manifests.manifest_objects import Manifest
from rollback_lib.core.plan import decide, undo
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import LEFT, RESTART, UPDATE, PlannedObject
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Once, RunStore
from rollback_lib.releases.reading import parsed

FOLDER = "manifests/"


def planned(run: RunStore, once: Once, resolution: Resolution) -> list[tuple[SourceObject, Object]]:
    """The objects as ``manifests/`` has them, each once. Raises RefusedError where two files disagree."""
    found: list[tuple[SourceObject, Object]] = []
    by_key, home = {(o.file, o.ref): o for o in resolution.objects}, _home(run)
    for file in resolution.files:
        for document in parsed(once, run.read(FOLDER + file), file).documents:
            found.append((by_key[file, ref_of(document.object, home)], copy.deepcopy(document.object)))
    return grouping.unique(found, lambda body: decide.never_written(body, home))


def manifest(run: RunStore, once: Once, planned: PlannedObject) -> Object:
    """The object exactly as ``manifests/`` has it; read only where one is created, not before every first write."""
    documents = parsed(once, run.read(FOLDER + planned.file), planned.file).documents
    key, home = planned.ref, _home(run)
    return next(copy.deepcopy(d.object) for d in documents if ref_of(d.object, home) == key)


def keep(run: RunStore, once: Once, drafts: Sequence[Draft]) -> None:
    """The exact objects as they are, the exact patches, and in ``manifests/`` only what is applied or already right."""
    for draft in drafts:
        name = undo.kept(draft.ref)
        if draft.change in (UPDATE, RESTART):
            run.write(f"{name}.json", msgspec.json.encode(draft.live))
            run.write(f"{name}.patch.json", msgspec.json.encode(draft.operations))
        if draft.anew is not None:
            run.write(f"{name}.anew.json", msgspec.json.encode(draft.anew))
    for file in dict.fromkeys(d.file for d in drafts):
        mine = [d for d in drafts if d.file == file]
        left = {d.ref for d in mine if d.change == LEFT}
        if len(left) == len(mine):
            run.remove(FOLDER + file)
        elif any(d.merged and d.change != LEFT for d in mine):
            run.write(FOLDER + file, overlay.replaced([d.target for d in mine if d.change != LEFT]))
        elif left:
            run.write(FOLDER + file, _without(parsed(once, run.read(FOLDER + file), file), left, _home(run)))


def _without(manifest: Manifest, left: Collection[ObjectRef], home: str) -> bytes:
    return splice.keep_documents(manifest, lambda d: ref_of(d.object, home) not in left).data


def _home(run: RunStore) -> str:
    return run.get(Request).target_environment.namespace
