"""What a rollback changes in one live object: only what the failed release changed.

Three manifests: ``base`` (what the last apply asked for), ``target`` (what the release asks for) and the live object.
A field in which base and target differ is put back; a field where live differs from both belongs to somebody else (a
blue/green selector, a node port, a scaled deployment) and is kept and reported. The result is a JSON patch (RFC 6902)
whose ``test`` operations are its precondition: a person's change in between makes the server refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rollback_lib.core.kube import field_owners, go_json
from rollback_lib.core.kube.json_patch import _NOTHING, Operation, covers, pointer
from rollback_lib.core.kube.kinds import template_path
from rollback_lib.core.kube.objects import LAST_APPLIED, kind_of, notes_of, template
from rollback_lib.core.kube.owners import marks

# Fields whose list items have a name: merged item by item, so that a node port given by hand stays.
_NAMED: Final = {"ports": ("port", "protocol")}
_DEFAULT_PROTOCOL: Final = "TCP"
# Above this the last-applied annotation does not fit (the API server allows 256 kB for all annotations).
ANNOTATION_LIMIT: Final = 262_144
_NOTES: Final = "/metadata/annotations"
# Members that one value of another allows: the server fills them in, and does not take them away with that value.
_ALLOWED_BY: Final[Mapping[str, tuple[str, str, str]]] = {
    "spec.strategy": ("rollingUpdate", "type", "RollingUpdate"),
    "spec.updateStrategy": ("rollingUpdate", "type", "RollingUpdate"),
}
# Members of which there can be only one.
_EITHER: Final[Mapping[str, tuple[str, str]]] = {
    "spec": ("minAvailable", "maxUnavailable"),  # of a PodDisruptionBudget
    "spec.defaultBackend": ("service", "resource"),
}


class Merged(msgspec.Struct, frozen=True):
    """The operations that put the object back, and the fields that somebody else owns, in words."""

    operations: tuple[Operation, ...]
    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # dotted paths
    values: Mapping[str, tuple[Any, Any]] = {}  # of what is kept: what it is, and what the release asks for; or None


def last_applied_text(manifest: Mapping[str, Any], namespace: str) -> str:
    """The annotation as kubectl writes it for this manifest: byte for byte, so that its next apply says unchanged.

    (kubectl encodes with Go's encoder, adds a final newline, and fills in the namespace and an empty annotations map.)
    """
    meta = dict(manifest.get("metadata") or {})
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    meta["annotations"] = notes
    meta.setdefault("namespace", namespace)
    return go_json.encode({**manifest, "metadata": meta}).decode() + "\n"


class _Merge:
    def __init__(self, live: Mapping[str, Any] | None = None) -> None:
        self.live = live or {}
        self.operations: list[Operation] = []
        self.kept: dict[str, tuple[Any, Any]] = {}
        self.changed: list[str] = []

    def put(self, path: tuple[str, ...], live: Any, value: Any) -> None:
        where = pointer(path)
        if live is _NOTHING:
            self.operations.append(Operation("add", where, value))
        else:
            self.operations += [Operation("test", where, live), Operation("replace", where, value)]
        self.changed.append(".".join(path))

    def remove(self, path: tuple[str, ...], live: Any) -> None:
        where = pointer(path)
        self.operations += [Operation("test", where, live), Operation("remove", where)]
        self.changed.append(".".join(path))

    def keep(self, path: tuple[str, ...], live: Any, target: Any) -> None:
        self.kept[".".join(path)] = (None if live is _NOTHING else live, None if target is _NOTHING else target)

    def field(self, path: tuple[str, ...], base: Any, target: Any, live: Any, known: bool) -> None:
        """``known``: base is what was asked for; otherwise nobody recorded it, and target is put where live differs."""
        if isinstance(target, Mapping) and isinstance(live, Mapping) and (target or base):
            self.mapping(path, base if isinstance(base, Mapping) else {}, target, live, known)
            return
        if target is _NOTHING:
            if base is _NOTHING or live is _NOTHING:
                return
            nested = isinstance(base, Mapping) and isinstance(live, Mapping) and base
            if covers(live, base) and not (nested and self._foreign(path, live, base)):
                self.remove(path, live)
            elif nested:
                self.mapping(path, base, {}, live, known)
            else:
                self.keep(path, live, target)
            return
        if live is not _NOTHING and covers(live, target):
            return
        if known and _same(base, target):
            if live is _NOTHING or not covers(live, target):
                self.keep(path, live, target)
            return
        if path == ("spec", "replicas") and known and base is _NOTHING and live not in (_NOTHING, 1):
            self.keep(
                path, live, target
            )  # nobody asked for a number until now, so somebody scaled it (1 is the server's default)
            return
        key = _NAMED.get(path[-1]) if path else None
        if key and isinstance(live, list) and isinstance(target, list) and (value := _items(live, base, target, key)):
            if value != live:
                self.put(path, live, value)
            return
        if known and live is not _NOTHING and base is not _NOTHING and not covers(live, base):
            self.keep(path, live, target)
            return
        self.put(path, live, target)

    def mapping(
        self,
        path: tuple[str, ...],
        base: Mapping[str, Any],
        target: Mapping[str, Any],
        live: Mapping[str, Any],
        known: bool,
    ) -> None:
        gone = _displaced(path, target, live)
        for name in gone:
            self.remove((*path, name), live[name])
        for name in sorted({*base, *target} - {*gone}):
            asked = target.get(name)
            self.field(
                (*path, name),
                _NOTHING if base.get(name) is None else base[name],
                _NOTHING if asked is None else asked,
                live.get(name, _NOTHING),
                known,
            )

    def _foreign(self, path: tuple[str, ...], live: Any, base: Any) -> bool:
        """Whether a mapping holds anything that neither the release asked for nor the server filled in."""
        return any(
            self._foreign((*path, name), value, base.get(name))
            if isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
            else name not in base and not field_owners.is_default(self.live, (*path, name))
            for name, value in live.items()
        )


def _displaced(path: tuple[str, ...], target: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """The members of ``live`` beside which the server does not take what the target asks for."""
    where = ".".join(path)
    one, other = _EITHER.get(where, ("", ""))
    member, by, value = _ALLOWED_BY.get(where, ("", "", ""))
    beside = {member: target.get(by, value) != value, one: other in target, other: one in target}
    return [name for name in beside if name in live and name not in target and beside[name]]


def _same(base: Any, target: Any) -> bool:
    return base is not _NOTHING and (base == target or (covers(base, target) and covers(target, base)))


def _items(live: list[Any], base: Any, target: list[Any], key: tuple[str, ...]) -> list[Any] | None:
    """The target's items, each with what the live item of the same key has and nobody asked to change."""

    def of(item: Any) -> tuple[str, ...]:
        return tuple(str(item.get(k, _DEFAULT_PROTOCOL)) for k in key)

    if not all(isinstance(i, Mapping) for i in (*live, *target)):
        return None
    by_key = {of(i): i for i in live}
    asked = {of(i): i for i in base if isinstance(i, Mapping)} if isinstance(base, list) else {}
    result = []
    for item in target:
        was = by_key.get(of(item))
        if was is None:
            result.append(dict(item))
        else:
            dropped = {k for k in asked.get(of(item), {}) if k not in item}
            result.append({**{k: v for k, v in was.items() if k not in dropped}, **item})
    return result


def merge(
    base: Mapping[str, Any] | None, target: Mapping[str, Any], live: Mapping[str, Any], *, keep_replicas: bool = False
) -> Merged:
    """How to put ``live`` back to ``target``, the pod template aside (`patch_workload` replaces that whole).

    ``base`` None: nobody recorded what was asked for; then every field that the target names is put where live differs.
    """
    found = _Merge(live)
    known = base is not None
    base = base or {}
    kind = kind_of(live)
    where = template_path(kind) if template(target) is not None else ()
    for name in sorted({*base, *target} - {"apiVersion", "kind", "metadata", "status"}):
        found.field(
            (name,),
            _without(base.get(name, _NOTHING), where[1:] if where[:1] == (name,) else (), keep_replicas),
            _without(target.get(name, _NOTHING), where[1:] if where[:1] == (name,) else (), keep_replicas),
            _without(live.get(name, _NOTHING), where[1:] if where[:1] == (name,) else (), False),
            known,
        )
    theirs = marks(live)  # these stay as they are, whatever either release says
    for name in ("labels", "annotations"):
        # A manifest that was dumped from a cluster carries the annotation; whatever it says there, it asks for nothing.
        was, asked = (
            {
                k: v
                for k, v in ((o.get("metadata") or {}).get(name) or {}).items()
                if k != LAST_APPLIED and not k.startswith(theirs)
            }
            for o in (base, target)
        )
        is_now = (live.get("metadata") or {}).get(name)
        if asked and is_now is None:
            found.put(("metadata", name), _NOTHING, dict(asked))
        elif is_now is not None:
            found.mapping(("metadata", name), was, asked, is_now, known)
    return Merged(tuple(found.operations), tuple(found.kept), tuple(found.changed), found.kept)


def _without(value: Any, path: tuple[str, ...], replicas: bool) -> Any:
    """``value`` without the pod template at ``path`` and, where asked, without replicas."""
    if not isinstance(value, Mapping):
        return value
    drop = {path[0]} if len(path) == 1 else set()
    if replicas:
        drop.add("replicas")
    kept = {k: v for k, v in value.items() if k not in drop}
    if len(path) > 1 and isinstance(kept.get(path[0]), Mapping):
        kept[path[0]] = _without(kept[path[0]], path[1:], False)
    return kept


def patch(
    base: Mapping[str, Any] | None,
    target: Mapping[str, Any],
    live: Mapping[str, Any],
    *,
    namespace: str,
    stamps: Mapping[str, str] | None = None,
    keep_replicas: bool = False,
    applied: str | None = None,
) -> Merged:
    """The JSON patch for one object; empty operations where it is the target already (stamps alone are no reason).

    A workload's pod template is replaced whole, behind a ``test`` of the live one (design §6: of apply, replace,
    set-last-applied and server-side apply, each broke one demand). A new last-applied is written only where there is
    one. ``applied``: the annotation to leave instead of the target's own, empty for none: what `undo` puts back is a
    whole object, and nobody has ever applied that.
    """
    merged = merge(base, target, live, keep_replicas=keep_replicas)
    operations = list(merged.operations)
    wanted, is_now = template(target), template(live)
    if wanted is not None and is_now is not None:
        where = pointer(template_path(kind_of(live)))
        operations += [Operation("test", where, is_now), Operation("replace", where, wanted)]
    if not operations:
        return merged
    notes = dict(stamps or {})
    there = notes_of(live).get(LAST_APPLIED)
    text = applied if applied is not None else last_applied_text(target, namespace) if there else ""
    where = pointer(("metadata", "annotations", LAST_APPLIED))
    if there and not 0 < len(text.encode()) < ANNOTATION_LIMIT:
        operations.append(Operation("remove", where))
    elif there:
        operations.append(Operation("replace", where, text))
    elif text:
        notes[LAST_APPLIED] = text
    made = any(o.path == _NOTES and o.op != "test" for o in operations)
    if notes and not made and not notes_of(live):
        operations.append(Operation("add", _NOTES, {}))
    operations += [Operation("add", pointer(("metadata", "annotations", k)), v) for k, v in sorted(notes.items())]
    return msgspec.structs.replace(merged, operations=tuple(operations))
