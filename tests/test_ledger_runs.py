"""Whole runs with a ledger: what really was good comes back, and nothing toggles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.collectors import ledger as collector
from rollback_lib.core.errors import CheckError, RefusedError
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.readouts import status as core_status
from rollback_lib.core.releases import ledger, tags
from rollback_lib.core.releases.ledger import Ledger
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.settings import model
from rollback_lib.operations import record_release, status
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import Ports, Session
from tests.fakes import FakeClock, FakeCluster, FakeGit, FakeRecords, FakeRegistry, ports, session
from tests.pipeline.test_loop import SETTINGS, manifest

SERVICES = ("cart", "user")


def digest(text: str) -> str:
    return "sha256:" + (text.encode().hex() * 64)[:64]


def body(name: str, level: str) -> dict[str, Any]:
    container = {"name": name, "image": f"team/{name}:prod", "env": [{"name": "LEVEL", "value": level}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class World:
    """Every release overwrites the one tag ``:prod``; nothing in the registry is called like a release."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = FakeGit({})
        self.registry = FakeRegistry()
        self.cluster = FakeCluster()
        self.cluster.pulls = self.registry.digests
        self.records = FakeRecords()
        self.clock = FakeClock()
        self.settings = model.load(SETTINGS)
        self.count = 0

    def ports(self, **more: Any) -> Ports:
        made = {"records": self.records, "clock": self.clock, **more}
        return ports(self.cluster, self.git, self.registry, **made)

    def session(self, runs: Sequence[RunDirectory] = ()) -> Session:
        return session(self.settings, self.ports(), runs=runs)

    def deploy(self, release: str, *, only: Sequence[str] = SERVICES, bits: str = "") -> None:
        """As a deploy job does: push over ``:prod``, apply the manifests; annotations stay as they are."""
        files = {f"k8s/{s}/d.yaml": manifest(s, release) for s in SERVICES}
        self.git.releases.setdefault(release, files)
        for service in only:
            self.registry.digests[f"team/{service}:prod"] = digest(service + (bits or release))
            made = body(service, release)
            before = self.cluster.objects.get(("Deployment", service))
            if before:
                made["metadata"] = {**before["metadata"]}
            self.cluster.put(made)
        self.clock.time += timedelta(minutes=5)

    def sicken(self, service: str = "cart") -> None:
        pod = self.cluster.objects["Pod", f"{service}-pod"]
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
        pod["status"]["containerStatuses"][0] |= {"ready": False, "restartCount": 5, "state": state}
        self.cluster.objects["Deployment", service]["status"]["readyReplicas"] = 0

    def record(self, release: str, **more: Any) -> None:
        record_release.record(record_release.Options(self.settings, "prod", release, **more), self.ports())

    def ledger(self) -> Ledger:
        return collector.read(self.records, "shop", "prod")

    def request(self, **values: Any) -> RunDirectory:
        self.count += 1
        run = RunDirectory(self.folder / f"run-{self.count}")
        run.put(
            operation.request(
                {"yes": True, **values}, self.settings, "prod", run=f"run-{self.count}", by="me", origin="here",
                started=self.clock.now(), repository=str(self.folder),
            )
        )  # fmt: skip
        return run

    def run(self, **values: Any) -> Outcome:
        self.clock.time += timedelta(minutes=5)
        return operation.execute(self.request(**values), self.ports())

    def runs(self, service: str = "cart") -> str:
        """The bits that the service's pod runs."""
        image: str = self.cluster.objects["Pod", f"{service}-pod"]["status"]["containerStatuses"][0]["imageID"]
        return image.partition("@")[2]


def failed(folder: Path) -> World:
    """v1 and v2 ran well and are recorded; v3 is bad, over the same tag."""
    made = World(folder)
    for release in ("v1", "v2"):
        made.deploy(release)
        made.record(release)
    made.deploy("v3")
    return made


@pytest.fixture
def world(tmp_path: Path) -> World:
    return failed(tmp_path)


def test_the_bits_that_ran_come_back_although_every_tag_was_overwritten(world: World) -> None:
    for service in SERVICES:
        world.registry.digests[f"team/{service}:v2"] = digest("somebody moved this one too")
    outcome = world.run()
    assert outcome.ending.code == 0, outcome.ending.error
    assert outcome.plan is not None
    assert (outcome.plan.target.release, outcome.plan.services[0].containers[0].rung) == ("v2", "ledger")
    assert [world.runs(s) for s in SERVICES] == [digest("cartv2"), digest("userv2")]
    container = world.cluster.objects["Deployment", "cart"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"team/cart@{digest('cartv2')}"
    assert ":prod in 2 repositories" in outcome.text


def test_a_release_tag_that_moved_to_the_failed_bits_does_not_make_them_the_good_release(world: World) -> None:
    for service in SERVICES:
        world.registry.digests[f"team/{service}:v2"] = digest(service + "v3")
    outcome = world.run()
    assert outcome.ending.code == 0, outcome.ending.error
    assert outcome.plan is not None
    assert outcome.plan.current.release == "unknown"
    assert world.ledger().blocked([digest("cartv3")]) is not None


def test_a_second_run_has_nothing_to_do_and_a_third_neither(world: World) -> None:
    world.run()
    for _ in range(2):
        writes = list(world.cluster.writes)
        outcome = world.run()
        assert outcome.ending.code == 0
        assert outcome.text.startswith("Nothing to do: prod runs v2")
        assert world.cluster.writes == writes


def test_c46_good_bad_good_bad_goes_to_the_same_good_one_both_times(world: World) -> None:
    assert world.run().ending.code == 0
    world.deploy("v3.1")
    second = world.run()
    assert second.plan is not None
    assert (second.ending.code, second.plan.target.release) == (0, "v2")
    assert world.runs() == digest("cartv2")
    again = world.run()
    assert (again.ending.code, again.ending.changed) == (0, ())


def test_c46_what_was_gone_back_from_is_quarantined_by_name_where_it_is_known(world: World) -> None:
    world.record("v3")  # it looked good at first
    world.run(reason="cart answers 500")
    (mark,) = world.ledger().quarantines
    assert (mark.release, mark.commit, mark.reason) == ("v3", world.git.commit("v3"), "cart answers 500")
    assert mark.digests == tuple(sorted([digest("cartv3"), digest("userv3")]))
    refused = world.run(to="v3")
    assert refused.ending.code == 3
    assert "--accept quarantined" in refused.ending.error
    assert world.runs() == digest("cartv2")
    assert world.run(to="v3", accept=["quarantined"]).ending.code == 0
    assert world.runs() == digest("cartv3")


def test_where_nothing_names_the_failed_release_its_own_bits_are_quarantined(world: World) -> None:
    world.deploy("v3", only=["cart"], bits="v3")
    world.deploy("v3", only=["user"], bits="v2")  # user is what it was in v2
    world.run()
    (mark,) = world.ledger().quarantines
    assert (mark.release, mark.digests) == ("", (digest("cartv3"),))
    assert world.ledger().blocked([digest("userv2")]) is None
    assert world.ledger().blocked([digest("cartv3")]) is not None


def test_an_ordinary_deploy_after_a_rollback_is_current_not_our_stale_annotation(world: World) -> None:
    world.run()
    world.deploy("v4")
    world.record("v4")
    assert world.cluster.objects["Deployment", "cart"]["metadata"]["annotations"]["rollback-lib/release"] == "v2"
    run = world.request(to="v1", dry_run=True)
    assert operation.plan(run, world.ports()).ending.code == 0
    assert run.get(Plan).current.release == "v4"


def test_a_release_that_was_gone_back_to_is_current_again(world: World) -> None:
    world.run()
    run = world.request(to="v1", dry_run=True)
    operation.plan(run, world.ports())
    assert (run.get(Plan).current.release, run.get(Plan).current.commit) == ("v2", world.git.commit("v2"))


def test_after_a_rollback_the_date_of_what_runs_is_its_commits(world: World) -> None:
    """And so it is where the ledger's record tells, and for a release whose commit no tag stands for any more."""
    dates = {t.name: t.date for t in world.git.tags()}
    world.deploy("v2", bits="v2")
    assert status.look(world.session()).current.date == dates["v2"], "by its record"
    world.deploy("v3")
    world.run(to="v1")
    found = status.look(world.session())
    assert (found.current.release, found.current.date) == ("v1", dates["v1"])
    assert f"commit    {found.current.commit[:12]} of {dates['v1']}" in core_status.text(found)
    run = world.request(to="v2", dry_run=True)
    assert operation.plan(run, world.ports()).plan is not None
    assert run.get(Plan).current.date == dates["v1"]


def test_what_no_tag_stands_for_any_more_has_no_date_that_is_known(world: World) -> None:
    gone = ReleaseRef(release="v1", commit="f" * 40)
    assert tags.dated(gone, world.git.tags()).date == ""
    assert tags.dated(tags.UNKNOWN, world.git.tags()) == tags.UNKNOWN


def test_where_a_run_on_another_machine_went_counts(world: World) -> None:
    world.run()
    world.folder = world.folder / "another-agent"
    world.folder.mkdir()
    assert world.run().text.startswith("Nothing to do: prod runs v2")


def test_without_a_record_of_it_a_run_by_name_counts_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    for release in ("v1", "v2"):
        world.deploy(release)
        for service in SERVICES:
            world.registry.digests[f"team/{service}:{release}"] = digest(service + release)
    assert world.run(to="v1").ending.code == 0
    assert world.run().text.startswith("Nothing to do: prod runs v1")


def test_a_pruned_digest_is_found_before_anything_is_changed(world: World) -> None:
    lost = f"team/cart@{digest('cartv2')}"

    class Pruned(FakeRegistry):
        def _answer(self, reference: str) -> Any:
            found = super()._answer(reference)
            gone = reference == lost
            return type(found)(reference, "absent", text="404") if gone else found

    world.registry = Pruned(**world.registry.digests)
    writes = list(world.cluster.writes)
    outcome = world.run()
    assert outcome.ending.code == 3
    assert lost in outcome.ending.error
    assert world.cluster.writes == writes
    world.registry.digests["team/cart:v2"] = digest("rebuilt")
    refused = world.run()
    assert "which is not what the ledger has for the release" in refused.ending.error
    assert "--accept moved-tag:v2" in refused.ending.error
    assert world.run(accept=["moved-tag:v2"]).ending.code == 0
    assert world.runs() == digest("rebuilt")


def test_a_pruned_digest_whose_release_tag_still_has_the_same_bits_is_no_loss(world: World) -> None:
    index, platform = digest("index"), digest("cartv2")

    class Moved(FakeRegistry):
        def _answer(self, reference: str) -> Any:
            found = super()._answer(reference)
            if reference == f"team/cart@{platform}":
                return type(found)(reference, "absent", text="404")
            if found.digest == index:
                return type(found)(reference, "present", index, (index, platform))
            return found

    world.registry = Moved(**{**world.registry.digests, "team/cart:v2": index})
    outcome = world.run()
    assert outcome.ending.code == 0, outcome.ending.error
    assert outcome.plan is not None
    assert outcome.plan.services[0].containers[0].rung == "release-tag"


def test_a_sick_release_is_not_recorded_and_so_never_the_last_good(world: World) -> None:
    world.sicken()
    with pytest.raises(CheckError, match="not healthy"):
        world.record("v3")
    assert [e.release for e in world.ledger().entries] == ["v2", "v1"]


def test_a_failed_release_that_changed_only_its_configuration_goes_back_to_the_same_images(world: World) -> None:
    world.deploy("v2.1", bits="v2")
    outcome = world.run()
    assert outcome.ending.code == 0, outcome.ending.error
    container = world.cluster.objects["Deployment", "cart"]["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "LEVEL", "value": "v2"}]


def test_a_record_that_was_edited_is_named_and_not_used(world: World) -> None:
    (name,) = [n for _, n in world.records.kept if "v2" in world.records.kept["ConfigMap", n]["data"]["record"]]
    data = world.records.kept["ConfigMap", name]["data"]
    data["record"] = data["record"].replace(digest("cartv2"), digest("evil"))
    outcome = world.run()
    assert outcome.plan is not None
    assert outcome.plan.target.release == "v1"
    assert any(name in w for w in outcome.plan.warnings)
    assert world.runs() == digest("cartv1")


class Closed(FakeRecords):
    """A namespace in which we may neither read nor write our own records."""

    def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
        raise RefusedError("cannot list configmaps (forbidden)")

    def get(self, kind: str, name: str) -> Object | None:
        raise RefusedError(f"cannot get configmaps/{name} (forbidden)")


def test_without_the_right_to_a_ledger_it_goes_as_without_one_and_says_so(world: World) -> None:
    for service in SERVICES:
        world.registry.digests[f"team/{service}:v2"] = digest(f"{service}v2")
    world.records = Closed()
    refused = world.run()
    assert refused.ending.code == 3
    assert "--accept unproven-target" in refused.ending.error
    outcome = world.run(to="v2")
    assert outcome.ending.code == 0, outcome.ending.error
    assert outcome.plan is not None
    assert any("The ledger could not be read" in w for w in outcome.plan.warnings)
    assert world.runs() == digest("cartv2")


def test_our_own_records_are_journalled_and_no_change_of_the_application(world: World) -> None:
    run = world.request()
    outcome = operation.execute(run, world.ports())
    kept = [(e.mark, e.key) for e in run.events() if e.key.startswith("record/")]
    assert kept == [
        (Mark.ANNOUNCED, "record/quarantine"), (Mark.DONE, "record/quarantine"),
        (Mark.ANNOUNCED, "record/last-run"), (Mark.DONE, "record/last-run"),
    ]  # fmt: skip
    assert len(outcome.ending.changed) == 2
    assert "2 objects were changed" in outcome.text


def test_a_run_entered_again_keeps_its_marks_once(world: World) -> None:
    run = world.request()
    operation.execute(run, world.ports())
    before = {name: dict(o["metadata"]) for name, o in world.records.kept.items()}
    operation.one(run, world.ports(), "apply")
    assert {name: dict(o["metadata"]) for name, o in world.records.kept.items()} == before


def test_a_rollback_of_one_service_leaves_a_state_that_is_called_mixed(world: World) -> None:
    world.record("v3")
    assert world.run(to="v2", service=["cart"]).ending.code == 0
    assert [world.runs(s) for s in SERVICES] == [digest("cartv2"), digest("userv3")]
    run = world.request(to="v1", dry_run=True)
    operation.plan(run, world.ports())
    current = run.get(Plan).current
    assert (current.release, current.chosen_by) == ("mixed", "cart v2, user v3")
    again = world.run(service=["cart"])
    assert again.text.startswith("Nothing to do"), again.text


def test_the_plan_says_what_stays_ahead_and_what_is_shared(world: World) -> None:
    world.settings = model.load(SETTINGS.replace('k8s/{service}"', 'k8s/{service}", shared: [k8s/common.yaml]'))
    for release in ("v2", "v3"):
        config = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: common}}\ndata: {{A: {release}}}\n"
        world.git.releases[release] = {**world.git.releases[release], "k8s/common.yaml": config.encode()}
    common = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common"}, "data": {"A": "v3"}}
    world.cluster.put(common)
    world.record("v3")
    run = world.request(to="v2", service=["cart"], dry_run=True)
    assert operation.plan(run, world.ports()).ending.code == 0
    said = "\n".join(run.get(Plan).warnings)
    assert "Only cart goes back to v2; released together with it, and left as it is: user (v3)." in said
    assert "ConfigMap/common is shared: it changes for the services that stay as they are, too." in said


def test_a_service_that_runs_what_the_target_had_anyway_is_not_ahead(world: World) -> None:
    world.deploy("v3", only=["user"], bits="v2")
    run = world.request(to="v2", service=["cart"], dry_run=True)
    operation.plan(run, world.ports())
    assert not any("left as it is" in w for w in run.get(Plan).warnings)


def test_ledger_names_are_those_of_the_design(world: World) -> None:
    import hashlib

    short = hashlib.sha256(b"v2").hexdigest()[:10]
    assert ("ConfigMap", f"rollback-ledger-shop-prod-{short}") in world.records.kept
    assert ledger.labels("shop", "prod")["rollback-lib/application"] == "shop"


@pytest.mark.parametrize("release", ["v1.4.0+a3aefa3", "release/1.4.0", "v1.4.0-año", "v" + "1" * 199])
def test_c22_a_release_that_no_registry_tag_can_be_called_comes_back_from_the_ledger(
    tmp_path: Path, release: str
) -> None:
    world = World(tmp_path)
    world.settings = model.load(SETTINGS.replace("images:", 'releases: {tag: "*"}\nimages:'))
    world.deploy(release)
    without = world.request(to=release, dry_run=True)
    world.deploy("v9")
    refused = operation.plan(without, world.ports())
    assert refused.ending.code == 3, "no rung has an image, and that is no bug"
    assert world.registry.digests.keys() == {"team/cart:prod", "team/user:prod"}
    world.deploy(release)
    world.record(release)
    world.deploy("v9")
    outcome = world.run()
    assert outcome.ending.code == 0, outcome.ending.error
    assert world.runs() == digest(f"cart{release}")


def test_c26_without_a_ledger_a_run_without_a_name_is_refused_and_says_by_which_date_it_proposes(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    for release in ("v1", "v2"):
        world.deploy(release)
        for service in SERVICES:
            world.registry.digests[f"team/{service}:{release}"] = digest(service + release)
    refused = world.run()
    assert refused.ending.code == 3
    assert "v1 is only a proposal by date" in refused.ending.error
    assert "--accept unproven-target" in refused.ending.error
    assert world.runs() == digest("cartv2")
    assert world.run(accept=["unproven-target"]).ending.code == 0
    assert world.runs() == digest("cartv1")


def test_c44_what_a_rollback_went_back_from_is_known_to_whoever_deploys_next(world: World) -> None:
    """The guard of a deploy asks these: the release, its commit under another tag, its bits under the moving tag."""
    world.record("v3")
    world.run()
    known = world.ledger()
    commit = world.git.commit("v3")
    assert known.quarantine("v3") is not None
    assert known.quarantine("v3-rebuilt", commit) is not None
    assert known.blocked([world.registry.digests["team/cart:prod"]]) is not None
    world.deploy("v4")
    assert known.quarantine("v4", world.git.commit("v4")) is None
    assert known.blocked([world.registry.digests["team/cart:prod"]]) is None


def tagged(world: World, *releases: str) -> None:
    """The registry has the images of the releases by their names, whether or not they ran."""
    for release in releases:
        world.git.releases.setdefault(release, {f"k8s/{s}/d.yaml": manifest(s, release) for s in SERVICES})
        for service in SERVICES:
            world.registry.digests[f"team/{service}:{release}"] = digest(service + release)


@pytest.mark.parametrize("newer", [0, 3, 12])
def test_what_was_gone_back_from_is_named_and_refused_however_many_releases_are_newer(
    tmp_path: Path, newer: int
) -> None:
    world = World(tmp_path)
    world.deploy("v1")
    world.deploy("v2")
    tagged(world, "v1", "v2", *(f"v{3 + n}" for n in range(newer)))
    assert world.run(to="v1").ending.code == 0
    assert [q.release for q in world.ledger().quarantines] == ["v2"]
    refused = world.run(to="v2")
    assert refused.ending.code == 3
    assert "v2 is quarantined" in refused.ending.error
    assert world.runs() == digest("cartv1")
    assert [q.release for q in world.ledger().quarantines] == ["v2"], "and the good one is not in its place"


@pytest.mark.parametrize("images", [SERVICES, SERVICES[:1]], ids=["all", "one"])
def test_images_that_are_quarantined_are_refused_whatever_the_release_is_called(
    world: World, images: Sequence[str]
) -> None:
    """Nothing named what failed, so only its digests are marked; afterwards somebody gives them a release's name."""
    world.run()
    assert [q.release for q in world.ledger().quarantines] == [""]
    tagged(world, "v4")
    for service in images:
        world.registry.digests[f"team/{service}:v4"] = digest(f"{service}v3")
    refused = world.run(to="v4")
    assert refused.ending.code == 3
    assert refused.plan is not None
    assert [(r.code, r.subject) for r in refused.plan.refusals] == [("quarantined", "v4")]
    assert (world.runs(), len(world.ledger().quarantines)) == (digest("cartv2"), 1)
    accepted = world.run(to="v4", accept=["quarantined"])
    assert accepted.ending.code == 0, accepted.ending.error
    assert accepted.plan is not None
    assert "quarantined" in accepted.plan.accepted
