"""Telling services apart by their workloads, where the folder layout does not, and one object from its double."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import Refusal, RefusedError, UsageError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import WORKLOADS
from rollback_lib.core.kube.objects import Object, named, ref_of, template
from rollback_lib.core.manifests.manifest_objects import Document
from rollback_lib.core.reasons import Reason


class SourceObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of the target's manifests. Names only: values may be secret."""

    service: str
    wave: int
    file: str
    document: int
    part: int = -1
    kind: str
    name: str
    api_version: str
    namespace: str = ""  # the one that it names, where that is not the environment's
    line: int = 0

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name, self.namespace)

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}" if self.line else self.file


SHARED: Final = "(shared)"  # no service can be called so


def source(document: Document, service: str, wave: int, home: str) -> SourceObject:
    """One object of a service's files. ``home``: the environment's namespace."""
    ref = ref_of(document.object, home)
    return SourceObject(
        service=service, wave=wave, file=document.file, document=document.index, part=document.part, kind=ref.kind,
        name=ref.name, api_version=str(document.object["apiVersion"]), namespace=ref.namespace, line=document.line,
    )  # fmt: skip


def is_shared(service: str) -> bool:
    """Whether this is what no service has for itself."""
    return service == SHARED


def by_workload(
    objects: Sequence[SourceObject],
    read: Mapping[str, Sequence[Document]],
    order: Sequence[Sequence[str]],
    ignore: Sequence[str],
    only: Sequence[str],
) -> list[SourceObject]:
    """The objects of a folder without services in its name, each given to a workload's service.

    A workload is a service of its own name. Another object belongs to the workload of the same name, or to the only
    one that a Service's selector, an HPA's target or a PDB's selector matches; else it is shared, and applied first.
    """
    named = {o.service for o in objects} - {"", SHARED}  # by their paths
    waves = {name: number for number, names in enumerate(order, start=1) for name in names}
    bodies = {(o.file, o.document, o.part): _body(read, o) for o in objects}
    workloads = {o.name: bodies[o.file, o.document, o.part] for o in objects if _is_workload(o)}
    whose = {o.name: o.service or o.name for o in objects if _is_workload(o)}
    known = sorted({*named, *whose.values()} - {SHARED})
    unknown = [name for name in only if name not in known]
    if unknown:
        raise UsageError(f"this release has no service {unknown[0]!r}; there are {', '.join(known)}")
    grouped = []
    for o in objects:
        service = o.service or _owner(o, bodies[o.file, o.document, o.part], workloads)
        service = o.service or whose.get(service, service)
        if service in ignore or (only and service != SHARED and service not in only):
            continue
        wave = 0 if service == SHARED else waves.get(service, len(order) + 1)
        grouped.append(msgspec.structs.replace(o, service=service, wave=wave))
    return grouped


def _is_workload(o: SourceObject) -> bool:
    return o.ref.type in WORKLOADS and not o.namespace


def _body(read: Mapping[str, Sequence[Document]], o: SourceObject) -> Object:
    return next(d.object for d in read[o.file] if (d.index, d.part) == (o.document, o.part))


def _owner(o: SourceObject, body: Object, workloads: Mapping[str, Object]) -> str:
    if _is_workload(o) or o.name in workloads:
        return o.name
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        return SHARED
    target = named(spec.get("scaleTargetRef") or {}) if o.ref.type == "HorizontalPodAutoscaler" else None
    if target and target.type in WORKLOADS and target.name in workloads:
        return target.name
    selector = spec.get("selector") or {}
    selector = selector.get("matchLabels") if o.ref.type == "PodDisruptionBudget" else selector
    if isinstance(selector, Mapping) and selector:
        matching = [name for name, w in workloads.items() if _selects(selector, w)]
        if len(matching) == 1:
            return matching[0]
    return SHARED


def _selects(selector: Mapping[str, Any], workload: Object) -> bool:
    labels = ((template(workload) or {}).get("metadata") or {}).get("labels") or {}
    return all(labels.get(k) == v for k, v in selector.items())


def leave_out(file: str) -> str:
    """What lets a release through that one of its files holds up."""
    return f'If nothing of this file is to be applied: `manifests: {{ignore: ["{file}"]}}` in rollback.yaml.'


def unique(
    documents: Sequence[tuple[SourceObject, Object]], is_left: Callable[[Object], object]
) -> list[tuple[SourceObject, Object]]:
    """Each object once. The same object twice is fine when it says the same; else RefusedError names both places.

    ``is_left``: whether one is not written anyway.
    """
    seen: dict[ObjectRef, tuple[SourceObject, Object]] = {}
    refused = []
    for source, body in documents:
        first = seen.setdefault(source.ref, (source, body))
        if first[1] != body and not is_left(body):
            same_file = first[0].file == source.file
            refused.append(
                Refusal(
                    f"{source.ref} stands in {first[0].file} and {source.file}, and they differ.",
                    fix="Take one of them out." if same_file else leave_out(source.file),
                    reason=Reason.FILES_DIFFER,
                    subject=str(source.ref),
                    facts=(first[0].file, source.file),
                )
            )
    if refused:
        raise RefusedError(*refused)
    return list(seen.values())
