"""The frozen plan: everything that will be done, decided before anything is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.owners import Owner
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.record import Record, canonical
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.releases.deploying import Deploying
from rollback_lib.core.releases.tags import ReleaseRef, RepositoryIdentity
from rollback_lib.core.traffic.isolation import PlannedIsolation
from rollback_lib.core.wording import some

CREATE: Final = "create"
UPDATE: Final = "update"
RESTART: Final = "restart"
DELETE: Final = "delete"
NONE: Final = "none"
LEFT: Final = "left"
WRITING: Final = (CREATE, UPDATE, RESTART, DELETE)


class LeftBehind(msgspec.Struct, frozen=True, kw_only=True):
    """A ReplicaSet or a pod that is nobody's once its owner is deleted to be made again."""

    kind: str
    name: str
    uid: str

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)


class PlannedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one object. ``before`` and ``after`` are fingerprints (`core.kube.objects.fingerprint`)."""

    kind: str
    name: str
    change: str
    api_version: str = ""
    namespace: str = ""  # where it is not the plan's
    file: str = ""
    before: str = ""
    after: str = ""
    after_rollout: bool = False  # only once the pods that it selects are Ready
    recreate: bool = False  # deleted and made again, as accepted
    empty: bool = False  # a Service that selected no pod at all
    beyond: bool = False  # it carries an image of the team's, and we cannot put it back
    absent: bool = False  # it is not in the namespace, and left so
    leaves: tuple[LeftBehind, ...] = ()  # deleted once the one that is made again is Ready
    why: str = ""
    kept: tuple[str, ...] = ()  # fields that somebody else owns, with what they stay at; redacted
    diff: tuple[str, ...] = ()  # redacted
    owner: Owner | None = None  # another program's, and written all the same
    replicas: tuple[int | None, int | None] | None = None  # from, to: where the plan changes how many there are

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name, self.namespace)

    @property
    def change_key(self) -> str:
        """The key of the change that puts the object back or creates it."""
        return f"apply/{self.kind.lower()}/{self.name}"


class PlannedContainer(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Which image a container gets, and how we know."""

    name: str
    workload: str
    from_: str
    to: str
    digest: str = ""
    digests: tuple[str, ...] = ()
    rung: str = ""
    init: bool = False
    volume: bool = False
    own: bool = True

    @property
    def ref(self) -> ContainerRef:
        return ContainerRef(ObjectRef.parse(self.workload), self.name, self.init, self.volume)


class PlannedService(msgspec.Struct, frozen=True, kw_only=True):
    """One service: its objects, its containers, and when its turn is. Shared objects are the service ``(shared)``."""

    name: str
    wave: int
    objects: tuple[PlannedObject, ...]
    containers: tuple[PlannedContainer, ...] = ()


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a plain ``kubectl apply`` of the old manifests would leave behind; this plan removes it.

    ``container``: in which one it stands, where it stands in one; then ``part`` is ``what`` without that.
    """

    kind: str
    name: str
    what: str
    part: str = ""
    container: str = ""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.name)


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """An object that only the failed release had. ``change`` is delete or left."""

    kind: str
    name: str
    change: str
    why: str = ""
    api_version: str = ""
    namespace: str = ""  # where it is not the plan's
    before: str = ""
    ran: Mapping[str, str] = msgspec.field(default_factory=dict)  # container → the digest of its pods, for `undo`

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.api_version, self.kind, self.name, self.namespace)


class PlannedTag(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A mutable tag that is pointed at the restored image. ``from_`` and ``to`` are digests.

    ``release`` is what it names before, as far as that is known.
    """

    reference: str
    from_: str
    to: str
    release: str = ""


class StuckPod(msgspec.Struct, frozen=True, kw_only=True):
    """A StatefulSet whose not-Ready pod has to go before the old template can come back."""

    workload: str


class Has(NamedTuple):
    """The workloads of a release, as ``Deployment/cart``.

    ``judged``: the plan puts them back, or they are right already. ``gone``: not in the namespace, and not started.
    ``left``: there, and left as they are.
    """

    judged: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.judged, *self.gone, *self.left)

    @property
    def nothing_there(self) -> bool:
        """Whether it has workloads, and none of them is there."""
        return bool(self.gone) and len(self.gone) == len(self.all)

    @property
    def but(self) -> str:
        """What of it is not as the release has it, in words; empty where it is whole."""
        said = [f"not in the cluster: {some(self.gone)}"] if self.gone else []
        said += [f"left as {'it is' if len(self.left) == 1 else 'they are'}: {some(self.left)}"] if self.left else []
        return "; ".join(said)


class Plan(Record, frozen=True, kw_only=True):
    """plan.json. ``hash`` covers the decisions only: neither who runs it, nor warnings, diffs and times."""

    run: str
    application: str
    environment: str
    namespace: str
    cluster: ClusterIdentity
    current: ReleaseRef
    target: ReleaseRef
    services: tuple[PlannedService, ...]
    leftovers: tuple[Leftover, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    stuck: tuple[StuckPod, ...] = ()
    accepted: tuple[str, ...] = ()
    isolation: PlannedIsolation = PlannedIsolation()
    mutable_tags: tuple[MutableTag, ...] = ()
    bots: tuple[Bot, ...] = ()
    retag: tuple[PlannedTag, ...] = ()  # asked for: moved once the rollback has proven itself
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    proven: bool = True
    made_at: str = ""
    repository: RepositoryIdentity = RepositoryIdentity()  # whose releases these are
    healthy_pods: int = 0
    needs: tuple[str, ...] = ()  # what pods need or hold and was seen to stay, as Kind/name; looked at again to apply
    beside: tuple[str, ...] = ()  # what runs the team's images and cannot be put back, in no manifest; accepted
    undoes: str = ""  # the run that is undone
    undone_to: str = ""  # the release that ran before it
    ends: bool = False  # the run that is undone has the lock, or its copy is there: it is over with this one
    locked_by: str = ""  # who else held the lock, in words
    deploying: tuple[Deploying, ...] = ()  # what would overwrite this, and what could not be looked at; no decision
    hash: str = ""

    @property
    def writes(self) -> bool:
        """Whether anything is to be changed at all."""
        return self.changes_shop or bool(self.retag) or self.ends

    @property
    def changes_shop(self) -> bool:
        """Whether any object is to be changed; moving tags alone closes no traffic."""
        changes = [*(o.change for s in self.services for o in s.objects), *(o.change for o in self.orphans)]
        return any(change in WRITING for change in changes) or bool(self.stuck) or self.isolation.taken_over

    @property
    def closes(self) -> bool:
        """Whether traffic is closed meanwhile."""
        return self.isolation.closes and self.changes_shop

    def sticks(self, planned: PlannedObject) -> bool:
        """Whether the object is a StatefulSet whose pods are to be deleted where they hold it up."""
        if planned.ref.type != "StatefulSet":
            return False
        return planned.recreate or any(s.workload == planned.name for s in self.stuck)

    @property
    def has(self) -> Has:
        """The workloads of its release: what is counted is this, and not what happened to be looked at."""
        mine = [
            (f"{o.kind}/{o.name}" if o.beyond else str(o.ref), o)
            for s in self.services
            for o in s.objects
            if o.ref.type in AWAITED or o.beyond
        ]
        return Has(
            judged=tuple(name for name, o in mine if o.change != LEFT),
            gone=tuple(name for name, o in mine if o.change == LEFT and o.absent),
            left=(*(name for name, o in mine if o.change == LEFT and not o.absent), *self.beside),
        )

    @property
    def waves(self) -> tuple[tuple[PlannedService, ...], ...]:
        """The services in the order in which they are applied; the shared objects go first."""
        numbers = sorted({s.wave for s in self.services})
        return tuple(tuple(s for s in self.services if s.wave == n) for n in numbers)


def freeze(plan: Plan) -> Plan:
    """The plan with its hash: sha256 of the canonical JSON of the decisions. Only for a plan that is made now: of one
    that was stored the hash is believed, since what it is made of changes."""
    return msgspec.structs.replace(plan, hash=hashlib.sha256(canonical(decisions(plan))).hexdigest())


def decisions(plan: Plan) -> dict[str, Any]:
    """What the hash covers: codes, names and values, and no word of ours."""
    return {
        "application": plan.application,
        "environment": plan.environment,
        "cluster": [plan.cluster.context, plan.cluster.server, plan.cluster.namespace, plan.cluster.namespace_uid],
        "target": [plan.target.release, plan.target.commit],
        "services": [
            [s.name, s.wave] + [_decided(o) for o in s.objects] + [[c.workload, c.name, c.to] for c in s.containers]
            for s in plan.services
        ],
        "orphans": [[o.kind, o.name, o.change] for o in plan.orphans],
        "accepted": sorted(plan.accepted),
        "isolation": plan.isolation.decisions,
        "retag": [[t.reference, t.from_, t.to] for t in plan.retag],
        "refusals": [r.decision for r in plan.refusals],
    }


def _decided(planned: PlannedObject) -> list[object]:
    """Fingerprints leave replicas out, which make no plan stale; changing them is decided all the same."""
    found = [planned.kind, planned.name, planned.change, planned.before, _after(planned)]
    return [*found, planned.after_rollout, planned.recreate, *(planned.replicas or ())[1:]]


def _after(planned: PlannedObject) -> str:
    """A restart is marked with the time of its plan: the same decision, made a minute later, is the same plan."""
    return "" if planned.change == RESTART else planned.after
