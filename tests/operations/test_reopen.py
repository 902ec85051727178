"""The emergency way out: everything that a run has closed, opened from the cluster's own record alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import FailedError, NotApprovedError, StaleError, UsageError
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import Snapshot, Versions
from rollback_lib.core.run.changes import Change
from rollback_lib.core.settings.model import Environment, Maintenance, Manifests, Settings
from rollback_lib.core.traffic import maintenance, slots
from rollback_lib.core.traffic.slots import CLOSED, Page
from rollback_lib.operations import reopen
from rollback_lib.operations.reopen import Reopened
from rollback_lib.ports import Ports, RunStore
from tests.fakes import FakeActs, FakeCluster, FakeGit, FakeProgress, FakeRegistry, ports, session
from tests.test_traffic import ingress, service

RUN, SINCE = "20260301-120000-prod-ab12", "2026-03-01T12:00:00Z"


def closed(obj: Object, page: Page | None = None) -> Object:
    return slots.close(obj, page, run=RUN, since=SINCE)


def bare(context: str) -> Settings:
    """Settings that name a cluster and nothing else."""
    where = Environment(namespace="shop", context=context or None)
    return Settings(application="any", manifests=Manifests(path="."), environments={"prod": where})


class World:
    def __init__(self, folder: Path, *objects: Object) -> None:
        self.cluster, self.folder = FakeCluster(*objects), folder
        self.progress = FakeProgress()

    def ports(self, **more: Any) -> Ports:
        return ports(self.cluster, FakeGit({}), FakeRegistry(), progress=self.progress, **more)

    def reopen(self, *, yes: bool = True, context: str = "test", **more: Any) -> Reopened:
        settings = bare(context)
        made = session(settings, self.ports(**more), trial=lambda _: RunDirectory(self.folder / "scratch"))
        return reopen.reopen(made, yes=yes)


def test_all_that_is_closed_is_opened_as_it_was_and_the_page_is_taken_away(tmp_path: Path) -> None:
    page = Page(selector={maintenance.LABEL: RUN}, service=maintenance.name(RUN), port=80)
    objects = maintenance.objects(RUN, "shop", Maintenance(), [service({"app": "cart"})], service=True)
    world = World(tmp_path, closed(service({"app": "cart"}), page), closed(ingress(), page), *objects)
    found = world.reopen()
    assert (found.opened, found.closed, found.code) == (("Service/cart", "Ingress/shop"), (), 0)
    assert world.cluster.objects["Service", "cart"]["spec"] == service({"app": "cart"})["spec"]
    assert world.cluster.objects["Ingress", "shop"]["spec"] == ingress()["spec"]
    assert not [k for k in world.cluster.objects if k[0] in maintenance.KINDS and k[1] == maintenance.name(RUN)]
    assert reopen.text(found).endswith(
        "Service/cart, Ingress/shop opened; traffic is open in namespace shop at https://fake."
    )


def test_where_nothing_is_closed_nothing_is_asked_or_written(tmp_path: Path) -> None:
    world = World(tmp_path, service({"app": "cart"}))
    found = world.reopen(yes=False)
    assert (found.opened, found.code, world.progress.asked, world.cluster.writes) == ((), 0, [], [])
    assert "Nothing was closed by a run" in reopen.text(found)


def test_a_person_sees_what_was_closed_since_when_and_by_which_run(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    world.progress.answer = False
    with pytest.raises(NotApprovedError):
        world.reopen(yes=False)
    assert f"Service/cart, closed since {SINCE} by run {RUN}" in world.progress.asked[0]
    assert world.cluster.writes == []
    world.progress.answer = True
    assert world.reopen(yes=False).opened == ("Service/cart",)


def test_without_a_terminal_it_needs_yes(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    with pytest.raises(NotApprovedError, match="use --yes"):
        world.reopen(yes=False)


def test_yes_does_not_choose_between_clusters(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    world.cluster.context_names = ("here", "there")
    with pytest.raises(UsageError, match="--context"):
        world.reopen(context="")
    assert world.cluster.writes == []


def test_what_somebody_else_changed_meanwhile_stays_and_is_said(tmp_path: Path) -> None:
    shut = closed(service({"app": "cart"}))
    shut["spec"]["selector"]["app"] = "cart-blue"
    world = World(tmp_path, shut)
    found = world.reopen()
    assert world.cluster.objects["Service", "cart"]["spec"]["selector"] == {"app": "cart-blue"}
    assert 'Service/cart: app: somebody else set it to "cart-blue"' in reopen.text(found)


def test_a_service_whose_record_does_not_read_is_named_the_others_are_opened_and_the_code_is_5(tmp_path: Path) -> None:
    broken = closed(service({"app": "user"}, "user"))
    broken["metadata"]["annotations"] = {}
    world = World(tmp_path, closed(service({"app": "cart"})), broken)
    found = world.reopen()
    assert (found.opened, found.code) == (("Service/cart",), 5)
    assert "Service/user" in reopen.text(found)
    assert reopen.text(found).endswith("TRAFFIC IS STILL CLOSED in namespace shop at https://fake, see above.")


class Racing(FakeActs):
    """Somebody else writes the object just before the first of our writes; or the server says no."""

    def __init__(self, cluster: FakeCluster, error: Exception | None = None) -> None:
        super().__init__(cluster)
        self.error, self.raced = error, False

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        if self.error:
            raise self.error
        if not self.raced:
            self.raced = True
            self.cluster.objects["Service", "cart"]["spec"]["selector"]["track"] = "stable"
        return super().act(change, scratch)


def test_a_write_of_somebody_else_in_between_is_kept_and_it_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    assert world.reopen(acts=Racing(world.cluster)).opened == ("Service/cart",)
    assert world.cluster.objects["Service", "cart"]["spec"]["selector"] == {"app": "cart", "track": "stable"}


@pytest.mark.parametrize("error", [StaleError("changed"), FailedError("the server is gone")])
def test_what_could_not_be_opened_is_5_with_the_reason(tmp_path: Path, error: Exception) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    found = world.reopen(acts=Racing(world.cluster, error))
    assert found.code == 5
    assert str(error) in reopen.text(found)
    assert CLOSED in world.cluster.objects["Service", "cart"]["metadata"]["labels"]


class Limited(FakeCluster):
    """A role that may not list Ingresses, in a cluster without the Gateway API."""

    def snapshot(self, kinds: Sequence[str], versions: Versions | None = None) -> Snapshot:
        found = super().snapshot([k for k in kinds if k not in ("Ingress", "HTTPRoute")], versions)
        refused = {
            "Ingress": "cannot list ingresses in shop (forbidden)",
            "HTTPRoute": "the cluster does not serve gateway.networking.k8s.io/v1 HTTPRoute",
        }
        return Snapshot(found.objects, {k: v for k, v in refused.items() if k in kinds}, frozenset({"HTTPRoute"}))


def test_what_we_may_not_see_is_said_and_what_the_cluster_does_not_have_is_not(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    world.cluster.__class__ = Limited
    found = world.reopen()
    assert found.opened == ("Service/cart",)
    assert found.unread == ("cannot list ingresses in shop (forbidden): nothing says whether one is closed.",)


def test_opening_twice_is_opening_once(tmp_path: Path) -> None:
    world = World(tmp_path, closed(service({"app": "cart"})))
    world.reopen()
    after = copy.deepcopy(world.cluster.objects)
    assert world.reopen().opened == ()
    assert world.cluster.objects == after
