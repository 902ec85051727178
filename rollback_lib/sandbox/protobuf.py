"""The few bodies that kubectl sends as protobuf: what `create configmap|secret|namespace` and `auth can-i` make.

Field numbers are those of Kubernetes' published .proto files, which never change.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from rollback_lib.sandbox.schema import Object
from rollback_lib.sandbox.status import ApiError

MAGIC: Final = b"k8s\0"
# A type is a dict of field number to (name, type): "string", "bool", "bytes", "map", "map bytes" or another dict;
# with "*" in front for a list.
_META: Final = {
    1: ("name", "string"), 2: ("generateName", "string"), 3: ("namespace", "string"), 11: ("labels", "map"),
    12: ("annotations", "map"),
}  # fmt: skip
_ATTRIBUTES: Final = {
    1: ("namespace", "string"), 2: ("verb", "string"), 3: ("group", "string"), 4: ("version", "string"),
    5: ("resource", "string"), 6: ("subresource", "string"), 7: ("name", "string"),
}  # fmt: skip
_TYPES: Final[dict[str, dict[int, tuple[str, Any]]]] = {
    "ConfigMap": {1: ("metadata", _META), 2: ("data", "map"), 3: ("binaryData", "map bytes"), 4: ("immutable", "bool")},
    "Secret": {1: ("metadata", _META), 2: ("data", "map bytes"), 3: ("type", "string"), 4: ("stringData", "map"),
               5: ("immutable", "bool")},
    "Namespace": {1: ("metadata", _META)},
    "ServiceAccount": {1: ("metadata", _META)},
    "SelfSubjectAccessReview": {
        1: ("metadata", _META),
        2: ("spec", {1: ("resourceAttributes", _ATTRIBUTES), 2: ("nonResourceAttributes", {1: ("path", "string"), 2: (
            "verb", "string")})}),
    },
    "SelfSubjectRulesReview": {1: ("metadata", _META), 2: ("spec", {1: ("namespace", "string")})},
}  # fmt: skip


def decoded(body: bytes) -> Object:
    """The object. Raises what a client is told where its kind is not one of these."""
    if not body.startswith(MAGIC):
        raise ApiError(400, "the body is not protobuf as Kubernetes sends it")
    envelope = dict(_fields(body[len(MAGIC) :]))
    kinds = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
    version, kind = kinds.get(1, ""), kinds.get(2, "")
    if kind not in _TYPES:
        raise ApiError(
            415,
            f"this is rollback's sandbox, and it reads a {kind or 'body'} only as JSON; write it as a manifest, and "
            f"`kubectl apply -f` that",
            reason="UnsupportedMediaType",
        )
    return {"apiVersion": version, "kind": kind, **_read(envelope.get(2, b""), _TYPES[kind])}


def _read(data: bytes, known: dict[int, tuple[str, Any]]) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        if number not in known:
            continue
        name, kind = known[number]
        if isinstance(kind, dict):
            found[name] = _read(value, kind)
        elif kind.startswith("map"):
            pair = dict(_fields(value))
            text = base64.b64encode(pair.get(2, b"")) if kind == "map bytes" else pair.get(2, b"")
            found.setdefault(name, {})[pair.get(1, b"").decode()] = text.decode()
        elif kind == "bool":
            found[name] = value != b"\0"
        elif value:
            found[name] = value.decode()
    return found


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each field; a number is given as one byte that tells zero from other."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(data, at)
            yield key >> 3, b"\1" if value else b"\0"
        elif kind == 2:
            size, at = _number(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ApiError(400, "the body is not protobuf as Kubernetes sends it")


def _number(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, at
        shift += 7
    raise ApiError(400, "the body ends in the middle of a number")
