"""Reading an object as its kind: unknown fields are found and dropped, wrong types are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from rollback_lib.sandbox.schema import SCALARS, Object, Resource, Shape, shape_of, struct
from rollback_lib.sandbox.status import ApiError

_GO = {"integer": "int32", "boolean": "bool", "string": "string", "number": "float64"}


class WrongTypeError(ApiError):
    """A value of another type than the field's."""

    def __init__(self, resource: Resource, value: Any, where: str, owner: str, go: str) -> None:
        name = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}[type(value)]
        self.go = go
        place = re.sub(r"\[\d+\]", "", where)  # Go does not say which item of a list, or which key of a map
        self.why = f"json: cannot unmarshal {name} into Go struct field {owner}.{place} of type {go}"
        super().__init__(
            400, f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {self.why}'
        )


def decoded(resource: Resource, found: Any) -> tuple[Object, list[str]]:
    """The object with only known fields, nulls left out, and the paths of the unknown ones."""
    unknown: list[str] = []
    if not isinstance(found, dict):
        raise ApiError(400, f"couldn't get version/kind; json parse error: {type(found).__name__} is not an object")
    result = _read(resource, found, shape_of(resource.type), "", resource.kind, unknown)
    assert isinstance(result, dict)
    return result, unknown


def _read(resource: Resource, value: Any, shape: Shape, where: str, owner: str, unknown: list[str]) -> Any:
    if shape.kind == "struct" and isinstance(value, dict):
        fields = struct(shape.struct).fields
        name = shape.struct.rpartition(".")[2]
        result = {}
        for key, inner in value.items():
            path = f"{where}.{key}" if where else key
            if key not in fields:
                unknown.append(path)
            elif inner is not None:
                result[key] = _read(resource, inner, fields[key], path, name, unknown)
        return result
    if shape.kind == "map" and isinstance(value, dict):
        assert shape.item is not None
        return {
            k: _read(resource, v, shape.item, where if shape.item.kind in SCALARS else f"{where}.{k}", owner, unknown)
            for k, v in value.items()
            if v is not None or shape.item.kind == "any"
        }
    if shape.kind == "list" and isinstance(value, list):
        assert shape.item is not None
        return [_read(resource, v, shape.item, f"{where}[{i}]", owner, unknown) for i, v in enumerate(value)]
    if not _fits(value, shape.kind):
        go = _GO.get(shape.kind) or {"list": "[]", "map": "map[string]"}.get(shape.kind, "v1.") + (
            shape.struct.rpartition(".")[2] if shape.kind == "struct" else ""
        )
        raise WrongTypeError(resource, value, where, owner, go)
    return value


def _fits(value: Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    if kind == "quantity":
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return kind == "any"


def refuse_unknown(resource: Resource, unknown: Sequence[str]) -> ApiError:
    """The answer to a whole object with unknown fields, where the client asked for strictness."""
    told = ", ".join(f'unknown field "{u}"' for u in unknown)
    return ApiError(
        400,
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: strict decoding '
        f"error: {told}",
    )


def refuse_patch(patch: Any, why: str) -> ApiError:
    """The answer to a patch that makes something that does not decode."""
    message = f"Invalid value: {json.dumps(_go_map(patch), ensure_ascii=False)}: {why}"
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return ApiError(422, f' "" is invalid: patch: {message}', details={"causes": [cause]})


def _go_map(value: Any) -> str:
    """As Go's %v prints it, which is how the real message shows a patch."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_go_map(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_map, value)) + "]"
    if value is None:
        return "<nil>"
    return json.dumps(value) if isinstance(value, bool) else str(value)
