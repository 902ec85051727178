"""Where a manifest must hold a mapping, a list or text: everything behind it may then read it without looking twice.

Only what a rollback reads; the server's own rules are asked by a dry run. Null is fine anywhere, as it is for kubectl.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rollback_lib.core import names
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import kind_of

# {…}: a mapping, [x]: a list of x, _ONE: one value (a number may stand where text is meant: it may be replaced)
_ONE: Final = ""
_SHOWN: Final = 100  # characters of what cannot be a name
_META: Final = {"labels": {}, "annotations": {}, "namespace": _ONE}
_SOURCE: Final[dict[str, Any]] = {"configMap": {}, "secret": {}}
_CONTAINER: Final = {
    "name": _ONE, "image": _ONE, "ports": [{}], "volumeMounts": [{}], "command": [_ONE], "args": [_ONE],
    "env": [{"name": _ONE, "valueFrom": {"configMapKeyRef": {}, "secretKeyRef": {}}}],
    "envFrom": [{"configMapRef": {}, "secretRef": {}}],
}  # fmt: skip
_TERM: Final = {"matchExpressions": [{"values": [_ONE]}], "matchFields": [{"values": [_ONE]}]}
_NODES: Final = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]}}
_POD: Final = {
    "metadata": _META,
    "spec": {
        "containers": [_CONTAINER], "initContainers": [_CONTAINER], "imagePullSecrets": [{}],
        "nodeSelector": {}, "tolerations": [{}], "affinity": {"nodeAffinity": _NODES},
        "volumes": [
            {**_SOURCE, "persistentVolumeClaim": {}, "projected": {"sources": [_SOURCE]}, "image": {"reference": _ONE}}
        ],
    },
}  # fmt: skip


def _runs_pods(template: Sequence[str]) -> Mapping[str, Any]:
    *above, last = template
    shape: Mapping[str, Any] = {last: _POD, "selector": {}}
    for key in reversed(above):
        shape = {key: shape}
    return shape


_OF_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    **{k.kind: _runs_pods(k.template) for k in KINDS.values() if k.template},
    "Service": {"spec": {"ports": [{}], "selector": {}}},
    "HorizontalPodAutoscaler": {"spec": {"scaleTargetRef": {}}},
    **{key: {"spec": {}} for key in ("Ingress", "NetworkPolicy", "PersistentVolumeClaim")},
    "ConfigMap": {"data": {}, "binaryData": {}},
    "PodDisruptionBudget": {"spec": {"selector": {"matchLabels": {}}}},
}
_ANY: Final = {"metadata": _META}


def misshapen(obj: Mapping[str, Any]) -> Iterator[str]:
    """What is not of the type that it must have, in words."""
    yield from _unnameable(obj)
    yield from _wrong(obj, {**_ANY, **_OF_KIND.get(kind_of(obj), {})}, "")


def _unnameable(obj: Mapping[str, Any]) -> Iterator[str]:
    """What of an object's identity cannot be one: it goes into addresses, and could lead elsewhere with them."""
    metadata = obj["metadata"]
    if not names.is_label(obj["apiVersion"], names.API_VERSION):
        yield f"apiVersion {_cut(obj['apiVersion'])} is none: such as v1, or apps/v1"
    if not names.is_label(obj["kind"], names.KIND):
        yield f"kind {_cut(obj['kind'])} cannot be a kind"
    for field in ("name", "namespace"):
        value = metadata.get(field)
        if isinstance(value, str) and value and not names.is_object_name(value):
            yield f"metadata.{field} {_cut(value)} cannot be the name of an object"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _wrong(value: Any, shape: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{path} must be a mapping"
            return
        for key, inner in shape.items():
            yield from _wrong(value.get(key), inner, f"{path}.{key}" if path else key)
    elif shape == _ONE:
        if isinstance(value, dict | list):
            yield f"{path} must be text"
    elif not isinstance(value, list):
        yield f"{path} must be a list"
    else:
        for number, item in enumerate(value):
            if item is None:
                yield f"{path}[{number}] is empty"
            yield from _wrong(item, shape[0], f"{path}[{number}]")
