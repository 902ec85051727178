"""What a rollback has to be allowed to do, and reading what the server says that we may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS, ORPHANS, WRITTEN
from rollback_lib.core.settings.checks import Ask


def allows(rules: Sequence[Mapping[str, Any]], verb: str, group: str, plural: str, name: str) -> bool:
    """Whether the rules of a SelfSubjectRulesReview allow it, those limited by ``resourceNames`` included."""

    def has(rule: Mapping[str, Any], key: str, value: str) -> bool:
        listed = rule.get(key) or []
        return "*" in listed or value in listed

    return any(
        has(r, "verbs", verb)
        and has(r, "apiGroups", group)
        and has(r, "resources", plural)
        and (not r.get("resourceNames") or name in r["resourceNames"])
        for r in rules
    )


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rollback has to be allowed to do. ``optional``: it goes without, and ``why`` says at what price.

    ``name`` is empty for a verb on all objects of the kind; ``subresource`` such as ``log``.
    """

    verb: str
    kind: str
    name: str = ""
    subresource: str = ""
    optional: bool = False
    why: str = ""

    @property
    def resource(self) -> str:
        """As a Role has it: ``pods/log``."""
        plural = KINDS[self.kind].plural
        return f"{plural}/{self.subresource}" if self.subresource else plural

    def is_met(self, rules: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these rules allow it."""
        return allows(rules, self.verb, KINDS[self.kind].group, self.resource, self.name)


def of_lock(lease: str) -> tuple[Need, ...]:
    """What the lock needs; without it nothing keeps two runs, or a run and a deploy, apart."""
    return tuple(
        Need(verb=verb, kind="Lease", name="" if verb == "create" else lease, why="the lock is kept in it")
        for verb in ("get", "create", "update", "delete")
    )


def of_copy() -> tuple[Need, ...]:
    """What the copy of a run in the cluster needs; without it only the run directory can finish a run that died."""
    why = "a run that dies could be finished only where its run directory is"
    return tuple(
        Need(verb=verb, kind="ConfigMap", optional=True, why=why) for verb in ("get", "create", "update", "delete")
    )


_VERBS: Final[Mapping[str, str]] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def of_requests(asks: Iterable[Ask]) -> tuple[Need, ...]:
    """What smoke tests and flows need: the API server takes a request to a pod by its method, and a command as exec."""
    found = []
    for ask in asks:
        if ask.command:
            found.append(Need(verb="create", kind="Pod", subresource="exec", why="smoke tests run a command in it"))
        elif not ask.url:
            verb = _VERBS.get(ask.method, "get")
            found.append(Need(verb=verb, kind="Pod", subresource="proxy", why="smoke tests go through it"))
    return tuple(dict.fromkeys(found))


def needs(objects: Iterable[ObjectRef], namespace: str, *, lease: str, smoke: bool) -> tuple[Need, ...]:
    """What a rollback of these objects needs. ``smoke``: there are smoke tests, asked through pods.
    ``lease``: the lock's name.
    """
    named = [ref for ref in dict.fromkeys(objects) if ref.type in WRITTEN and not ref.namespace]
    kinds = sorted({ref.kind for ref in named}, key=WRITTEN.index)
    found = [Need(verb="get", kind="Namespace", name=namespace)]
    for kind in kinds:
        mine = [ref.name for ref in named if ref.kind == kind]
        found += [Need(verb="get", kind=kind, name=n) for n in mine]
        found.append(Need(verb="list", kind=kind))
        found += [Need(verb="patch", kind=kind, name=n) for n in mine]
    found += [Need(verb="list", kind="Pod"), Need(verb="list", kind="ReplicaSet")]
    if {"StatefulSet", "DaemonSet"} & set(kinds):
        found.append(Need(verb="list", kind="ControllerRevision"))
    found += of_lock(lease)
    if smoke:
        found.append(Need(verb="get", kind="Pod", subresource="proxy", why="smoke tests go through it"))
    may_do_without = [
        Need(verb="get", kind="Pod", subresource="log", why="a failure would come without its last log lines"),
        Need(verb="list", kind="Event", why="a failure would come without its events"),
        Need(verb="list", kind="HorizontalPodAutoscaler", why="the replicas that an autoscaler set would not be kept"),
        Need(verb="list", kind="Ingress", why="it would not be known whether traffic is closed at one"),
        Need(verb="list", kind="HTTPRoute", why="it would not be known whether traffic is closed at one"),
    ]
    may_do_without += [
        Need(verb=verb, kind="ConfigMap", why="the ledger could not be kept, and a rollback goes as without one")
        for verb in ("get", "list", "create", "update", "delete")
    ]
    if "StatefulSet" in kinds:
        may_do_without.append(
            Need(verb="delete", kind="Pod", why="a StatefulSet that is stuck on a bad pod would stay stuck")
        )
    may_do_without += of_copy()
    for kind in kinds:
        may_do_without.append(Need(verb="create", kind=kind, why="what the failed release removed would stay away"))
        if kind in ORPHANS:
            may_do_without.append(Need(verb="delete", kind=kind, why="what only the failed release had would stay"))
    known = {(n.verb, n.resource) for n in found}
    optional = [n for n in may_do_without if (n.verb, n.resource) not in known]
    return (*found, *(msgspec.structs.replace(n, optional=True) for n in optional))
