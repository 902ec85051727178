"""The kinds that the sandbox has, and their shapes, as a real API server publishes them (`schema.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

Object = dict[str, Any]

SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "quantity", "any"})


@dataclass(frozen=True)
class Shape:
    """How one value looks, and how two of them merge.

    `struct` names a type with fields; `item` is the shape of a map's or a list's values. A scalar has neither.
    """

    kind: str  # a scalar's type, "struct", "map" or "list"
    struct: str = ""
    item: Shape | None = None
    keys: tuple[str, ...] = ()  # of a list whose items are told apart by them (server-side apply)
    key_defaults: Mapping[str, Any] = field(default_factory=dict)
    atomic: bool = False
    is_set: bool = False
    merge_key: str | None = None  # strategic merge: None replaces the list, "" merges values, else items by this key
    retain: bool = False  # strategic merge: $retainKeys is understood


@dataclass(frozen=True)
class Struct:
    """A type with fields."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    atomic: bool = False


@dataclass(frozen=True)
class Resource:
    """One resource as discovery tells of it."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    short: tuple[str, ...]
    categories: tuple[str, ...]
    type: str
    subresources: tuple[Mapping[str, Any], ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@cache
def _document() -> Any:
    return json.loads(resources.files(__package__).joinpath("schema.json").read_text("utf-8"))


@cache
def all_resources() -> tuple[Resource, ...]:
    """Every resource that is served."""
    listed = _document()["resources"]
    found = []
    for entry in listed:
        if "/" in entry["name"]:
            continue
        group, _, version = entry["apiVersion"].rpartition("/")
        subs = tuple(
            s for s in listed if s["apiVersion"] == entry["apiVersion"] and s["name"].startswith(entry["name"] + "/")
        )
        found.append(
            Resource(
                group,
                version,
                entry["name"],
                entry["kind"],
                entry["singularName"],
                entry["namespaced"],
                tuple(entry["verbs"]),
                tuple(entry.get("shortNames", ())),
                tuple(entry.get("categories", ())),
                entry["type"],
                subs,
            )
        )
    return tuple(found)


@cache
def resource(group: str, version: str, plural: str) -> Resource | None:
    """The resource of a path, if it is served."""
    return next((r for r in all_resources() if (r.group, r.version, r.plural) == (group, version, plural)), None)


@cache
def by_kind(kind: str) -> Resource:
    """The resource of a kind; no two kinds here share a name."""
    return next(r for r in all_resources() if r.kind == kind)


@cache
def struct(name: str) -> Struct:
    """A type by its name."""
    entry = _document()["types"][name]
    return Struct(
        {k: _shape(v) for k, v in entry["fields"].items()},
        tuple(entry.get("required", ())),
        bool(entry.get("atomic")),
    )


@cache
def shape_of(type_name: str) -> Shape:
    """The shape of a whole object of this type."""
    return Shape("struct", struct=type_name)


def _shape(entry: Any) -> Shape:
    if isinstance(entry, str):
        if entry.startswith("map "):
            return Shape("map", item=_shape(entry[4:]))
        if entry in SCALARS:
            return Shape(entry)
        return Shape("struct", struct=entry, atomic=bool(_document()["types"][entry].get("atomic")))
    if "of" in entry:
        inner = _shape(entry["of"])
        return Shape(
            inner.kind, inner.struct, inner.item, atomic=inner.atomic or bool(entry.get("atomic")),
            retain=bool(entry.get("retain")),
        )  # fmt: skip
    return Shape(
        "list", item=_shape(entry["list"]), keys=tuple(entry.get("keys", ())),
        key_defaults={k: v for k, v in entry.get("defaults", {}).items() if v},
        atomic=entry.get("type") not in ("map", "set"), is_set=entry.get("type") == "set",
        merge_key=entry.get("merge"), retain=bool(entry.get("retain")),
    )  # fmt: skip


def child(shape: Shape | None, name: str) -> Shape | None:
    """The shape of a field, or of a map's value."""
    if shape is None:
        return None
    if shape.kind == "struct":
        return struct(shape.struct).fields.get(name)
    return shape.item if shape.kind == "map" else None
