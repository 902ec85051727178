"""Who owns which field (managedFields), and how fields that we wrote go back to whoever applies them server-side.

Our patch takes the fields that it changes away from the manager of a server-side apply, so the next apply of another
manifest would be a conflict (kubernetes/kubernetes#80916). One patch cannot change a field and say whose it is: a
second one, of managedFields alone, folds what we wrote into the entry that held it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import LAST_APPLIED, RESTARTED_AT, Object, named_containers, notes_of

OURS: Final = "kubectl-client-side-apply"  # the manager that we write as
_MARK: Final = "f:rollback-lib/"
_RESTART: Final = f"f:{RESTARTED_AT}"
Path = tuple[str, ...]


class Appliers(msgspec.Struct, frozen=True):
    """Who has applied an object server-side before we write to it: entries of its managedFields.

    ``heir``: the manager whose manifest has what we add, too; empty where nothing tells that there is one. ``others``:
    entries of those whose fields stay away from it, where a new object has to have everything set anew.
    """

    entries: tuple[Object, ...] = ()
    heir: str = ""
    others: tuple[Object, ...] = ()


def appliers(obj: Mapping[str, Any], *, anew: bool = False) -> Appliers:
    """Those of a live object, which is patched or made ``anew``. The heir is the only one, where it holds the image,
    or a content that has none.

    (Where there is a last-applied annotation, the object is applied client-side as well; where there are two appliers,
    one of them may own but a label, and would take away what its manifest does not name.)
    """
    found = tuple(e for e in _entries(obj) if e.get("operation") == "Apply" and not e.get("subresource"))
    others = tuple(e for e in _entries(obj) if e not in found and _manager(e) != OURS) if found and anew else ()
    if len(found) != 1 or LAST_APPLIED in notes_of(obj):
        return Appliers(found, others=others)
    held = paths(found[0].get("fieldsV1"))
    images = any(p[-1] == "f:image" for p in held)
    is_heir = images if named_containers(obj) else any(p[0] != "f:metadata" for p in held)
    return Appliers(found, _manager(found[0]) if is_heir else "", others)


def is_default(obj: Mapping[str, Any], place: Sequence[str]) -> bool:
    """Whether the server filled the field in: somebody applies the object, and nobody else has set it."""
    path = tuple(f"f:{part}" for part in place)
    entries = _entries(obj)
    others = [e for e in entries if not _applies(e)]
    return len(others) < len(entries) and not any(_below(path, paths(e.get("fieldsV1"))) for e in others)


def given_back(now: Mapping[str, Any], before: Appliers) -> tuple[Operation, ...]:
    """The patch after which each applier has what it held before, and the heir all that we wrote; empty where we hold
    nothing of theirs. Our marks and a planned restart stay ours: no manifest of theirs has them."""
    entries = list(_entries(now))
    mine = next((e for e in entries if _manager(e) == OURS and e.get("operation") == "Update"), None)
    if mine is None or mine.get("subresource"):
        return ()
    ours = paths(mine.get("fieldsV1"))
    theirs = {p for p in ours if not any(part.startswith(_MARK) or part == _RESTART for part in p)}
    anothers = frozenset[Path]().union(*(paths(e.get("fieldsV1")) for e in before.others))
    given: set[Path] = set()
    for was in before.entries:
        share = theirs - anothers if _manager(was) == before.heir else theirs & paths(was.get("fieldsV1"))
        if not share:
            continue
        given |= share
        at = next((i for i, e in enumerate(entries) if _owner(e) == _owner(was)), None)
        if at is None:
            entries.insert(0, {**was, "fieldsV1": tree(share)})
        else:
            entries[at] = {**entries[at], "fieldsV1": tree(paths(entries[at].get("fieldsV1")) | share)}
    if not given:
        return ()
    at = entries.index(mine)
    entries[at : at + 1] = [{**mine, "fieldsV1": tree(ours - given)}] if ours - given else []
    return (
        Operation("test", "/metadata/resourceVersion", now["metadata"]["resourceVersion"]),
        Operation("replace", "/metadata/managedFields", entries),
    )


def paths(fields: Any) -> frozenset[Path]:
    """The fields of an entry: a leaf of its tree, and whatever has a dot beside what is in it."""
    found: set[Path] = set()

    def walk(node: Mapping[str, Any], path: Path) -> None:
        if path and (not node or "." in node):
            found.add(path)
        for part, inner in node.items():
            if part != ".":
                walk(inner, (*path, part))

    walk(fields or {}, ())
    return frozenset(found)


def tree(fields: Iterable[Path]) -> Object:
    """The tree of these fields, as an entry has it."""
    wanted, found = set(fields), dict[str, Any]()
    for path in sorted(wanted):  # what is in a field comes after the field
        node = found
        for depth, part in enumerate(path, 1):
            inside = part in node
            node = node.setdefault(part, {})
            if depth < len(path) and path[:depth] in wanted and inside:
                node["."] = {}
    return found


def _below(path: Path, held: Iterable[Path]) -> bool:
    return any(p[: len(path)] == path for p in held)


def _entries(obj: Mapping[str, Any]) -> list[Object]:
    return list((obj.get("metadata") or {}).get("managedFields") or [])


def _manager(entry: Mapping[str, Any]) -> str:
    return str(entry.get("manager") or "")


def _owner(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(name) or "") for name in ("manager", "operation", "apiVersion", "subresource"))


def _applies(entry: Mapping[str, Any]) -> bool:
    notes = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return entry.get("operation") == "Apply" or _manager(entry) == OURS or f"f:{LAST_APPLIED}" in notes
