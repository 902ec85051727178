"""What a pod template needs from the namespace: a dry run accepts a missing Secret, ConfigMap or ServiceAccount."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import containers


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
