"""What was to be made again and is refused as a new one: the old one is back at once, and the run can go on (D16)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import FailedError, RefusedError
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import DryRun, Snapshot
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.plan import drafts
from rollback_lib.core.report import last_line as ending_text
from rollback_lib.core.run.changes import Change, CreateObject
from rollback_lib.core.run.journal import Ending, Mark
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.operations import run as operation
from rollback_lib.operations import undo
from rollback_lib.pipeline import loop
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs
from tests.immutable_config import immutable_config
from tests.pipeline.test_loop import World

KEY = "apply/configmap/cart"
CODE = "recreate:ConfigMap/cart"


class Refusing(FakeActs):
    """Refuses these creations, as the server does: nothing is made."""

    def __init__(self, world: World, *refused: str, error: type[Exception] = RefusedError) -> None:
        super().__init__(world.cluster)
        self.refused, self.error = refused, error

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        if isinstance(change, CreateObject) and change.key.startswith(self.refused):
            raise self.error(f"{change.kind}/{change.name} was not created: no room")
        found = super().act(change, scratch)
        if isinstance(change, CreateObject) and found is not None:
            found["metadata"]["uid"] = f"uid-of-{change.key}"
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return immutable_config(
        tmp_path, monkeypatch,
        finalizers=["example.com/own"], resourceVersion="7", creationTimestamp="2026-01-01T00:00:00Z",
    )  # fmt: skip


def last_line(ending: Ending) -> str:
    return ending_text.last_line(ending, None, None, 1)


def fails(world: World, *refused: str, error: type[Exception] = RefusedError) -> tuple[RunDirectory, Ending]:
    run = world.run(accept=(CODE,))
    ending = operation.execute(run, world.ports(acts=Refusing(world, *refused, error=error))).ending
    assert ending.code == 4, ending
    return run, ending


def ends_well(world: World, run: RunDirectory) -> None:
    ending = loop.advance(run, world.ports(acts=Refusing(world, "none")))
    assert ending.code == 0, ending.error
    assert ending.missing == ()
    live = world.cluster.objects["ConfigMap", "cart"]
    assert (live["data"], live["metadata"]["labels"]) == ({"A": "v1"}, {"team": "kept"})
    assert {"apply/deployment/cart", "apply/deployment/user"} <= set(world.cluster.writes)


def test_the_old_one_is_back_where_the_new_one_is_refused_and_resume_goes_on(world: World) -> None:
    run, ending = fails(world, f"{KEY}/create")
    live = world.cluster.objects["ConfigMap", "cart"]
    assert (live["data"], live["immutable"]) == ({"A": "v2"}, True)
    assert live["metadata"]["finalizers"] == ["example.com/own"]
    assert "resourceVersion" not in live["metadata"], "the server would refuse it"
    assert "the old one was put back, as it was" in ending.error
    assert ending.missing == ()
    assert "MISSING" not in last_line(ending)
    put_back = [e.mark for e in run.events() if e.key == f"{KEY}/put-back/1"]
    assert put_back == [Mark.ANNOUNCED, Mark.DONE], "a change of its own, announced"

    ends_well(world, run)
    gone = [w for w in world.cluster.writes if w.startswith(f"{KEY}/delete")]
    assert gone == [f"{KEY}/delete", f"{KEY}/delete/uid-of-{KEY}/put-back/1"]


def test_it_can_fail_twice_and_still_go_on(world: World) -> None:
    run, _ = fails(world, f"{KEY}/create")
    again = loop.advance(run, world.ports(acts=Refusing(world, f"{KEY}/create")))
    assert (again.code, again.missing) == (4, ())
    assert world.cluster.objects["ConfigMap", "cart"]["data"] == {"A": "v2"}
    ends_well(world, run)


def test_where_neither_is_taken_the_last_line_says_what_is_missing(world: World) -> None:
    run, ending = fails(world, f"{KEY}/create", f"{KEY}/put-back")
    assert ("ConfigMap", "cart") not in world.cluster.objects
    assert ending.missing == ("ConfigMap/cart",)
    assert "MISSING: ConfigMap/cart, deleted to be made again and not made again" in last_line(ending)
    assert "before/configmap-cart.json" in ending.error
    ends_well(world, run)


def test_what_somebody_put_back_by_hand_is_made_again_as_well(world: World) -> None:
    kept = world.cluster.objects["ConfigMap", "cart"]
    run, _ = fails(world, f"{KEY}/create", f"{KEY}/put-back")
    world.cluster.put({**kept, "metadata": {**kept["metadata"], "uid": "by-hand"}})
    ends_well(world, run)
    assert f"{KEY}/delete/by-hand" in world.cluster.writes


def test_where_nobody_can_tell_nothing_else_is_written(world: World) -> None:
    run, ending = fails(world, f"{KEY}/create", error=FailedError)
    assert ending.missing == ("ConfigMap/cart",)
    assert not [e for e in run.events() if "/put-back" in e.key], "the new one may be on its way"
    ends_well(world, run)


def test_what_the_server_would_not_take_is_not_deleted_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.run(accept=(CODE,))
    assert loop.advance(run, world.ports(), until="approve").code == 0
    full = DryRun(None, (), 'configmaps "cart-made-again" is forbidden: exceeded quota: small', 403)
    monkeypatch.setattr(world.cluster, "dry_run_create", lambda manifest: full)
    ending = loop.advance(run, world.ports())
    assert (ending.code, ending.missing) == (3, ())
    assert "ConfigMap/cart is not deleted" in ending.error
    assert "exceeded quota: small" in ending.error
    assert world.cluster.writes == []


def test_an_undo_makes_what_is_missing_again(world: World) -> None:
    run, failed = fails(world, f"{KEY}/create", f"{KEY}/put-back")
    asked = undo.request(world.run("undo").get(Request), run)
    assert asked.undo_missing == failed.missing == ("ConfigMap/cart",)
    back = RunDirectory(world.folder / "back")
    back.put(asked)
    ending = undo.undo(back, run, world.ports(acts=Refusing(world, "none"))).ending
    assert ending.code == 0, ending
    assert world.cluster.objects["ConfigMap", "cart"]["data"] == {"A": "v2"}


@pytest.mark.parametrize("kind", ["StatefulSet", "Service"])
def test_what_the_undone_run_deleted_comes_back_though_it_does_not_run(world: World, kind: str) -> None:
    """Its pods may run on without it: it is no workload that nobody had started."""
    run = world.run(accept=(CODE,))
    assert loop.advance(run, world.ports(), until="preflight").code == 0
    version = KINDS[kind].api
    body: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": {}}
    of = SourceObject(
        service="web", wave=1, file="k8s/web.yaml", document=0, kind=kind, name="web", api_version=version
    )

    def change(missing: tuple[str, ...]) -> str:
        request = msgspec.structs.replace(run.get(Request), undo_missing=missing)
        (draft,) = drafts.drafts(
            request, [(of, body)], Snapshot({}), Contents(), run.get(Images), run.get(Resolution), []
        )
        return draft.change

    assert change((f"{kind}/web",)) == "create"
    assert change(()) == "left"
