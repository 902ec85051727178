"""What a workload leaves behind that was made again: taken away once the new one serves, and not before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rollback_lib.core.errors import FailedError
from rollback_lib.core.health import Health
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.plan import recreate
from rollback_lib.core.plan.model import UPDATE, LeftBehind, PlannedObject, PlannedService
from rollback_lib.core.run.changes import Change
from rollback_lib.writes import left_behind
from tests.fakes import FakeClock, FakeProgress

Object = dict[str, Any]
OLD = LeftBehind(kind="ReplicaSet", name="web-1", uid="one")
WEB = PlannedObject(kind="Deployment", name="web", change=UPDATE, api_version="apps/v1", recreate=True, leaves=(OLD,))


def replica_set(uid: str = "one", owner: str = "") -> Object:
    owners = {"ownerReferences": [{"uid": owner, "kind": "Deployment"}]} if owner else {}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-1", "uid": uid, **owners}}


class Rounds:
    """The rounds of a rollout, one after the other; the last one stays."""

    def __init__(self, *healths: Health, there: Object) -> None:
        self.left = list(healths)
        self.snapshot = Snapshot({"ReplicaSet": {"web-1": there}})

    def look(self) -> Any:
        health = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return {WEB.ref: SimpleNamespace(health=health, message="it crashes", desired=1)}


def taken_away(*healths: Health, there: Object | None = None) -> list[tuple[str, int]]:
    """The keys of what was deleted, each with how many rounds were still to come."""
    rounds, done = Rounds(*healths, there=there or replica_set()), list[tuple[str, int]]()

    def do(change: Change) -> None:
        done.append((change.key, len(rounds.left)))

    ports: Any = SimpleNamespace(progress=FakeProgress(), clock=FakeClock())
    wave = [PlannedService(name="web", wave=1, objects=(WEB,))]
    left_behind.take_away(ports, SimpleNamespace(do=do), wave, rounds)  # type: ignore[arg-type]
    return done


def test_it_goes_once_the_new_one_is_healthy() -> None:
    coming = (Health.PROGRESSING, Health.PROGRESSING, Health.HEALTHY)
    assert taken_away(*coming) == [("delete/replicaset/web-1/one", 1)]


@pytest.mark.parametrize("there", [replica_set(owner="new"), replica_set(owner="another"), replica_set(uid="two")])
def test_what_somebody_has_taken_over_or_made_since_stays(there: Object) -> None:
    assert taken_away(Health.HEALTHY, there=there) == []


def test_where_the_new_one_fails_the_old_pods_stay() -> None:
    with pytest.raises(FailedError, match="its old pods stay"):
        taken_away(Health.PROGRESSING, Health.FAILED)


def workload(kind: str, selector: Object, **spec: Any) -> Object:
    pods = {"metadata": {"labels": {"app": "web", "tier": "new"}}}
    meta = {"name": "web", "uid": "old"}
    selected = {"selector": {"matchLabels": selector}, "template": pods}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": {**selected, **spec}}


RECREATE = {"strategy": {"type": "Recreate"}}
SURGE = {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}}


@pytest.mark.parametrize(
    ("kind", "selector", "spec", "first"),
    [
        ("Deployment", {"app": "old"}, {}, False),
        ("Deployment", {"app": "old"}, RECREATE, True),
        ("Deployment", {"app": "web"}, RECREATE, False),
        ("DaemonSet", {"app": "old"}, {}, True),
        ("DaemonSet", {"app": "old"}, SURGE, False),
        ("DaemonSet", {"app": "web"}, {}, False),
        ("StatefulSet", {"app": "web"}, {}, False),
    ],
)
def test_the_pods_go_first_where_there_are_never_two_at_once(
    kind: str, selector: Object, spec: Object, first: bool
) -> None:
    live, wanted = workload(kind, {"app": "web"}), workload(kind, selector, **spec)
    assert recreate.pods_first(live, wanted) is first
    assert recreate.keeps_pods(live, wanted) is not first


def test_only_what_the_old_one_owned_is_left_behind() -> None:
    found = [replica_set(owner="old"), replica_set(owner="another")]
    found[1]["metadata"]["name"] = "other"
    snapshot = Snapshot({"ReplicaSet": {o["metadata"]["name"]: o for o in found}})
    assert recreate.left_behind(workload("Deployment", {}), snapshot) == (OLD,)
    assert recreate.left_behind(workload("StatefulSet", {}), snapshot) == ()
