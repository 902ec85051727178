"""The variables of a container, and what it needs that is not there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store


class MissingError(Exception):
    """A ConfigMap, a Secret or a key of it is not there."""


def variables(store: Store, pod: Object, container: Mapping[str, Any]) -> dict[str, str]:
    """The environment as the kubelet makes it when the container starts. Raises MissingError in its words."""
    space = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source:
                data = _data(store, kind, space, source[field])
                found.update({prefix + k: v for k, v in (data or {}).items()})
    for variable in container.get("env") or []:
        value = variable.get("value")
        origin = variable.get("valueFrom") or {}
        for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if field in origin:
                value = _key(store, kind, space, origin[field])
        if "fieldRef" in origin:
            value = _field(pod, origin["fieldRef"]["fieldPath"])
        if value is not None:
            found[variable["name"]] = value
    return found


def missing_volume(store: Store, pod: Object) -> str:
    """Why a volume of the pod cannot be mounted; empty where all can."""
    space = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or []:
        for kind, field, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            source = volume.get(field)
            if source is None or source.get("optional"):
                continue
            if store.find(by_kind(kind), space, source.get(name, "")) is None:
                return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {_not_found(kind, source.get(name))}'
        claim = volume.get("persistentVolumeClaim")
        if claim and store.find(by_kind("PersistentVolumeClaim"), space, claim.get("claimName", "")) is None:
            return f'persistentvolumeclaim "{claim.get("claimName")}" not found'
    return ""


def _not_found(kind: str, name: Any) -> str:
    return f'{kind.lower()} "{name}" not found'


def _data(store: Store, kind: str, space: str, reference: Mapping[str, Any]) -> dict[str, str] | None:
    found = store.find(by_kind(kind), space, reference.get("name", ""))
    if found is None:
        if reference.get("optional"):
            return None
        raise MissingError(_not_found(kind, reference.get("name")))
    data: dict[str, str] = found.get("data") or {}
    if kind == "Secret":
        return {k: base64.b64decode(v).decode(errors="replace") for k, v in data.items()}
    return data


def _key(store: Store, kind: str, space: str, reference: Mapping[str, Any]) -> str | None:
    data = _data(store, kind, space, reference)
    key = reference.get("key", "")
    if data is None:
        return None
    if key not in data:
        if reference.get("optional"):
            return None
        raise MissingError(f"couldn't find key {key} in {kind} {space}/{reference.get('name')}")
    return data[key]


def _field(pod: Object, path: str) -> str:
    node: Any = pod
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return "" if node is None else str(node)
