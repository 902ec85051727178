"""Only what was seen is said: counts, health, traffic and the lock, in whole runs on a cluster in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import UnreachableError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.plan import text as plan_text
from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model
from rollback_lib.core.traffic import maintenance, slots
from rollback_lib.operations import run as operation
from rollback_lib.operations import undo
from rollback_lib.operations.unlock import unlock
from tests.fakes import FakeClock
from tests.pipeline.test_loop import BAD, GOOD, SETTINGS
from tests.test_traffic import World as Shop
from tests.test_traffic import service

SERVICE = (
    "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\n"
    "spec: {selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}\n"
)
ROLLOUT = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: api}
spec: {template: {spec: {containers: [{name: api, image: "team/cart:prod"}]}}}
"""


class World(Shop):
    """The shop of `test_pipeline` with a Service before cart that stands in its manifests."""

    def __init__(self, folder: Path, more: str = "") -> None:
        super().__init__(folder, "approval: required")
        self.settings = model.load(SETTINGS + more)
        self.everywhere("service.yaml", SERVICE)

    def everywhere(self, name: str, text: str) -> None:
        for version in self.git.releases:
            self.git.releases[version] = {**self.git.releases[version], f"k8s/cart/{name}": text.encode()}

    def run(self, name: str = "run", **values: Any) -> RunDirectory:
        return super().run(name, **{"isolate": False, **values})

    def execute(self, name: str = "run", **values: Any) -> operation.Outcome:
        return operation.execute(self.run(name, **values), self.ports())

    def plan(self, name: str = "plan", **values: Any) -> operation.Outcome:
        return operation.plan(self.run(name, dry_run=True, **values), self.ports())

    def verify(self, name: str = "verify", to: str = "v1") -> operation.Outcome:
        return operation.verify(self.run(name, dry_run=True, to=to), self.ports())

    def drop(self, kind: str, name: str) -> None:
        """Gone, with what it owned."""
        for key in [(kind, name), ("ReplicaSet", f"{name}-rs"), ("Pod", f"{name}-pod")]:
            self.cluster.objects.pop(key, None)

    def held_by(self, run: str) -> None:
        self.records.put(lock.lease("shop", Claim(holder=run, by="eva", environment="prod"), FakeClock().now()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# -- D01, D39, D66: counts are of what the release has


def test_d01_a_release_of_which_nothing_is_there_is_refused_and_verify_says_no(world: World) -> None:
    for name in ("cart", "user"):
        world.drop("Deployment", name)
    for outcome in (world.plan(), world.execute()):
        assert outcome.code == 3
        assert "none of the 2 workloads of v1 is in namespace shop: Deployment/cart, Deployment/user." in (
            outcome.ending.error
        )
    answer = world.verify()
    assert (answer.code, answer.ending.traffic) == (1, "open")
    assert "No (1): prod does not run v1: GONE, 2 of the 2 workloads of v1: Deployment/cart" in answer.text
    assert world.cluster.writes == []


def test_d01_only_what_is_asked_for_is_counted(world: World) -> None:
    world.drop("Deployment", "user")
    assert world.execute("user", service=("user",)).code == 3
    assert world.execute("cart", service=("cart",)).code == 0


def test_d39_one_that_is_gone_is_named_and_verify_says_no(world: World) -> None:
    assert world.execute().code == 0
    world.drop("Deployment", "user")
    answer = world.verify()
    assert answer.code == 1
    assert "GONE, 1 of the 2 workloads of v1: Deployment/user." in answer.text
    again = world.execute("again")
    assert again.text.startswith(
        "Nothing to do: prod runs v1, 1 of 2 ready; not in the cluster: Deployment/user. Nothing was changed; "
        "traffic is open."
    )
    made = again.report
    assert (made.restored, made.workloads, made.ready, made.but) == (False, 2, 1, "not in the cluster: Deployment/user")
    assert "is what runs; not in the cluster: Deployment/user." in plan_text.text(world.plan().plan)  # type: ignore[arg-type]


def test_d66_what_is_at_zero_is_restored_and_unproven_and_named(world: World) -> None:
    user = world.cluster.objects["Deployment", "user"]
    user["spec"]["replicas"] = 0
    user["status"] = {"observedGeneration": 1}
    done = world.execute()
    assert done.code == 0, done.ending
    assert "prod runs v1 again, 1 of 2 ready; at 0 replicas, so unproven: Deployment/user." in done.text
    assert (done.report.restored, done.report.unproven) == (True, ("Deployment/user",))


def test_d66_pods_on_their_way_out_are_not_ready_now(world: World) -> None:
    assert world.plan().plan.healthy_pods == 2  # type: ignore[union-attr]
    world.cluster.objects["Pod", "cart-pod"]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert world.plan("again").plan.healthy_pods == 1  # type: ignore[union-attr]


# -- D02: traffic is what the cluster says


def closed_by(world: World, run: str) -> None:
    shut = slots.close(world.cluster.objects["Service", "cart"], None, run=run, since="2026-03-01T11:00:00Z")
    world.cluster.objects["Service", "cart"] = shut


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(lambda w: w.plan(), id="plan"),
        pytest.param(lambda w: w.execute(), id="run"),
        pytest.param(lambda w: w.verify(), id="verify"),
        pytest.param(lambda w: w.execute(to="v9"), id="a wrong tag"),
        pytest.param(lambda w: operation.one(w.run(to="v9"), w.ports(), "resolve"), id="a stage"),
    ],
)
def test_d02_traffic_that_another_run_closed_is_never_said_to_be_open(
    world: World, command: Callable[[World], operation.Outcome]
) -> None:
    closed_by(world, "r0")
    outcome = command(world)
    assert (outcome.ending.traffic, outcome.ending.closed_by) == ("closed", ("run r0 since 2026-03-01T11:00:00Z",))
    assert "TRAFFIC IS CLOSED by run r0 since 2026-03-01T11:00:00Z, and `rollback reopen" in outcome.text
    assert "traffic is open" not in outcome.text
    assert outcome.code != 5, "it is not this run that closed it"


def test_d02_where_the_cluster_is_not_reached_traffic_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise UnreachableError("no route to https://fake")

    monkeypatch.setattr(world.cluster, "snapshot", down)
    for outcome in (world.plan(), world.execute(), world.verify(), world.execute("tag", to="v9")):
        assert (outcome.code, outcome.ending.traffic) == (3, "unknown")
        assert "traffic is unknown: " in outcome.text
        assert outcome.report.traffic == "unknown"


def test_d02_offline_it_was_not_looked_at(world: World) -> None:
    outcome = world.plan(offline=True)
    assert outcome.ending.traffic == "unknown"
    assert "traffic is unknown: it was not looked at" in outcome.text


def test_d02_a_look_costs_no_request_where_preflight_has_looked(world: World) -> None:
    asked: list[str] = []
    plain = world.cluster.snapshot

    def counted(kinds: Any, versions: Any = None) -> Any:
        asked.extend(kinds)
        return plain(kinds, versions)

    world.cluster.snapshot = counted  # type: ignore[method-assign]
    assert world.plan().code == 0
    assert [asked.count(kind) for kind in ("Ingress", "HTTPRoute")] == [1, 1]


# -- D12: the lock is said first


def test_d12_a_plan_says_who_holds_the_lock_and_a_run_ends_before_it(world: World) -> None:
    world.held_by("r0")
    planned = world.plan()
    assert planned.code == 0
    assert plan_text.text(planned.plan).startswith("LOCKED by run r0 by eva")  # type: ignore[arg-type]
    assert "LOCKED by run r0 by eva" in planned.text
    locked = world.execute()
    assert (locked.code, locked.ending.stage, locked.plan) == (6, "resolve", None)
    assert "rollback resume r0" in locked.ending.error


def test_d12_its_own_lock_keeps_no_run_and_take_over_is_taken_at_its_word(world: World) -> None:
    world.held_by("run")
    assert operation.one(world.run(), world.ports(), "resolve").code == 0
    world.held_by("r0")
    assert world.execute("over", take_over=True).code == 0


# -- D04: what carries the team's images and cannot be put back


def of(kind: str, name: str, image: str, owner: tuple[str, str] | None = None) -> Object:
    meta: dict[str, Any] = {"name": name, "uid": f"uid-{kind}-{name}"}
    if owner:
        meta["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": f"uid-{owner[1]}", "controller": True}]
    containers = [{"name": "api", "image": image}]
    if kind == "ReplicaSet":
        return {"kind": kind, "apiVersion": "apps/v1", "metadata": meta,
                "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}}}  # fmt: skip
    status = {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "api", "ready": True, "imageID": f"team/cart@{BAD}"}],
    }  # fmt: skip
    return {"kind": kind, "apiVersion": "v1", "metadata": meta, "spec": {"containers": containers}, "status": status}


BEYOND: dict[str, tuple[str, list[Object]]] = {
    "a bare Pod": ("Pod/api", [of("Pod", "api", "team/cart:v2")]),
    "a bare ReplicaSet": ("ReplicaSet/api", [of("ReplicaSet", "api", "team/cart:v2")]),
    "a Rollout": (
        "Rollout/api",
        [of("ReplicaSet", "api-1", "team/cart:v2", ("Rollout", "api")),
         of("Pod", "api-1-x", "team/cart:v2", ("ReplicaSet", "api-1"))],
    ),
    "a CRD's own pods": ("Fleet/api", [of("Pod", "api-0", "team/cart:v2", ("Fleet", "api"))]),
}  # fmt: skip


@pytest.mark.parametrize(("what", "objects"), BEYOND.values(), ids=BEYOND)
def test_d04_what_runs_the_team_s_images_and_cannot_be_put_back_is_refused(
    world: World, what: str, objects: list[Object]
) -> None:
    for body in objects:
        world.cluster.put(body)
    refused = world.execute()
    assert (refused.code, refused.ending.codes) == (3, (f"skip:{what}",))
    assert f"{what} carries an image of the team's, and a rollback cannot put it back" in refused.ending.error
    done = world.execute("again", accept=(f"skip:{what}",))
    assert done.code == 0
    assert f"2 of 3 ready; left as it is: {what}." in done.text
    assert (done.report.restored, done.report.workloads, done.report.but) == (False, 3, f"left as it is: {what}")
    assert done.plan is not None
    assert done.plan.accepted == (f"skip:{what}",)


def test_d04_one_that_stands_in_the_manifests_is_refused_too(world: World) -> None:
    world.everywhere("rollout.yaml", ROLLOUT)
    assert world.execute().ending.codes == ("skip:Rollout/api",)
    assert "2 of 3 ready; left as it is: Rollout/api." in world.execute("again", accept=("skip:Rollout/api",)).text


def test_d04_other_people_s_and_what_is_at_the_target_are_no_refusal(world: World) -> None:
    world.cluster.put(of("Pod", "theirs", "busybox:1"))
    going = of("Pod", "going", "team/cart:v2")
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    world.cluster.put(going)
    good = of("Pod", "good", "team/cart:v1")
    good["status"]["containerStatuses"][0]["imageID"] = f"team/cart@{GOOD}"
    world.cluster.put(good)
    assert world.execute().code == 0


# -- D07: requests have to arrive


def ended(world: World, **spec: Any) -> operation.Outcome:
    """A run where somebody has set this of the Service's spec by hand."""
    world.cluster.objects["Service", "cart"] = service({"app": "cart"})
    world.cluster.objects["Service", "cart"]["spec"] |= spec
    return world.execute()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"selector": {"app": "nobody"}}, "Service/cart selects app=nobody, as somebody set it"),
        ({"selector": {"app": "user"}}, "Service/cart selects app=user, as somebody set it"),
        ({"selector": {"app": "cart", "track": "x"}}, "Service/cart selects app=cart,track=x, as somebody set it"),
        ({"ports": [{"port": 80, "targetPort": 9999}]}, "port 80 goes to 9999, and the release's goes to 8080"),
    ],
)
def test_d07_a_service_that_leads_nowhere_fails_verify_although_pods_are_well(
    world: World, spec: dict[str, Any], said: str
) -> None:
    outcome = ended(world, **spec)
    assert (outcome.code, outcome.ending.stage) == (4, "verify")
    assert said in outcome.ending.error
    assert said in outcome.text


def test_d07_what_was_kept_and_matters_stands_in_the_last_line(world: World) -> None:
    outcome = ended(world, type="NodePort", sessionAffinity="ClientIP", externalTrafficPolicy="Local")
    assert outcome.code == 0
    world.everywhere("service.yaml", SERVICE.replace("spec: {", "spec: {sessionAffinity: None, "))
    kept = world.execute("again")
    assert kept.code == 0
    assert "Kept as somebody set it: Service/cart spec.sessionAffinity stays ClientIP (the release: None)." in kept.text


def test_d07_a_service_that_leads_to_ready_pods_is_a_check_of_the_record(world: World) -> None:
    outcome = ended(world)
    assert outcome.code == 0
    assert outcome.verification is not None
    (found,) = [c for c in outcome.verification.checks if c.kind == "traffic"]
    assert (found.name, found.good, found.text) == (
        "Service/cart", True, "Service/cart sends to 8080, which no container declares.",
    )  # fmt: skip


# -- D13: an undo is judged by "as before"


def test_d13_an_undo_of_what_was_sick_ends_well_and_frees_the_lock(tmp_path: Path) -> None:
    world = World(tmp_path, "verify: {smoke: [{service: cart, path: /health, port: 8080}]}\n")
    world.cluster.answers = [Answered(503, b"down")]
    failed = world.execute("bad")
    assert (failed.code, failed.ending.stage, failed.ending.locked) == (4, "verify", True)
    before = world.run("bad")
    request = undo.request(world.run("new").get(Request), before)
    back = RunDirectory(tmp_path / "undo")
    back.put(request)
    outcome = undo.undo(back, before, world.ports())
    assert outcome.code == 0, outcome.ending
    assert not outcome.ending.locked
    assert world.records.get("Lease", "rollback-shop") is None
    assert outcome.text.startswith("Undone in ")
    assert "prod runs v2 again, the release that was rolled back from, 2 of 2 ready." in outcome.text
    assert "Not well, as before: " in outcome.text
    assert "rollback undo" not in outcome.text
    assert not outcome.report.restored


def test_d13_what_was_well_before_has_to_be_well_after_the_undo(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.execute("good").code == 0
    before = world.run("good")
    back = RunDirectory(world.folder / "undo")
    back.put(undo.request(world.run("new").get(Request), before))
    assert back.get(Request).undo_sick == ()
    plain = world.cluster._roll_out

    def sick(obj: Object) -> None:
        plain(obj)
        waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
        status = world.cluster.objects["Pod", f"{obj['metadata']['name']}-pod"]["status"]
        status["conditions"], status["containerStatuses"][0]["state"] = [], waiting

    monkeypatch.setattr(world.cluster, "_roll_out", sick)
    outcome = undo.undo(back, before, world.ports())
    assert (outcome.code, outcome.ending.locked) == (4, True)
    assert "rollback undo" not in outcome.text


# -- D11: what is left of a dead run's page


def page_of(run: str) -> list[Object]:
    labels = {maintenance.LABEL: run, maintenance.APPLICATION: "shop"}
    kinds = {"Deployment": "apps/v1", "ConfigMap": "v1"}
    name = maintenance.name(run)
    made = [
        {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": name, "uid": f"uid-{kind}-{name}", "labels": dict(labels)},
        }
        for kind, api in kinds.items()
    ]
    containers = [{"name": "page", "image": "nginx"}]
    made[0]["spec"] = {"template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": containers}}}
    return made


def test_d11_the_next_run_takes_a_dead_run_s_page_away_and_it_is_no_evidence(world: World) -> None:
    for body in page_of("dead"):
        world.cluster.put(body)
    world.cluster.objects["Pod", "rollback-page-dead-pod"]["status"] = {"phase": "Pending"}
    done = world.execute()
    assert done.code == 0, done.ending
    assert not [key for key in world.cluster.objects if key[1] == "rollback-page-dead"]
    assert done.text.startswith("Done")
    assert "2 objects were changed" in done.text, "ours is not the shop's"
    assert not [f for f in done.report.findings if "rollback-page" in f.text or "rollback-page" in f.service]


def test_d11_a_page_that_somebody_is_sent_to_stays(world: World) -> None:
    for body in page_of("dead"):
        world.cluster.put(body)
    closed_by(world, "dead")
    assert world.execute().code == 3
    assert ("Deployment", "rollback-page-dead") in world.cluster.objects


def test_d11_unlock_takes_the_page_away_and_says_what_is_closed(world: World) -> None:
    for body in page_of("dead"):
        world.cluster.put(body)
    world.held_by("dead")
    said = unlock("shop", world.ports(), force=True, yes=True, scratch=world.run("scratch"))
    assert "Of its maintenance page Deployment/rollback-page-dead, ConfigMap/rollback-page-dead was taken away." in said
    assert "CLOSED" not in said
    world.held_by("dead")
    closed_by(world, "dead")
    for body in page_of("dead"):
        world.cluster.put(body)
    said = unlock("shop", world.ports(), force=True, yes=True, scratch=world.run("scratch"))
    assert "TRAFFIC IS CLOSED: Service/cart, closed since 2026-03-01T11:00:00Z by run dead." in said
    assert ("Deployment", "rollback-page-dead") in world.cluster.objects
