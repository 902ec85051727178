"""What each capability needs to be allowed: preflight, `doctor`, README's Role and jenkins/rbac.yaml come from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.kube.kinds import KINDS

LISTED: Final = ("list",)  # looks at all of a kind, which no rule can limit to names


class Right(msgspec.Struct, frozen=True):
    """Verbs on a kind. ``kind`` empty: the one that the capability is about; ``named``: only on objects known by name,
    so that a rule may be limited to them."""

    verbs: tuple[str, ...]
    kind: str = ""
    subresource: str = ""
    named: bool = False


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rollback does, and what it needs for that.

    ``why``: what it is for. ``lost``: what a run goes without where it is not allowed; empty: such a run is refused.
    ``when``: which runs need it; empty: each.
    """

    rights: tuple[Right, ...]
    why: str = ""
    lost: str = ""
    when: str = ""


_MADE: Final = Right(("create",))
_READ_BACK: Final = Right(("get",), named=True)
_GONE: Final = Right(("delete",), named=True)
_PROXY: Final[Mapping[str, str]] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

CLUSTER: Final = Capability(
    rights=(Right(("get",), "Namespace", named=True),), why="nothing else proves that this is the right cluster"
)
PUT_BACK: Final = Capability(
    rights=(_READ_BACK, Right(LISTED), Right(("patch",), named=True)), why="objects of this kind are put back"
)
WATCH: Final = Capability(rights=(Right(LISTED),), why="how a rollout goes is seen by it")
LOCK: Final = Capability(
    rights=(_MADE, Right(("get", "update", "delete"), named=True)), why="the lock is kept in it"
)  # fmt: skip
SMOKE: Final = Capability(
    rights=(Right(("get",), "Pod", "proxy"),), why="smoke tests go through it", when="where rollback.yaml has some"
)
COMMAND: Final = Capability(
    rights=(Right(("get",), "Pod"), Right(("create",), "Pod", "exec")), why="smoke tests run a command in it",
    when="where rollback.yaml has such",
)  # fmt: skip
CREATE: Final = Capability(
    rights=(Right(LISTED), _MADE), why="what the failed release removed comes back", when="where it removed one"
)
DELETE: Final = Capability(
    rights=(Right(LISTED), _READ_BACK, _GONE), why="what only the failed release had goes", when="where it added one"
)
AGAIN: Final = Capability(
    rights=(Right(LISTED), _READ_BACK, _MADE, _GONE), why="it is made again", when="with --accept recreate:KIND/NAME"
)
LEAVES: Final = Capability(
    rights=(Right(("get", "delete")),), why="what an object leaves that is made again goes",
    when="with --accept recreate:KIND/NAME",
)  # fmt: skip
STUCK: Final = Capability(
    rights=(Right(("get", "delete"), "Pod"),), why="a StatefulSet that is stuck on a bad pod would stay stuck",
    when="where one is",
)  # fmt: skip
CLOSE: Final = Capability(
    rights=(Right(LISTED), _READ_BACK, Right(("patch",), named=True)), why="traffic is closed and opened at it",
    when="with --isolate",
)  # fmt: skip
PAGE: Final = Capability(
    rights=(Right(LISTED), _READ_BACK, _MADE, _GONE), why="our maintenance page is made of it",
    when="with --isolate and `maintenance: {}`",
)  # fmt: skip
LOGS: Final = Capability(
    rights=(Right(("get",), "Pod", "log"),), lost="a failure would come without its last log lines"
)
EVENTS: Final = Capability(rights=(Right(LISTED, "Event"),), lost="a failure would come without its events")
AUTOSCALERS: Final = Capability(
    rights=(Right(LISTED, "HorizontalPodAutoscaler"),), lost="the replicas that an autoscaler set would not be kept"
)
TRAFFIC: Final = Capability(
    rights=(Right(LISTED, "Service"), Right(LISTED, "Ingress"), Right(LISTED, "HTTPRoute")),
    lost="it would not be known whether traffic is closed at one",
)  # fmt: skip
REVISIONS: Final = Capability(
    rights=(Right(LISTED, "ControllerRevision"),),
    lost="what began with the failed release would be told by ReplicaSets alone",
)
LEDGER: Final = Capability(
    rights=(Right(("get", *LISTED, "create", "update"), "ConfigMap"),),
    lost="the ledger could not be kept, and a rollback goes as without one",
)  # fmt: skip
COPY: Final = Capability(
    rights=(Right(("get", "create", "update"), "ConfigMap"),),
    lost="a run that dies could be finished only where its run directory is",
)  # fmt: skip
TIDY: Final = Capability(
    rights=(Right((*LISTED, "delete"), "ConfigMap"),),
    lost="copies of runs that are over, and records that are too old, would stay in the cluster",
)  # fmt: skip
AUTOMATIC: Final = Capability(
    rights=(Right(("get", "create", "update"), "ConfigMap"),), why="rollbacks that a failed deploy starts are counted",
    when="where one may start them",
)  # fmt: skip


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

    @property
    def part(self) -> str:
        """What of a kind: ``Pod/log``."""
        return f"{self.kind}/{self.subresource}" if self.subresource else self.kind

    @property
    def what(self) -> str:
        """Of which object, as far as it is known: ``deployments/cart``."""
        return f"{self.resource}/{self.name}" if self.name else self.resource

    def is_met(self, rules: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these rules allow it."""
        return allows(rules, self.verb, KINDS[self.kind].group, self.resource, self.name)


def needs(capability: Capability, kind: str = "", *names: str, ahead: bool = False) -> tuple[Need, ...]:
    """What the capability needs, of a ``kind`` where it is about one, and of these objects by name.

    ``ahead``: asked before any plan, so that what only some runs need may be missing.
    """
    ahead = ahead and bool(capability.when)
    why = capability.lost or capability.why
    return tuple(
        Need(
            verb=verb, kind=right.kind or kind, name=name, subresource=right.subresource,
            optional=bool(capability.lost) or ahead,
            why=f"{why} ({capability.when}; such a run would be refused)" if ahead else why,
        )
        for right in capability.rights
        for name in (names if right.named else ()) or ("",)
        for verb in right.verbs
    )  # fmt: skip


def proxied(method: str) -> tuple[Need, ...]:
    """What a request to a pod needs: the API server judges it by its method."""
    return tuple(msgspec.structs.replace(n, verb=_PROXY.get(method, n.verb)) for n in needs(SMOKE))


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


def each_once(found: Iterable[Need]) -> tuple[Need, ...]:
    """Each right once, in order; one that a run is refused without counts before one that it could do without."""
    every = list(found)
    strict = {(n.verb, n.resource, n.name) for n in every if not n.optional}
    kept: dict[tuple[str, ...], Need] = {}
    for need in every:
        right = (need.verb, need.resource, need.name)
        if not need.optional or right not in strict:
            kept.setdefault((*right, need.why) if need.optional else right, need)
    return tuple(kept.values())
