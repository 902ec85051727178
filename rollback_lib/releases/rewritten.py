"""The target's manifests as `rewrite` has put them into the run directory: what is applied."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

import msgspec

from rollback_lib.core.kube.objects import Object, kind_of, name_of
from rollback_lib.core.manifests import grouping, overlay, splice
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.manifests.manifest_objects import Manifest
from rollback_lib.core.plan import decide
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import LEFT, RESTART, UPDATE, PlannedObject
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Once, RunStore
from rollback_lib.releases.reading import parsed

FOLDER = "manifests/"


def planned(run: RunStore, once: Once, resolution: Resolution) -> list[tuple[SourceObject, Object]]:
    """The objects as ``manifests/`` has them, each once. Raises RefusedError where two files disagree."""
    found: list[tuple[SourceObject, Object]] = []
    by_key: Mapping[tuple[str, str, str], SourceObject] = {(o.file, o.kind, o.name): o for o in resolution.objects}
    for file in resolution.files:
        for document in parsed(once, run.read(FOLDER + file), file).documents:
            key = (file, document.object["kind"], document.object["metadata"]["name"])
            found.append((by_key[key], copy.deepcopy(document.object)))
    namespace = run.get(Request).target_environment.namespace
    return grouping.unique(found, lambda body: decide.never_written(body, namespace))


def manifest(run: RunStore, once: Once, planned: PlannedObject) -> Object:
    """The object exactly as ``manifests/`` has it; read only where one is created, not before every first write."""
    documents = parsed(once, run.read(FOLDER + planned.file), planned.file).documents
    key = (planned.kind, planned.name)
    return next(copy.deepcopy(d.object) for d in documents if (kind_of(d.object), name_of(d.object)) == key)


def keep(run: RunStore, once: Once, drafts: Sequence[Draft]) -> None:
    """The exact objects as they are, the exact patches, and in ``manifests/`` only what is applied or already right."""
    for draft in drafts:
        name = f"before/{kind_of(draft.target).lower()}-{name_of(draft.target)}"
        if draft.change in (UPDATE, RESTART):
            run.write(f"{name}.json", msgspec.json.encode(draft.live))
            run.write(f"{name}.patch.json", msgspec.json.encode(draft.operations))
        if draft.anew is not None:
            run.write(f"{name}.anew.json", msgspec.json.encode(draft.anew))
    for file in dict.fromkeys(d.file for d in drafts):
        mine = [d for d in drafts if d.file == file]
        left = {(kind_of(d.target), name_of(d.target)) for d in mine if d.change == LEFT}
        if len(left) == len(mine):
            run.remove(FOLDER + file)
        elif any(d.merged and d.change != LEFT for d in mine):
            run.write(FOLDER + file, overlay.replaced([d.target for d in mine if d.change != LEFT]))
        elif left:
            run.write(FOLDER + file, _without(parsed(once, run.read(FOLDER + file), file), left))


def _without(manifest: Manifest, left: Collection[tuple[str, str]]) -> bytes:
    return splice.keep_documents(manifest, lambda d: (kind_of(d.object), name_of(d.object)) not in left).data
