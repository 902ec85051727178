"""Closing traffic at one object and opening it exactly as it was, from what is kept on the object itself.

What traffic goes by is a set of *slots*: the keys of a Service's selector, the backends of an Ingress or HTTPRoute.
Closing changes slots and keeps, in an annotation, what each was and what it became. Opening goes by three ways: a slot
that is as we closed it goes back; one that somebody else changed meanwhile stays and is reported. So `reopen` needs no
run directory, and a program that undoes an isolation is seen.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube import json_patch
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object, fingerprint, kind_of, notes_of, ref_of
from rollback_lib.core.reasons import Reason
from rollback_lib.core.record import canonical

ORIGINAL: Final = "rollback-lib/original"  # annotation: what was changed, as `Closing`
CLOSED: Final = "rollback-lib/closed"  # label, and the selector's additional key: the run that closed it
KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {"service": ("Service",), "ingress": ("Ingress", "HTTPRoute")}
CLOSABLE: Final = ("Service", "Ingress", "HTTPRoute")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go while traffic is closed: pods by ``selector``, or a Service and its port."""

    selector: Mapping[str, str] = {}
    service: str = ""
    port: int = 0


class Slot(msgspec.Struct, frozen=True):
    """One value that traffic goes by: what it was and what it is while closed. None: not there."""

    original: Any = None
    closed: Any = None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """The annotation. ``since`` is RFC 3339, UTC."""

    run: str
    since: str
    slots: Mapping[str, Slot]
    page: Page | None = None


class Opened(NamedTuple):
    """The object as it is when traffic is open, and what somebody else changed meanwhile, in words."""

    object: Object
    kept: tuple[str, ...] = ()


def closing(live: Mapping[str, Any]) -> Closing | None:
    """How the object was closed; None where it is not, or nothing readable says how."""
    text = notes_of(live).get(ORIGINAL)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Closing)
    except (msgspec.MsgspecError, ValueError):
        return None


def closed_by(live: Mapping[str, Any]) -> str:
    """The run that the label names; empty where nothing of ours closed the object."""
    return str(((live.get("metadata") or {}).get("labels") or {}).get(CLOSED) or "")


def close(live: Mapping[str, Any], page: Page | None, *, run: str, since: str) -> Object:
    """The object closed. Without ``page`` a Service selects nothing; an Ingress or HTTPRoute needs one."""
    result = copy.deepcopy(dict(live))
    slots: dict[str, Slot] = {}
    extra = (CLOSED,) if page is None else tuple(page.selector)
    for name, place in _places(result, extra).items():
        was = _get(result, place)
        now = _closed_value(place, was, page, run)
        _set(result, place, now)
        slots[name] = Slot(was, now)
    meta = result.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), CLOSED: run}
    record = canonical(Closing(run=run, since=since, slots=slots, page=page)).decode()
    meta["annotations"] = {**(meta.get("annotations") or {}), ORIGINAL: record}
    return result


def opened(live: Mapping[str, Any]) -> Opened:
    """The object as it would be with traffic open; itself where it is not closed."""
    result, record = copy.deepcopy(dict(live)), closing(live)
    kept: list[str] = []
    if record is not None:
        places = _places(result, tuple(record.slots))
        for name, slot in record.slots.items():
            if name not in places:
                kept.append(f"{name}: somebody else took it away")
            elif (now := _get(result, places[name])) == slot.closed:
                _set(result, places[name], slot.original)
            elif now != slot.original:
                kept.append(
                    f"{name}: somebody else set it to {_said(now)}; before the run it was {_said(slot.original)}"
                )
        kept += [
            f"{name}: somebody else added it"
            for name in places
            if name not in record.slots and _get(result, places[name])
        ]
    for field, key in (("annotations", ORIGINAL), ("labels", CLOSED)):
        found = {k: v for k, v in (result["metadata"].get(field) or {}).items() if k != key}
        if found:
            result["metadata"][field] = found
        else:
            result["metadata"].pop(field, None)
    return Opened(result, tuple(kept))


def as_open(obj: Mapping[str, Any] | None) -> Object | None:
    """The object as a plan sees it: what an isolation changed is no change of the release."""
    return None if obj is None else opened(obj).object if closed_by(obj) or closing(obj) else dict(obj)


def operations(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Operation, ...]:
    """The JSON patch between two states of one object: its spec, labels and annotations."""
    spec = sorted({*(now.get("spec") or {}), *(wanted.get("spec") or {})})
    places: list[tuple[str, ...]] = [("spec", name) for name in spec]
    for field in ("labels", "annotations"):
        before, after = ((o.get("metadata") or {}).get(field) or {} for o in (now, wanted))
        whole = not (before and after)
        places += [("metadata", field)] if whole else [("metadata", field, key) for key in sorted({*before, *after})]
    return tuple(json_patch.change(now, wanted, places))


def while_closed(live: Mapping[str, Any], planned: Sequence[Operation], after: str) -> Object | None:
    """A closed object with a planned patch made to what it is when open; still closed, and opening leads to the plan.

    ``after``: the fingerprint of the open object with the patch. None: it is no longer what the patch is for.
    """
    record = closing(live)
    if record is None:
        return None
    is_open = opened(live).object
    if fingerprint(is_open) == after:
        return dict(live)
    found = json_patch.done(is_open, json_patch.of_content(planned))
    return None if found is None else close(found, record.page, run=record.run, since=record.since)


def holds(live: Mapping[str, Any] | None) -> bool:
    """Whether the object is closed as we closed it."""
    record = closing(live or {})
    if live is None or record is None:
        return False
    places = _places(live, tuple(record.slots))
    return all(
        name in places and _get(live, places[name]) == slot.closed
        for name, slot in record.slots.items()
        if slot.closed != slot.original
    )


def undone(live: Mapping[str, Any] | None, ref: ObjectRef) -> str:
    """Who opened again what we had closed, in a sentence; empty where it is closed still."""
    if live is None:
        return f"{ref} was closed, and is gone."
    if holds(live):
        return ""
    return f"{ref} was closed, but {_manager(live)} opened it again."


def _manager(live: Mapping[str, Any]) -> str:
    """Who last wrote what traffic goes by, by managedFields."""
    wrote = [
        (str(f.get("time") or ""), str(f.get("manager") or ""))
        for f in (live.get("metadata") or {}).get("managedFields") or []
        if any(part in ((f.get("fieldsV1") or {}).get("f:spec") or {}) for part in _FIELDS) and not f.get("subresource")
    ]
    return max(wrote)[1] if wrote else "somebody else"


_FIELDS: Final = ("f:selector", "f:rules", "f:defaultBackend")


def cannot_close(live: Mapping[str, Any], runs: Sequence[str]) -> Refusal | None:
    """Why this object cannot be closed, and what to do; None where it can. What ``runs`` have closed is ours."""
    ref = ref_of(live)
    what = str(ref)

    def no(reason: Reason, text: str) -> Refusal:
        return Refusal(f"{what} {text}", reason=reason, subject=what)

    if closed_by_another(live, runs):
        return by_another(live)
    spec = live.get("spec") or {}
    if ref.type != "Service":
        if not any(_get(live, place) for place in _places(live, ()).values()):
            text = "names no backend, so there is nothing to close. Take it out of isolation.targets."
            return no(Reason.NO_BACKEND, text)
        return None
    if spec.get("type") == "ExternalName":
        text = "is an ExternalName: it names an outside host and selects nothing. Close what points at it."
        return no(Reason.EXTERNAL_NAME, text)
    if not spec.get("selector"):
        return no(
            Reason.NO_SELECTOR,
            "has no selector: closing it would destroy the Endpoints that somebody made by hand. "
            "Close it where requests come in (isolation mode ingress).",
        )
    if spec.get("clusterIP") == "None":
        return no(
            Reason.HEADLESS,
            "is headless: its clients have the pods' own addresses, so closing it stops nobody. "
            "Close the Service that they go through.",
        )
    return None


def closed_by_another(live: Mapping[str, Any], runs: Sequence[str]) -> bool:
    """Whether the object is closed, and by none of these runs."""
    record = closing(live)
    return record.run not in runs if record else bool(closed_by(live))


def by_another(live: Mapping[str, Any]) -> Refusal:
    """The refusal to touch what another run or a person has closed."""
    what = str(ref_of(live))
    return Refusal(closed_already(live), reason=Reason.CLOSED_ALREADY, subject=what, facts=(closed_by(live),))


def closed_already(live: Mapping[str, Any]) -> str:
    """By which run and since when an object is closed, and what to do about it."""
    what, record = ref_of(live), closing(live)
    if record is None:
        return (
            f"{what} has the label {CLOSED} and nothing readable that says how it was: somebody changed it by hand. "
            f"Put its backends back, then take off the label."
        )
    return (
        f"{what} is closed since {record.since} by run {record.run}, which has not opened it. Finish that run with "
        f"`rollback resume`, or open it with `rollback reopen`."
    )


def backend_services(live: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the Services behind an Ingress or HTTPRoute."""
    found: dict[str, None] = {}
    for place in _places(live, ()).values():
        value = _get(live, place)
        if place[-1] == "backendRefs":
            found |= dict.fromkeys(str(r.get("name")) for r in value or [] if r.get("kind", "Service") == "Service")
        elif place[-1] != "filters" and (value or {}).get("service"):
            found[str(value["service"].get("name"))] = None
    return tuple(found)


# -- slots


def _places(obj: Mapping[str, Any], extra: Sequence[str]) -> dict[str, tuple[str | int, ...]]:
    """Slots by name, each with its place in the object. ``extra``: keys of a selector that may be missing now."""
    found: dict[str, tuple[str | int, ...]] = {}
    if kind_of(obj) == "Service":
        keys = {**((obj.get("spec") or {}).get("selector") or {}), **dict.fromkeys(extra)}
        return {key: ("spec", "selector", key) for key in sorted(keys)}
    for name, place in _backends(obj):
        number = 2
        unique = name
        while unique in found:
            unique, number = f"{name} #{number}", number + 1
        found[unique] = place
    return found


def _backends(obj: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    spec = obj.get("spec") or {}
    if kind_of(obj) == "Ingress":
        if spec.get("defaultBackend"):
            yield "default backend", ("spec", "defaultBackend")
        for i, rule in enumerate(spec.get("rules") or []):
            for j, path in enumerate((rule.get("http") or {}).get("paths") or []):
                name = f"{rule.get('host') or '*'}{path.get('path') or ''} ({path.get('pathType')})"
                yield name, ("spec", "rules", i, "http", "paths", j, "backend")
        return
    for i, rule in enumerate(spec.get("rules") or []):
        name = str(rule.get("name") or "rule " + json.dumps(rule.get("matches") or [], sort_keys=True))
        yield name, ("spec", "rules", i, "backendRefs")
        yield f"{name} filters", ("spec", "rules", i, "filters")


def _closed_value(place: Sequence[str | int], was: Any, page: Page | None, run: str) -> Any:
    last = place[-1]
    if place[:2] == ("spec", "selector"):
        return page.selector.get(str(last)) if page else run if last == CLOSED else was
    assert page is not None
    if not was:
        return was
    if last == "filters":  # a mirror sends requests to the shop as well
        return [f for f in was if f.get("type") != "RequestMirror"] or None
    if last == "backendRefs":
        return [{"group": "", "kind": "Service", "name": page.service, "port": page.port, "weight": 1}]
    return {"service": {"name": page.service, "port": {"number": page.port}}}


def _get(obj: Any, place: Sequence[str | int]) -> Any:
    for part in place:
        obj = obj[int(part)] if isinstance(obj, list) else (obj or {}).get(part)
    return obj


def _set(obj: Any, place: Sequence[str | int], value: Any) -> None:
    *way, last = place
    for part in way:
        obj = obj[int(part)] if isinstance(obj, list) else obj.setdefault(part, {})
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


def _said(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, sort_keys=True)
