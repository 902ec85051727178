"""Deployments: which ReplicaSet has the template, how many pods each may have, and how it goes."""

from __future__ import annotations

from typing import Any, Final

from rollback_lib.sandbox.journal import tell
from rollback_lib.sandbox.owning import (
    HASH,
    MANAGER,
    controlled,
    is_active,
    reference_to,
    seconds_between,
    set_condition,
    template_hash,
)
from rollback_lib.sandbox.rollout_numbers import (
    REVISION,
    annotated,
    count,
    is_complete,
    may_be_down,
    most,
    revision_number,
    room_for,
    template_of,
)
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store, own
from rollback_lib.sandbox.writing import Writer

HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MOST: Final = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED: Final = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MOST,
     "deprecated.deployment.rollback.to"}
)  # fmt: skip


class Deployments:
    """The Deployment controller."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def reconcile(self, deployment: Object) -> float | None:
        """One step. Returns after how many seconds time alone may change something."""
        sets = controlled(self._store, "ReplicaSet", deployment)
        template = deployment["spec"].get("template")
        new = next((s for s in sets if template_of(s) == template), None)
        if "deletionTimestamp" in deployment["metadata"]:
            return None
        if deployment["spec"].get("paused"):
            return self._say(deployment, new, sets)
        recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
        old = [s for s in sets if s is not new]
        if recreate and (new is None or new["spec"]["replicas"] < deployment["spec"]["replicas"]):
            for one in old:
                self._scale(deployment, one, 0)
            if any(self._pods_of(o) for o in old):
                return self._say(deployment, new, sets)
        new = self._new(deployment, new, sets)
        sets = controlled(self._store, "ReplicaSet", deployment)
        if recreate:
            self._scale(deployment, new, deployment["spec"]["replicas"])
        else:
            self._roll(deployment, new, [s for s in sets if s["metadata"]["uid"] != new["metadata"]["uid"]])
        sets = controlled(self._store, "ReplicaSet", deployment)
        new = next(s for s in sets if s["metadata"]["uid"] == new["metadata"]["uid"])
        if is_complete(deployment, new, sets):
            self._forget_old(deployment, new, sets)
        return self._say(self._again(deployment), new, sets)

    def _again(self, found: Object) -> Object:
        metadata = found["metadata"]
        return self._store.get(by_kind(found["kind"]), metadata["namespace"], metadata["name"])

    def _pods_of(self, one: Object) -> list[Object]:
        return controlled(self._store, "Pod", one)

    def _new(self, deployment: Object, new: Object | None, sets: list[Object]) -> Object:
        """The ReplicaSet of the template, made where there is none, with the highest revision."""
        highest = max((revision_number(s) for s in sets if s is not new), default=0)
        revision = str(highest + 1)
        copied = {k: v for k, v in (deployment["metadata"].get("annotations") or {}).items() if k not in _NOT_COPIED}
        if new is not None:
            notes = new["metadata"].get("annotations") or {}
            wanted = {**notes, **copied}
            if revision_number(new) < int(revision):
                history = [h for h in notes.get(HISTORY, "").split(",") if h]
                if revision_number(new):
                    wanted[HISTORY] = ",".join([*history, str(revision_number(new))])
                wanted[REVISION] = revision
            else:
                revision = str(revision_number(new))
            if wanted != notes:
                new = self._change(new, lambda o: annotated(o, wanted))
        else:
            new = self._create(deployment, revision, copied)
        if (deployment["metadata"].get("annotations") or {}).get(REVISION) != revision:
            self._writer.change(
                by_kind("Deployment"), deployment["metadata"]["namespace"], deployment["metadata"]["name"],
                lambda o: annotated(o, {**(o["metadata"].get("annotations") or {}), REVISION: revision}),
                manager=MANAGER, subresource="status",
            )  # fmt: skip
        return new

    def _create(self, deployment: Object, revision: str, copied: dict[str, str]) -> Object:
        metadata, spec = deployment["metadata"], deployment["spec"]
        mark = template_hash(spec["template"])
        template = own(spec["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = mark
        replicas = spec["replicas"] if spec["strategy"]["type"] == "Recreate" else room_for(
            deployment, controlled(self._store, "ReplicaSet", deployment), None
        )  # fmt: skip
        selector = own(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH] = mark
        made: Object = {
            "metadata": {
                "name": f"{metadata['name']}-{mark}",
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {
                    **copied, REVISION: revision, DESIRED: str(spec["replicas"]), MOST: str(most(deployment)),
                },
                "ownerReferences": [reference_to(deployment)],
            },
            "spec": {
                "replicas": replicas, "selector": selector, "template": template,
                **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            },
        }  # fmt: skip
        new = self._writer.create(by_kind("ReplicaSet"), metadata["namespace"], made, manager=MANAGER)
        name = new["metadata"]["name"]
        if replicas:
            told = f"Scaled up replica set {name} from 0 to {replicas}"
            tell(self._store, deployment, "Normal", "ScalingReplicaSet", told, "deployment-controller")
        self._condition(deployment, "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return new

    def _roll(self, deployment: Object, new: Object, old: list[Object]) -> None:
        wanted = deployment["spec"]["replicas"]
        if new["spec"]["replicas"] > wanted:
            self._scale(deployment, new, wanted)
            return
        room = room_for(deployment, [new, *old], new)
        if room > new["spec"]["replicas"]:
            new = self._scale(deployment, new, room)
        elif new["spec"]["replicas"] == wanted:
            self._marked(deployment, new)
        total = sum(s["spec"]["replicas"] for s in [new, *old])
        least = wanted - may_be_down(deployment)
        not_ready = new["spec"]["replicas"] - count(new, "availableReplicas")
        spare = total - least - not_ready
        if spare <= 0:
            return
        for one in sorted(old, key=lambda s: s["metadata"]["creationTimestamp"]):  # unhealthy ones first
            sick = one["spec"]["replicas"] - count(one, "availableReplicas")
            cut = min(sick, spare)
            if cut > 0:
                self._scale(deployment, one, one["spec"]["replicas"] - cut)
                spare -= cut
        old = [self._again(o) for o in old]
        available = sum(count(s, "availableReplicas") for s in [self._again(new), *old])
        spare = available - least
        for one in sorted(old, key=lambda s: s["metadata"]["creationTimestamp"]):
            cut = min(one["spec"]["replicas"], spare)
            if cut > 0:
                self._scale(deployment, one, one["spec"]["replicas"] - cut)
                spare -= cut

    def _marked(self, deployment: Object, one: Object) -> Object:
        notes = {
            **(one["metadata"].get("annotations") or {}), DESIRED: str(deployment["spec"]["replicas"]),
            MOST: str(most(deployment)),
        }  # fmt: skip
        if notes == one["metadata"].get("annotations"):
            return one
        return self._change(one, lambda o: annotated(o, notes))

    def _scale(self, deployment: Object, one: Object, replicas: int) -> Object:
        before = one["spec"]["replicas"]
        if before == replicas:
            return one
        one = self._change(one, lambda o: {**o, "spec": {**o["spec"], "replicas": replicas}})
        one = self._marked(deployment, one)
        way = "up" if replicas > before else "down"
        told = f"Scaled {way} replica set {one['metadata']['name']} from {before} to {replicas}"
        tell(self._store, deployment, "Normal", "ScalingReplicaSet", told, "deployment-controller")
        return one

    def _change(self, one: Object, how: Any) -> Object:
        metadata = one["metadata"]
        return self._writer.change(by_kind("ReplicaSet"), metadata["namespace"], metadata["name"], how, manager=MANAGER)

    def _forget_old(self, deployment: Object, new: Object, sets: list[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [
            s for s in sets
            if s is not new and not s["spec"]["replicas"] and not count(s, "replicas")
            and s["metadata"]["generation"] <= count(s, "observedGeneration")
        ]  # fmt: skip
        idle.sort(key=revision_number)
        for one in idle[: max(0, len(idle) - limit)]:
            self._store.delete(by_kind("ReplicaSet"), one["metadata"]["namespace"], one["metadata"]["name"])

    def _condition(self, deployment: Object, kind: str, status: str, reason: str, message: str) -> None:
        new = {"type": kind, "status": status, "reason": reason, "message": message}

        def told(found: Object) -> Object:
            known = found.get("status") or {}
            conditions = set_condition(known.get("conditions") or [], new, self._store.stamp(), update_time=True)
            return {**found, "status": {**known, "conditions": conditions}}

        metadata = deployment["metadata"]
        self._writer.change(
            by_kind("Deployment"), metadata["namespace"], metadata["name"], told, manager=MANAGER, subresource="status"
        )

    def _say(self, deployment: Object, new: Object | None, sets: list[Object]) -> float | None:
        """Write the status."""
        deployment = self._again(deployment)
        spec, before, stamp = deployment["spec"], deployment.get("status") or {}, self._store.stamp()
        available = sum(count(s, "availableReplicas") for s in sets)
        status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
        leaving = sum(not is_active(p) for s in sets for p in self._pods_of(s))
        status["terminatingReplicas"] = leaving
        counts = {
            "replicas": sum(count(s, "replicas") for s in sets),
            "updatedReplicas": count(new, "replicas") if new else 0,
            "readyReplicas": sum(count(s, "readyReplicas") for s in sets),
            "availableReplicas": available,
            "unavailableReplicas": max(0, sum(s["spec"]["replicas"] for s in sets) - available),
        }
        status.update({k: v for k, v in counts.items() if v})
        conditions = list(before.get("conditions") or [])
        enough = available >= spec["replicas"] - may_be_down(deployment)
        word = "has" if enough else "does not have"
        conditions = set_condition(
            conditions,
            {
                "type": "Available", "status": "True" if enough else "False",
                "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                "message": f"Deployment {word} minimum availability.",
            },
            stamp, update_time=True,
        )  # fmt: skip
        conditions, due = self._progress(deployment, new, sets, counts, conditions, stamp)
        failed = next(
            (c for s in ([new] if new else []) + sets for c in (s.get("status") or {}).get("conditions") or []
             if c["type"] == "ReplicaFailure"), None,
        )  # fmt: skip
        if failed:
            told = {k: failed[k] for k in ("type", "status", "reason", "message")}
            conditions = set_condition(conditions, told, stamp, update_time=True)
        else:
            conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
        status["conditions"] = conditions
        if status != before:
            metadata = deployment["metadata"]
            self._writer.change(
                by_kind("Deployment"), metadata["namespace"], metadata["name"], lambda o: {**o, "status": status},
                manager=MANAGER, subresource="status",
            )  # fmt: skip
        return due

    def _progress(
        self, deployment: Object, new: Object | None, sets: list[Object], counts: dict[str, int],
        conditions: list[Object], stamp: str,
    ) -> tuple[list[Object], float | None]:  # fmt: skip
        limit = deployment["spec"].get("progressDeadlineSeconds")
        if limit is None:
            return [c for c in conditions if c["type"] != "Progressing"], None
        before = deployment.get("status") or {}
        known = next((c for c in conditions if c["type"] == "Progressing"), None)
        name = new["metadata"]["name"] if new else ""
        subject = f'ReplicaSet "{name}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'

        def put(status: str, reason: str, message: str) -> list[Object]:
            told = {"type": "Progressing", "status": status, "reason": reason, "message": message}
            return set_condition(conditions, told, stamp, update_time=True)

        if deployment["spec"].get("paused"):
            if known is None or known["reason"] != "DeploymentPaused":
                return put("Unknown", "DeploymentPaused", "Deployment is paused"), None
            return conditions, None
        if known is not None and known["reason"] == "DeploymentPaused":
            conditions = put("Unknown", "DeploymentResumed", "Deployment is resumed")
            known = next(c for c in conditions if c["type"] == "Progressing")
        if new is not None and is_complete(deployment, new, sets):
            if known is None or known["reason"] != "NewReplicaSetAvailable":
                return put("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed."), None
            return conditions, None
        moved = (
            counts["updatedReplicas"] > before.get("updatedReplicas", 0)
            or counts["replicas"] - counts["updatedReplicas"]
            < before.get("replicas", 0) - before.get("updatedReplicas", 0)
            or counts["readyReplicas"] > before.get("readyReplicas", 0)
            or counts["availableReplicas"] > before.get("availableReplicas", 0)
        )
        if known is None or moved or (known["reason"] == "NewReplicaSetAvailable"):
            # A real one writes the time of the last progress anew, also where the words stay.
            kept = [c for c in conditions if c["type"] != "Progressing"]
            transition = known["lastTransitionTime"] if known and known["status"] == "True" else stamp
            made = {
                "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                "message": f"{subject} is progressing.", "lastTransitionTime": transition, "lastUpdateTime": stamp,
            }  # fmt: skip
            return [*kept, made], float(limit)
        if known["reason"] == "ProgressDeadlineExceeded":
            return conditions, None
        left = float(limit) - seconds_between(known["lastUpdateTime"], stamp)
        if left <= 0:
            return put("False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing."), None
        return conditions, left
