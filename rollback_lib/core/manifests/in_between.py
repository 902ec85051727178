"""Whether something stands between the files and the cluster: a tool that fills in what the file only names.

Three texts tell: the target's file, the file of what runs, and what `kubectl apply` was last given. Where both files
say the same and something else was applied, the file is not what is applied, and to write it would take a real value
away. So with a token that such tools fill in. What people set by hand is in none of the three.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import _NOTHING
from rollback_lib.core.kube.kinds import template_path
from rollback_lib.core.kube.marks import OURS, as_kubectl_reads, last_applied
from rollback_lib.core.kube.objects import CHANGE_CAUSE, LAST_APPLIED, Object, kind_of, ref_of
from rollback_lib.core.reasons import Reason
from rollback_lib.core.wording import some

Path = tuple[str | int, ...]
LineOf = Callable[[str, ObjectRef, Path], int]

_TOKEN: Final = re.compile(
    r"<path:[^<>\n]+>"  # argocd-vault-plugin
    r"|\A<[^<>\s]+>\Z"
    r"|#\{[^{}\n]+\}#"  # Replace Tokens of Azure DevOps
    r"|@@?[A-Za-z_][\w.-]*@@?(?<=@)"  # CMake's and Maven's @X@, @@X@@
    r"|%%[A-Za-z_][\w.-]*%%"
    r"|\[\[-?\s*[.$][^\[\]\n]*\]\]"
    r"|ENC\[[^\]\n]+\]"  # sops
)
_LIKE: Final = re.compile(r"\$\{[A-Za-z_]\w*[^{}\n]*\}|\{\{[^{}\n]*\}\}|__[A-Z][A-Z0-9_]*__")
"""What programs read, too, at their own time: a token only where the file of what runs has it as well."""
_SHOWN: Final = 6


class Place(msgspec.Struct, frozen=True):
    """Where the target's file is not what was applied. ``live`` is what stands there now."""

    path: Path
    live: Any


def code(ref: ObjectRef) -> str:
    """What ``--accept`` takes to leave at these places of an object what is live."""
    return f"keep:{ref}"


def places(
    target: Object, current: Object | None, live: Object, variables: Collection[str] = ()
) -> tuple[Place, ...]:  # fmt: skip
    """Where something stands between. ``current``: what the file of what runs has; None where that is not known.

    ``variables``: those that the overlay sets. Images are aside, and what a rollback or kubectl adds.
    """
    return tuple(
        Place(path, now)
        for path, asks, was, applied, now in _leaves(target, current, live, variables)
        if not _same(asks, applied) and (_same(asks, was) or _unfilled(asks, was, applied))
    )


def unsure(changing: Iterable[tuple[Object, Object]], variables: Collection[str] = ()) -> tuple[str, ...]:
    """What is to be said where it is not known which release runs: then only tokens tell.

    ``changing``: (target, live) of the objects that would be changed.
    """
    found = [
        f"{ref_of(target)} {shown(path)}"
        for target, live in changing
        for path, asks, _, applied, _ in _leaves(target, None, live, variables)
        if not _same(asks, applied)
    ]
    if not found:
        return ()
    return (
        "No release that we know is what runs, so whether something fills in the files on their way to the cluster is "
        f"not known either. What was applied is another text than the file's: {some(found)}.",
    )


def refusal(ref: ObjectRef, file: str, found: Sequence[Place], line_of: LineOf) -> Refusal:
    """Why the object is not written as its file has it. No value is named: one of them is the real one."""
    where = [f"{file}:{line_of(file, ref, p.path)}" for p in found]
    said = [f"{at} ({shown(p.path)})" for at, p in zip(where, found, strict=True)]
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return Refusal(
        f"{ref}: the file is not what was applied, so something fills it in on its way to the cluster: "
        f"{', '.join(said[:_SHOWN])}{more}.",
        code(ref),
        "That code leaves there what is live; a value under substitute:, where it has a name, is the lasting way.",
        reason=Reason.FILLED_IN, subject=str(ref), facts=tuple(where),
    )  # fmt: skip


def kept(target: Object, found: Sequence[Place]) -> Object:
    """The target with what is live at these places; what is not there is left out."""
    changed = copy.deepcopy(target)
    for place in found:
        *way, last = place.path
        parent: Any = changed
        for step in way:
            parent = parent[step]
        if place.live is not _NOTHING:
            parent[last] = place.live
        elif isinstance(last, str):
            del parent[last]
    return changed


def shown(path: Path) -> str:
    """A path as people write it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _unfilled(asks: Any, was: Any, applied: Any) -> bool:
    """Whether the file has a token where what was applied has none."""
    if not isinstance(asks, str):
        return False
    tokens = {t for t in _TOKEN.findall(asks) if t not in str(applied)}
    if tokens and ("\n" not in asks or _fills(asks, str(applied))):
        return True
    both = {t for t in (*tokens, *_LIKE.findall(asks)) if isinstance(was, str) and t in was}
    return any(t not in str(applied) for t in both)


def _fills(asks: str, applied: str) -> bool:
    """Whether what was applied is the text with something else in the tokens' places."""
    parts = [re.escape(part) for part in _TOKEN.split(asks)]
    return re.fullmatch(".*".join(parts), applied, re.DOTALL) is not None


def _same(one: Any, other: Any) -> bool:
    """As kubectl reads both: 1.0 is 1, and true is not 1."""
    return type(a := as_kubectl_reads(one)) is type(b := as_kubectl_reads(other)) and bool(a == b)


Leaf = tuple[Path, Any, Any, Any, Any]  # where; what target, current, applied and live have there


def _leaves(target: Object, current: Object | None, live: Object, variables: Collection[str]) -> Iterator[Leaf]:
    """Every value of the target's file that was applied, too, whatever it was then."""
    if (applied := last_applied(live)) is None:
        return
    pods = template_path(kind_of(target))
    for path, *values in _walk((), target, current or {}, applied, live):
        if not _aside(path, pods) and not _overlaid(path, pods, target, variables):
            yield (path, *values)


def _walk(path: Path, target: Any, current: Any, applied: Any, live: Any) -> Iterator[Leaf]:
    if applied is _NOTHING:
        return
    if isinstance(target, Mapping) and isinstance(applied, Mapping):
        for key, value in target.items():
            yield from _walk((*path, key), value, *(_member(o, key) for o in (current, applied, live)))
    elif isinstance(target, list) and isinstance(applied, list):
        by_name = all(isinstance(i, Mapping) and isinstance(i.get("name"), str) for i in target)
        for at, item in enumerate(target):
            name = item["name"] if by_name else ""
            others = (_item(o, at, name, len(target)) for o in (current, applied, live))
            yield from _walk((*path, at), item, *others)
    else:
        yield path, target, current, applied, live


def _member(value: Any, key: str) -> Any:
    return value.get(key, _NOTHING) if isinstance(value, Mapping) else _NOTHING


def _item(value: Any, at: int, name: str, count: int) -> Any:
    """The item of that name; where items have none, the one in that place of a list that is as long."""
    if not isinstance(value, list):
        return _NOTHING
    if name:
        return next((i for i in value if isinstance(i, Mapping) and i.get("name") == name), _NOTHING)
    return value[at] if len(value) == count else _NOTHING


def _aside(path: Path, pods: Sequence[str]) -> bool:
    if path[:1] != ("metadata",):
        in_pods = path[: len(pods)] == tuple(pods) and bool(pods)
        return in_pods and (path[-1:] == ("image",) or path[-2:] == ("image", "reference"))
    if path[1:2] == ("annotations",):
        return path[-1] in (LAST_APPLIED, CHANGE_CAUSE) or str(path[-1]).startswith(OURS)
    return path[1:2] != ("labels",)


def _overlaid(path: Path, pods: Sequence[str], target: Object, variables: Collection[str]) -> bool:
    """Whether the place is of a variable that the overlay sets."""
    if "env" not in path or path[: len(pods)] != tuple(pods):
        return False
    found: Any = target
    for step in path[: path.index("env") + 2]:
        found = found[step]
    return isinstance(found, Mapping) and found.get("name") in variables
