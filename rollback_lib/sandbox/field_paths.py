"""Sets of fields, as managedFields writes them down: where they are in an object, and what two objects differ in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rollback_lib.sandbox.schema import Shape, child

Path = tuple[str, ...]
MISSING = object()


@dataclass
class Difference:
    """What is new, what has another value, what is gone."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    @property
    def written(self) -> set[Path]:
        return self.added | self.modified


def item_key(item: Any, shape: Shape) -> str:
    """How a list's item is named in a path."""
    if shape.is_set or not isinstance(item, dict):
        return "v:" + json.dumps(item, separators=(",", ":"))
    values = {k: item.get(k, shape.key_defaults.get(k)) for k in sorted(shape.keys)}
    return "k:" + json.dumps({k: v for k, v in values.items() if v is not None}, separators=(",", ":"))


def _is_leaf(value: Any, shape: Shape | None) -> bool:
    if shape is None or shape.atomic:
        return True
    if shape.kind in ("struct", "map"):
        return not isinstance(value, dict) or not value
    return shape.kind != "list" or not isinstance(value, list)


def children(value: Any, shape: Shape | None) -> Iterator[tuple[str, Any, Shape | None]]:
    """(path element, value, shape) of what is directly inside."""
    if shape is not None and isinstance(value, dict):
        for name, inner in value.items():
            yield f"f:{name}", inner, child(shape, name)
    elif shape is not None and isinstance(value, list):
        for inner in value:
            yield item_key(inner, shape), inner, shape.item


def fields_of(value: Any, shape: Shape | None, path: Path = ()) -> set[Path]:
    """All fields that an applied object names."""
    if _is_leaf(value, shape):
        return {path}
    found: set[Path] = set()
    for element, inner, inner_shape in children(value, shape):
        here = (*path, element)
        found |= fields_of(inner, inner_shape, here)
        if not element.startswith("f:") or (shape is not None and shape.kind == "map"):
            found.add(here)
    return found


def compare(before: Any, after: Any, shape: Shape | None) -> Difference:
    """What differs between two states of an object."""
    found = Difference()
    _compare(before, after, shape, (), found)
    return found


def _compare(before: Any, after: Any, shape: Shape | None, path: Path, found: Difference) -> None:
    if before is after:
        return
    if before is MISSING or after is MISSING:
        present, into = (after, found.added) if before is MISSING else (before, found.removed)
        into.add(path)
        if not _is_leaf(present, shape):
            for element, inner, inner_shape in children(present, shape):
                other = (MISSING, inner) if before is MISSING else (inner, MISSING)
                _compare(*other, inner_shape, (*path, element), found)
        return
    if _is_leaf(before, shape) and _is_leaf(after, shape):
        if before != after:
            found.modified.add(path)
        return
    olds = {e: (v, s) for e, v, s in children(before, shape)}
    news = {e: (v, s) for e, v, s in children(after, shape)}
    for element in olds.keys() | news.keys():
        old, inner_shape = olds.get(element, (MISSING, None))
        new, new_shape = news.get(element, (MISSING, None))
        _compare(old, new, inner_shape or new_shape, (*path, element), found)


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """The tree that an entry of managedFields holds."""
    tree: dict[str, Any] = {}
    ordered = sorted(paths)
    for path in ordered:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    _drop_plain_dots(tree)
    return tree


def _drop_plain_dots(node: dict[str, Any]) -> None:
    for inner in node.values():
        if set(inner) == {"."}:
            del inner["."]
        else:
            _drop_plain_dots(inner)


def from_fields_v1(tree: Any) -> set[Path]:
    """The paths of an entry of managedFields."""
    found: set[Path] = set()

    def walk(node: dict[str, Any], path: Path) -> None:
        for element, inner in node.items():
            if element == ".":
                found.add(path)
            elif isinstance(inner, dict):
                if not inner:
                    found.add((*path, element))
                walk(inner, (*path, element))

    if isinstance(tree, dict):
        walk(tree, ())
    return found


def shown(path: Path) -> str:
    """A path as messages show it: `.spec.template.spec.containers[name="a"].image`."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            told = ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(rest).items())
            text += f"[{told}]"
        else:
            text += f"[={rest}]"
    return text
