"""What a change means, for people: short lines by name, and of what may be a secret only that it changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from rollback_lib.core import harmless
from rollback_lib.core.kube.objects import Object, decided, kind_of, name_of, template
from rollback_lib.core.plan.model import Leftover
from rollback_lib.core.redact import HIDDEN, redact, visible

_LONGEST: Final = 60
_MOST: Final = 40
_LOOKED_AT: Final = 2000  # far more than is shown, so that a secret is not cut where it begins


class Difference(msgspec.Struct, frozen=True):
    """One place in which two objects differ. ``path`` names list items: ``containers[web].env[LEVEL]``."""

    path: str
    old: Any
    new: Any


_GONE: Final = object()
_PLAIN: Final = ("kind", "name")


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Where two values differ; an item of a list is known again by its name, where all have one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            old, new = before.get(key, _GONE), after.get(key, _GONE)
            yield from differences(old, new, f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and (names := _names(before, after)):
        left, right = ({i["name"]: i for i in items} for items in (before, after))
        for name in names:
            yield from differences(left.get(name, _GONE), right.get(name, _GONE), f"{path}[{name}]")
    elif before != after:
        yield Difference(path, before, after)


def _names(before: Sequence[Any], after: Sequence[Any]) -> list[str]:
    if not all(isinstance(i, Mapping) and isinstance(i.get("name"), str) for i in (*before, *after)):
        return []
    lists = [[i["name"] for i in items] for items in (before, after)]
    return list(dict.fromkeys(lists[0] + lists[1])) if all(len(set(n)) == len(n) for n in lists) else []


def lines(
    before: Object | None, after: Object | None, show: Collection[str] = (), *, exact: bool = False
) -> tuple[str, ...]:  # fmt: skip
    """The change as lines that start with ``-``, ``+`` or ``~``; at most 40, the rest counted.

    Of an object that is made or goes, kind, name and empty labels are no news. ``show``: names whose values are no
    secrets, whatever they look like. ``exact``: nothing is hidden; such lines are for a terminal, and kept nowhere.
    """
    had, has = (decided(one) if one else {} for one in (before, after))
    said = exactly if exact else partial(_shown, show=frozenset(show))
    found = [_line(d, said) for d in differences(had, has) if (had and has) or (d.path not in _PLAIN and d.new != {})]
    return (*found[:_MOST], f"… and {len(found) - _MOST} more") if len(found) > _MOST else tuple(found)


def _line(difference: Difference, said: Callable[[str, Any], str]) -> str:
    path = difference.path.removeprefix("spec.template.").removeprefix("spec.")
    old, new = (said(path, v) if v is not _GONE else "" for v in (difference.old, difference.new))
    if difference.old is _GONE:
        return f"+ {path}: {new}"
    if difference.new is _GONE:
        return f"- {path}: {old}"
    if old == new:
        return f"~ {path}: changed" + ("" if new == HIDDEN else f", {new}")
    return f"~ {path}: {old} → {new}"


def kept(path: str, live: Any, asked: Any) -> str:
    """A field that somebody else owns: what it stays at, and what the release would have. None: it is not there."""
    stays = f"{path} stays {_shown(path, live)}" if live is not None else f"{path} stays away"
    return f"{stays} (the release: {_shown(path, asked)})" if asked is not None else f"{stays} (the release has none)"


# -- what may be seen of a value

# Mappings in which everybody has names of their own; lists of words that a program gets; lists of names with values.
_OF_THE_TEAM: Final = ("data", "stringData", "binaryData", "annotations", "volumeAttributes", "options", "parameters")
_ARGUMENTS: Final = ("args", "command")
_KEYS: Final = re.compile(rf"((?:^|(?<=\.))(?:{'|'.join(_OF_THE_TEAM)}))\.(.+)|\[([^\]]*)\]|([^.\[\]]+)", re.DOTALL)


def exactly(path: str, value: Any) -> str:
    """The whole value, as a terminal may show it."""
    return visible(_text(value).replace("\n", "⏎"))


def _shown(path: str, value: Any, show: Collection[str] = ()) -> str:
    keys = tuple(part for found in _KEYS.finditer(path) for part in found.groups() if part is not None)
    text = redact(_text(_veiled(value, keys, show))[:_LOOKED_AT].replace("\n", "⏎"))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) <= {"name", "value"} and "value" in value:
        value = value["value"]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _veiled(value: Any, keys: tuple[str, ...], show: Collection[str]) -> Any:
    """``value`` without what may be a secret: a field of Kubernetes' own is shown, what a team fills in only if it is
    plainly harmless. ``keys``: where it stands."""
    above, last = ("", "", *keys)[-2:]
    match value:
        case Mapping() if last in _OF_THE_TEAM:
            return {k: _one(v, str(k), show) for k, v in value.items()}
        case Mapping() if isinstance(value.get("name"), str) and "value" in value:
            return {k: _one(v, value["name"], show) if k == "value" else v for k, v in value.items()}
        case Mapping():
            return {k: _veiled(v, (*keys, str(k)), show) for k, v in value.items()}
        case list() if last in _ARGUMENTS:
            fine = harmless.harmless_arguments(value)
            return [v if is_fine else HIDDEN for v, is_fine in zip(value, fine, strict=True)]
        case list():
            return [_veiled(v, (*keys, ""), show) for v in value]
    if above in _OF_THE_TEAM:
        return _one(value, last, show)
    if last == "value" and above:
        return _one(value, above, show)
    return HIDDEN if last in _ARGUMENTS and not harmless.is_harmless(str(value)) else value


def _one(value: Any, name: str, show: Collection[str]) -> Any:
    """The value of a variable, key or annotation."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if name in show or value is None or harmless.is_harmless(text, name) else HIDDEN


def leftovers(before: Object, after: Object, base: Object | None) -> tuple[Leftover, ...]:
    """What a plain apply of the old manifest would leave in the pod template, and this plan takes away.

    ``base`` is what the last apply asked for: what stands in it and not in the target, any apply takes away.
    """
    asked = template(base or {}) or {}
    taken = set(_gone(asked, template(after) or {}))
    found = []
    for path in _gone(template(before) or {}, template(after) or {}):
        if path not in taken and (part := _part(path)):
            container = _container(path)
            what = f"{part} of container {container}" if container else part
            found.append(
                Leftover(kind=kind_of(before), name=name_of(before), what=what, part=part, container=container)
            )
    return tuple(found)


def _gone(before: Object, after: Object) -> Iterator[str]:
    """What goes, each by its own name, also where all of a list or of a pod's annotations goes."""
    for difference in differences(before, after):
        path, old = difference.path, difference.old
        if difference.new is not _GONE:
            continue
        if isinstance(old, Mapping) and path in ("metadata.annotations", "metadata.labels"):
            yield from (f"{path}.{key}" for key in old)
        elif isinstance(old, list) and (names := _names(old, ())):
            yield from (f"{path}[{name}]" for name in names)
        else:
            yield path


def _container(path: str) -> str:
    """In which container a variable or a mount stands; empty where the path is of neither."""
    parts = path.replace("]", "").split("[")
    return parts[1].split(".")[0] if len(parts) == 3 and parts[1].endswith((".env", ".volumeMounts")) else ""


def _part(path: str) -> str:
    parts = path.replace("]", "").split("[")
    words = {"spec.containers": "container", "spec.initContainers": "init container", "spec.volumes": "volume"}
    if len(parts) == 2 and parts[0] in words:
        return f"{words[parts[0]]} {parts[1]}"
    if _container(path):
        return f"{'variable' if parts[1].endswith('.env') else 'volume mount'} {parts[2]}"
    if path.startswith("metadata."):
        kind, _, name = path.removeprefix("metadata.").partition(".")
        return f"pod {kind.rstrip('s')} {name}"
    return ""
