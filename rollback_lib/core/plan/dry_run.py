"""Reading what the server would do: one comparison of what was asked with what it returned, warnings included.

A dry run is read, not only survived (design §6): a yes that leaves the old value, an image that admission changed, a
list that names one thing twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.json_patch import Operation, covers, pointer
from rollback_lib.core.kube.kinds import KINDS, template_path
from rollback_lib.core.kube.objects import Object, containers, kind_of, name_of, named_images, template
from rollback_lib.core.kube.snapshot import DryRun
from rollback_lib.core.plan import decide, recreate
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.reasons import Reason

# The server's own words for what `duplicates` says with names in it.
_TWICE: Final = re.compile(r"hides previous definition of|duplicate (port|name|environment variable)")
# How the server says that it is the field that cannot change, and not its value that is wrong or somebody else's.
_FIXED: Final = re.compile(r"field is immutable|may not change once set|updates to \w+ spec for fields other than")
_TAKEN: Final = "already allocated"  # a node port or an address that another Service has, in whatever namespace


class Reading(msgspec.Struct, frozen=True):
    """What a dry run says of a draft. ``draft.after`` is what the server would store, None where it refuses."""

    draft: Draft
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()


def ask_anew(draft: Draft, said: DryRun) -> Object | None:
    """The object to try as a new one, where the server would not make the live one what the release asks for."""
    assert draft.live is not None
    if said.object is None:
        if said.status != 422 or not _FIXED.search(said.refused):
            return None
    elif not _not_taken(draft, said.object):
        return None
    return recreate.anew(draft.target, draft.live, draft.operations)


def read(
    draft: Draft, said: DryRun, wanted: Object | None, anew: DryRun | None, accepted: Collection[str],
    services: Collection[Object] = (),
) -> Reading:  # fmt: skip
    """The draft as the server would store it. ``wanted`` and ``anew``: the same as a new object, where it was tried.
    ``services``: those of the namespace."""
    kept = () if said.object is None else _not_taken(draft, said.object)
    new = anew.object if anew is not None else None
    if wanted is not None and anew is not None and (new is None or said.object is None or _helps(kept, new)):
        if new is not None:
            return _made_again(draft, said, wanted, anew, kept, accepted)
        if f"recreate:{draft.ref}" in accepted:
            return Reading(draft, (refused_by_server(draft, anew, "create", services),))
    if said.object is None:
        return Reading(draft, (refused_by_server(draft, said, services=services, anew=anew),))
    refusals = [*_policies(draft, said), *_images_changed(draft, said.object)]
    refusals += [
        Refusal(
            f"{draft.ref}: the server says yes to the old {_dotted(o)}, but keeps its own.",
            code=f"skip:{draft.ref}",
            reason=Reason.KEEPS_ITS_OWN,
            subject=str(draft.ref),
            facts=(_dotted(o),),
        )
        for o in kept
        if o.op != "remove"  # what a removed field gets by default may be what it was
    ]
    return Reading(
        msgspec.structs.replace(decide.marked(draft, said.object), after=said.object),
        tuple(refusals), tuple(_warnings(draft, said)),
    )  # fmt: skip


def _made_again(
    draft: Draft, said: DryRun, wanted: Object, anew: DryRun, kept: Collection[Operation], accepted: Collection[str]
) -> Reading:
    assert draft.live is not None
    assert anew.object is not None
    if said.object is None:
        seen: tuple[str, ...] = (said.refused,)
        why = f"the server refuses the release's manifest: {said.refused}"
    else:
        seen = tuple(dict.fromkeys(map(_dotted, kept)))
        why = f"the server says yes to the release's {', '.join(seen)} and does not do it"
    if blocked := recreate.blocked(draft.live):
        text = f"{draft.ref}: {why}; and it is not made again: {blocked}."
        refusal = Refusal(
            text, code=f"skip:{draft.ref}", reason=Reason.NOT_MADE_AGAIN, subject=str(draft.ref), facts=seen
        )
        return Reading(draft, (refusal,))
    code = f"recreate:{draft.ref}"
    refusal = Refusal(
        f"{draft.ref}: {why}. It would have to be {recreate.meaning(draft.live, wanted)}.",
        code=code, fix=f"Or leave it as it is: --accept skip:{draft.ref}.",
        reason=Reason.IMMUTABLE_FIELD, subject=str(draft.ref), facts=seen,
    )  # fmt: skip
    if code not in accepted:
        return Reading(draft, (refusal,))
    after = recreate.as_tried(anew.object, wanted)
    marked = decide.marked(draft, after)
    changed = msgspec.structs.replace(
        marked, after=after, why=recreate.meaning(draft.live, wanted),
        anew=recreate.anew(draft.target, draft.live, marked.operations),
    )  # fmt: skip
    return Reading(
        changed, (refusal, *_policies(draft, anew), *_images_changed(draft, after)), tuple(_warnings(draft, anew))
    )


def _helps(kept: Collection[Operation], new: Object) -> bool:
    """Whether a new object would have what the live one does not take."""
    return any(not _is_kept(o, new) for o in kept)


def _not_taken(draft: Draft, after: Object) -> tuple[Operation, ...]:
    """The operations that the server says yes to and does not do; a removed field carries the value that it keeps."""
    where = pointer(template_path(kind_of(draft.target)))
    tests = {o.path: o.value for o in draft.operations if o.op == "test"}
    found = []
    for operation in draft.operations:
        if operation.op == "test" or operation.path == where or operation.path.startswith("/metadata/annotations"):
            continue
        if operation.op == "remove":
            operation = Operation("remove", operation.path, tests.get(operation.path))
        if _is_kept(operation, after):
            found.append(operation)
    return tuple(found)


def _is_kept(operation: Operation, after: Object) -> bool:
    there = _at(after, operation.path)
    if operation.op == "remove":
        return there is not None and there == operation.value
    return not covers(there, operation.value)


def _dotted(operation: Operation) -> str:
    return operation.path.strip("/").replace("/", ".")


def _at(obj: Any, path: str) -> Any:
    for part in path.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(obj, Mapping):
            obj = obj.get(part)
        elif isinstance(obj, list) and part.isdigit() and int(part) < len(obj):
            obj = obj[int(part)]
        else:
            return None
    return obj


def _images_changed(draft: Draft, after: Object) -> Iterator[Refusal]:
    """An admission policy may add to the template; the image is the plan's, or the rollback proves nothing."""
    images = {ref: image.text for ref, image in named_images(after)}
    for ref, image in named_images(draft.target):
        if (got := images.get(ref)) != image.text:
            yield Refusal(
                f"{draft.ref}: an admission policy changes the image of {ref.what} {ref.name} "
                f"from {image.text} to {got}.",
                reason=Reason.IMAGE_CHANGED,
                subject=str(draft.ref),
                facts=(ref.field, ref.name, image.text, str(got)),
            )


def _policies(draft: Draft, said: DryRun) -> Iterator[Refusal]:
    for warning in said.warnings:
        if "PodSecurity" in warning:
            yield Refusal(
                f"{draft.ref}: {warning}", code=f"policy:{name_of(draft.target)}",
                reason=Reason.POLICY, subject=str(draft.ref), facts=(warning,),
            )  # fmt: skip


def _warnings(draft: Draft, said: DryRun) -> Iterator[str]:
    twice = list(duplicates(draft.target))
    for warning in said.warnings:
        if "PodSecurity" not in warning and not (twice and _TWICE.search(warning)):
            yield f"{draft.ref}: {warning}"
    for text in twice:
        yield f"{draft.ref}: {text}. The next `kubectl apply` may lose all but one: take one out of the manifest."


def duplicates(target: Mapping[str, Any]) -> Iterator[str]:
    """What a container of the release lists twice. The server takes it, and a later apply may lose both entries
    (kubernetes/kubernetes#113482)."""
    for _, container in containers(template(target)):
        for key, what, name in (
            ("env", "variable", lambda e: e.get("name")),
            ("ports", "port", lambda e: f"{e.get('containerPort')}/{e.get('protocol') or 'TCP'}"),
        ):
            listed = container.get(key)
            names = [name(e) for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []
            for one in dict.fromkeys(n for n in names if names.count(n) > 1):
                yield f"container {container.get('name')} lists {what} {one} {_times(names.count(one))}"


def _times(number: int) -> str:
    return "twice" if number == 2 else f"{number} times"


def placed(refusal: Refusal, wrong: Sequence[tuple[str, str, str]]) -> Refusal:
    """The refusal with where its reason stands: (file and line, field, what stands there) of what only text may be."""
    if not wrong:
        return refusal
    said = "; ".join(f"{place}: {field} is {what}, where only text may be" for place, field, what in wrong)
    fix = refusal.fix or "Put it in quotes there, or leave the object as it is."
    return msgspec.structs.replace(refusal, text=f"{refusal.text.rstrip('.')}. {said}.", fix=fix)


def is_taken(found: DryRun) -> bool:
    """Whether a node port or an address is another Service's: we saw so, or the server says it."""
    return found.taken or _TAKEN in found.refused


def refused_by_server(
    draft: Draft, found: DryRun, verb: str = "", services: Collection[Object] = (), anew: DryRun | None = None
) -> Refusal:
    """The refusal for a dry run that did not pass, nor did one as a new object (``anew``), where that was tried.
    ``services``: those of the namespace."""
    kind, name = kind_of(draft.target), name_of(draft.target)
    answers = [found] if anew is None else [found, anew]
    status, said = found.status, "; nor does it take a new one: ".join(a.refused for a in answers)
    taken = any(map(is_taken, answers))
    verb = verb or ("create" if draft.live is None else "patch")
    if status == 403 and "forbidden: User" in said:
        # the right to create cannot be limited to a name
        what, code = (KINDS[kind].plural, kind) if verb == "create" else (f"{KINDS[kind].plural}/{name}", name)
        return Refusal(
            f"we may not {verb} {what}.",
            code=f"permission:{code}",
            fix=f"Allow `get` and `{verb}` on {KINDS[kind].plural} in the Role.",
            reason=Reason.NO_RIGHT,
            subject=what,
            facts=(verb,),
        )
    fix = ""
    if taken and (held := recreate.holders(draft.target, services)):
        held_by = "; ".join(held)
        fix = f"{held_by[0].upper()}{held_by[1:]}, and gives it up only after this one "
        fix += (
            "would have it. Give that one another (`kubectl edit`), then plan again; one that is deleted is not made "
        )
        fix += "again by a rollback."
    elif taken:
        fix = (
            "Another Service has it, maybe in another namespace (`kubectl get services --all-namespaces`), so one that "
            "is made again would not get it either. Free it; then plan again."
        )
    text = f"{draft.ref}: the server refuses the release's manifest: {said}"
    return Refusal(
        f"{text}." if fix else text, code=f"skip:{kind}/{name}", fix=fix,
        reason=Reason.ADDRESS_TAKEN if taken else Reason.SERVER_REFUSES, subject=str(draft.ref),
        facts=(str(status), *(a.refused for a in answers if not a.taken)),  # where we saw it, the words are ours
    )  # fmt: skip
