"""What a pod template needs from the namespace: a dry run accepts a missing Secret, ConfigMap or ServiceAccount."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import containers


class KeyReference(msgspec.Struct, frozen=True, order=True):
    """One key of an object that a template names, and where: a variable, or an item of a volume."""

    of: ObjectRef
    key: str
    where: str


def keys(template: Mapping[str, Any] | None) -> tuple[KeyReference, ...]:
    """The keys of ConfigMaps and Secrets without which the pod does not start, in order."""
    return tuple(dict.fromkeys(_keys(template or {})))


def _keys(template: Mapping[str, Any]) -> Iterable[KeyReference]:
    def of(kind: str, source: Any, named: str, items: Iterable[Any], where: str) -> Iterable[KeyReference]:
        if isinstance(source, Mapping) and source.get(named) and not source.get("optional"):
            for item in items:
                if key := item.get("key"):
                    yield KeyReference(ObjectRef(kind, str(source[named])), str(key), where)

    for _, container in containers(template):
        for variable in container.get("env") or []:
            where = f"variable {variable.get('name')} of container {container.get('name')}"
            for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                source = (variable.get("valueFrom") or {}).get(field)
                yield from of(kind, source, "name", [source or {}], where)
    for volume in (template.get("spec") or {}).get("volumes") or []:
        where = f"volume {volume.get('name')}"
        secret = volume.get("secret") or {}
        yield from of("Secret", secret, "secretName", secret.get("items") or [], where)
        for place in (volume, *((volume.get("projected") or {}).get("sources") or [])):
            for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
                source = place.get(field) or {}
                yield from of(kind, source, "name", source.get("items") or [], where)


def references(template: Mapping[str, Any] | None) -> frozenset[ObjectRef]:
    """The ConfigMaps, Secrets, claims and the ServiceAccount without which the pod does not start."""
    return frozenset(ObjectRef(kind, name) for kind, name, optional in _named(template or {}) if name and not optional)


def uses(template: Mapping[str, Any] | None, ref: ObjectRef) -> bool:
    """Whether the template names this object, optionally or not."""
    return any(ObjectRef(kind, name) == ref for kind, name, _ in _named(template or {}))


def _named(template: Mapping[str, Any]) -> Iterable[tuple[str, str, bool]]:
    spec = template.get("spec") or {}
    yield "ServiceAccount", str(spec.get("serviceAccountName") or ""), spec.get("serviceAccountName") == "default"
    for secret in spec.get("imagePullSecrets") or []:
        yield "Secret", str(secret.get("name") or ""), True  # the kubelet goes on without it
    for _, container in containers(template):
        for source in container.get("envFrom") or []:
            yield from _source("ConfigMap", source.get("configMapRef"))
            yield from _source("Secret", source.get("secretRef"))
        for variable in container.get("env") or []:
            value = variable.get("valueFrom") or {}
            yield from _source("ConfigMap", value.get("configMapKeyRef"))
            yield from _source("Secret", value.get("secretKeyRef"))
    for volume in spec.get("volumes") or []:
        yield from _source("ConfigMap", volume.get("configMap"))
        secret = volume.get("secret") or {}
        yield "Secret", str(secret.get("secretName") or ""), bool(secret.get("optional"))
        yield "PersistentVolumeClaim", str((volume.get("persistentVolumeClaim") or {}).get("claimName") or ""), False
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _source("ConfigMap", source.get("configMap"))
            yield from _source("Secret", source.get("secret"))


def _source(kind: str, source: Any) -> Iterable[tuple[str, str, bool]]:
    if isinstance(source, Mapping):
        yield kind, str(source.get("name") or ""), bool(source.get("optional"))
