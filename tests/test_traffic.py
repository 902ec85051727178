"""Runs that close traffic: when it is closed, what may go wrong meanwhile, and what the ending says of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import UsageError
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.run.changes import Change
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Request, Verification
from rollback_lib.core.settings import model
from rollback_lib.core.traffic import slots
from rollback_lib.core.traffic.slots import CLOSED, ORIGINAL
from rollback_lib.operations import run as operation
from rollback_lib.operations import undo
from rollback_lib.ports import RunStore
from tests.fakes import FakeActs, FakeClock, FakeCluster, FakeProgress
from tests.pipeline.test_loop import SETTINGS
from tests.pipeline.test_loop import World as Shop

ISOLATION = "isolation: {mode: service, targets: [cart]}"


def service(selector: Mapping[str, str], name: str = "cart") -> dict[str, Any]:
    spec = {"selector": dict(selector), "clusterIP": "10.0.0.7", "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class World(Shop):
    """The shop of `test_pipeline` with a Service before cart."""

    def __init__(self, folder: Path, isolation: str = ISOLATION) -> None:
        super().__init__(folder)
        self.settings = model.load(SETTINGS.replace("namespace: shop", f"namespace: shop, {isolation}"))
        self.cluster.put(service({"app": "cart"}))

    def run(self, name: str = "run", **values: Any) -> RunDirectory:
        run = RunDirectory(self.folder / name)
        if run.find(Request) is None:
            run.put(
                operation.request(
                    {"to": "v1", "yes": True, "isolate": True, **values}, self.settings, "prod", run=name, by="me",
                    origin="here", started=FakeClock().now(), repository=str(self.folder),
                )
            )  # fmt: skip
        return run

    @property
    def service(self) -> Object:
        return self.cluster.objects["Service", "cart"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Watching(FakeActs):
    """Calls ``then`` after each write, with its key: what others do in between."""

    def __init__(self, cluster: FakeCluster, then: Callable[[str], None]) -> None:
        super().__init__(cluster)
        self._then = then

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        done = copy.deepcopy(super().act(change, scratch))
        self._then(change.key)
        return done


def clean(obj: Object) -> bool:
    meta = obj["metadata"]
    return not {CLOSED, ORIGINAL} & {*(meta.get("labels") or {}), *(meta.get("annotations") or {})}


def test_traffic_is_closed_before_anything_changes_and_opened_as_it_was_after_everything(world: World) -> None:
    before = copy.deepcopy(world.service)
    held: list[bool] = []
    acts = Watching(world.cluster, lambda key: held.append(slots.holds(world.service)))
    outcome = operation.execute(world.run(), world.ports(acts=acts))
    assert outcome.ending.code == 0, outcome.ending.error
    keys = [k for k in world.cluster.writes if k.split("/")[0] in ("close", "apply", "open")]
    assert (keys[0], keys[-1]) == ("close/service/cart/1", "open/service/cart/1")
    assert sorted(keys[1:-1]) == ["apply/deployment/cart", "apply/deployment/user"], "one wave has no order"
    assert held == [True, True, True, False]
    assert world.service == before
    assert "traffic is open" in outcome.text


def test_without_being_asked_nothing_is_closed(world: World) -> None:
    assert operation.execute(world.run(isolate=None), world.ports()).ending.code == 0
    assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"], "one wave has no order"


def test_a_default_in_the_settings_closes_and_no_isolate_does_not(tmp_path: Path) -> None:
    always = World(tmp_path, ISOLATION.replace("}", ", default: true}"))
    assert always.run("a", isolate=None).get(Request).isolate
    assert not always.run("b", isolate=False).get(Request).isolate


def test_isolate_without_a_word_on_what_to_close_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"environments\.prod\.isolation has mode 'none'"):
        World(tmp_path, "isolation: {mode: none}").run()


def test_nothing_is_closed_where_there_is_nothing_to_do(world: World) -> None:
    operation.execute(world.run(isolate=False), world.ports())
    world.cluster.writes.clear()
    assert operation.execute(world.run("again"), world.ports()).ending.code == 0
    assert world.cluster.writes == []


def test_moving_tags_alone_closes_nothing(world: World) -> None:
    operation.execute(world.run(isolate=False), world.ports())
    world.cluster.writes.clear()
    plan = operation.plan(world.run("again", retag=True), world.ports()).plan
    assert plan is not None
    assert (bool(plan.retag), plan.writes, plan.closes) == (True, True, False)


def test_the_plan_says_what_is_closed_that_it_is_an_outage_and_its_hash_covers_it(world: World) -> None:
    shut = operation.plan(world.run("a"), world.ports()).plan
    still_open = operation.plan(world.run("b", isolate=False), world.ports()).plan
    assert shut is not None
    assert still_open is not None
    assert shut.hash != still_open.hash
    assert [(t.kind, t.name, t.healthy) for t in shut.isolation.targets] == [("Service", "cart", 1)]
    assert any("1 healthy pod serves through Service/cart now" in w and "outage" in w for w in shut.warnings)
    assert operation.plan(world.run("c"), world.ports()).plan.hash == shut.hash, "who asks is no decision"  # type: ignore[union-attr]


def test_when_verify_fails_traffic_stays_closed_and_it_is_said_with_the_way_out(world: World) -> None:
    class Sick(FakeCluster):
        def pod_ask(self, pod: str, port: int, path: str, **how: Any) -> Answered:
            return Answered(503)

    world.cluster.__class__ = Sick
    world.settings = model.load(
        SETTINGS.replace("namespace: shop", f"namespace: shop, {ISOLATION}")
        + "verify: {smoke: [{service: cart, path: /health, port: 8080}]}\n"
    )
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 5, outcome.ending
    assert outcome.ending.traffic == "closed"
    assert "TRAFFIC IS CLOSED" in outcome.text
    assert "rollback reopen -e prod" in outcome.text
    assert slots.holds(world.service)


def test_smoke_tests_reach_the_pods_while_traffic_is_closed(world: World) -> None:
    world.settings = model.load(
        SETTINGS.replace("namespace: shop", f"namespace: shop, {ISOLATION}")
        + "verify: {smoke: [{service: cart, path: /health, port: 8080}]}\n"
    )
    run = world.run()
    assert operation.execute(run, world.ports()).ending.code == 0
    assert run.get(Verification).smoke


@pytest.mark.parametrize("number", range(1, 5))
def test_a_run_that_dies_at_any_write_says_how_traffic_is_and_is_finished_by_the_same_run(
    world: World, number: int
) -> None:
    run = world.run()
    acts = FakeActs(world.cluster, fail={number: RuntimeError("the process dies")})
    died = operation.execute(run, world.ports(acts=acts)).ending
    assert died.traffic == "closed", "announced and not confirmed: in doubt it is closed"
    again = operation.execute(run, world.ports())
    assert again.ending.code == 0, again.ending
    assert again.ending.traffic == "open"
    assert world.service["spec"]["selector"] == {"app": "cart"}
    assert clean(world.service)


@pytest.mark.parametrize("key", ["close/service/cart/1", "open/service/cart/1"])
def test_a_change_of_traffic_that_was_made_and_not_confirmed_is_confirmed_and_not_made_twice(
    world: World, key: str
) -> None:
    def die(made: str) -> None:
        if made == key:
            raise RuntimeError("the process dies after the write")

    run = world.run()
    operation.execute(run, world.ports(acts=Watching(world.cluster, die)))
    again = operation.execute(run, world.ports())
    assert again.ending.code == 0, again.ending
    assert again.ending.traffic == "open"
    assert world.service["spec"]["selector"] == {"app": "cart"}
    assert clean(world.service)


def test_what_somebody_else_changes_on_the_closed_service_stays_and_is_said(world: World) -> None:
    def relabel(key: str) -> None:
        if key == "apply/deployment/user":
            world.service["spec"]["selector"]["track"] = "stable"

    progress = FakeProgress()
    acts = Watching(world.cluster, relabel)
    outcome = operation.execute(world.run(), world.ports(acts=acts, progress=progress))
    assert outcome.ending.code == 0, outcome.ending
    assert world.service["spec"]["selector"] == {"app": "cart", "track": "stable"}
    assert any("Service/cart: track: somebody else added it; it stays" in line for line in progress.lines)


class Controller(FakeClock):
    """A program that sets the selector back every 2 s, from a moment on."""

    def __init__(self, world: World, selector: Mapping[str, str]) -> None:
        super().__init__()
        self.world, self.selector, self.at_work = world, selector, True

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.at_work and self.time.second % 2 == 0 and "cart" in self.world.service["metadata"]["name"]:
            self.world.service["spec"]["selector"] = dict(self.selector)
            fields = {"manager": "flagger", "time": "2026-03-01T12:00:09Z", "fieldsV1": {"f:spec": {"f:selector": {}}}}
            self.world.service["metadata"]["managedFields"] = [fields]


def test_c40_an_isolation_that_a_controller_undoes_ends_with_4_before_anything_is_applied(world: World) -> None:
    clock = Controller(world, {"app": "cart"})
    outcome = operation.execute(world.run(), world.ports(clock=clock))
    assert (outcome.ending.code, outcome.ending.traffic) == (4, "open"), outcome.ending
    assert "Service/cart was closed, but flagger opened it again." in outcome.ending.error
    assert [k for k in world.cluster.writes if k.startswith("apply/")] == []
    assert (clock.now() - FakeClock().now()).total_seconds() < 5
    assert clean(world.service)


def test_c40_a_controller_that_starts_later_is_named_and_its_value_stays(world: World) -> None:
    def blue(key: str) -> None:
        if key == "apply/deployment/user":
            world.service["spec"]["selector"] = {"app": "cart-blue"}

    progress, run = FakeProgress(), world.run()
    outcome = operation.execute(run, world.ports(acts=Watching(world.cluster, blue), progress=progress))
    assert outcome.ending.code == 0, outcome.ending
    assert world.service["spec"]["selector"] == {"app": "cart-blue"}
    assert clean(world.service)
    assert [e.stage for e in run.events() if e.mark is Mark.SEEN] == ["verify"]
    assert any("was closed, but somebody else opened it again" in line for line in progress.lines)
    assert any("somebody else set it" in line and "it stays" in line for line in progress.lines)


def test_a_run_that_finds_traffic_open_before_it_applies_stops_once_and_then_goes_on(world: World) -> None:
    run = world.run()
    for stage in ("resolve", "images", "rewrite", "preflight", "approve", "isolate"):
        operation.one(run, world.ports(), stage)
    world.cluster.put(service({"app": "cart"}))
    stopped = operation.one(run, world.ports(), "apply").ending
    assert (stopped.code, stopped.traffic) == (4, "open")
    assert [k for k in world.cluster.writes if k.startswith("apply/")] == []
    assert operation.execute(run, world.ports()).ending.code == 0


def test_two_targets_are_closed_or_none(tmp_path: Path) -> None:
    world = World(tmp_path, "isolation: {mode: service, targets: [cart, user]}")
    world.cluster.put(service({"app": "user"}, "user"))

    def relabel(key: str) -> None:
        if key == "close/service/cart/1":
            world.cluster.objects["Service", "user"]["spec"]["selector"]["x"] = "y"

    outcome = operation.execute(world.run(), world.ports(acts=Watching(world.cluster, relabel)))
    assert (outcome.ending.code, outcome.ending.traffic) == (4, "open"), outcome.ending
    assert world.service["spec"]["selector"] == {"app": "cart"}
    assert not [k for k in world.cluster.writes if k.startswith("apply/")]


def test_an_interruption_after_closing_leaves_it_closed_and_says_so(world: World) -> None:
    clock = FakeClock()

    def stop(key: str) -> None:
        clock.stopped = key.startswith("close/")

    acts = Watching(world.cluster, stop)
    outcome = operation.execute(world.run(), world.ports(acts=acts, clock=clock))
    assert outcome.ending.code == 5
    assert "TRAFFIC IS CLOSED" in outcome.text


REFUSED = {
    "does not exist": None,
    "ExternalName": {"type": "ExternalName", "externalName": "x.example", "selector": None},
    "no selector": {"selector": None},
    "headless": {"clusterIP": "None"},
    "selects no pod": {"selector": {"app": "cart", "closed": "by-hand"}},
}


@pytest.mark.parametrize(("said", "spec"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_closed_safely_is_refused_and_nothing_is_changed(
    world: World, said: str, spec: dict[str, Any] | None
) -> None:
    if spec is None:
        del world.cluster.objects["Service", "cart"]
    else:
        world.service["spec"] |= spec
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert said in outcome.ending.error
    assert world.cluster.writes == []


def dead(world: World, until: str) -> RunDirectory:
    run = world.run("dead")
    for stage in operation.STAGES:
        operation.one(run, world.ports(), stage)
        if stage == until:
            return run
    raise AssertionError(until)


@pytest.mark.parametrize("isolate", [True, False])
def test_what_a_dead_run_has_closed_is_refused_naming_that_run(world: World, isolate: bool) -> None:
    files = {**world.git.releases["v1"], "k8s/cart/s.yaml": b"apiVersion: v1\nkind: Service\nmetadata: {name: cart}\n"
             b"spec: {selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}\n"}  # fmt: skip
    world.git.releases["v1"] = files
    dead(world, "isolate")
    locked = operation.execute(world.run("locked", isolate=isolate), world.ports())
    assert (locked.ending.code, locked.ending.stage, locked.plan) == (6, "resolve", None), "its lock is said first"
    assert "TRAFFIC IS CLOSED by run dead" in locked.text
    outcome = operation.execute(world.run("new", isolate=isolate, take_over=True), world.ports())
    assert outcome.ending.code == 3
    assert "by run dead" in outcome.ending.error
    assert "rollback resume" in outcome.ending.error
    assert "TRAFFIC IS CLOSED by run dead" in outcome.text


def selecting(version: str) -> bytes:
    return f"""apiVersion: v1
kind: Service
metadata: {{name: cart}}
spec: {{selector: {{app: cart, version: {version}}}, ports: [{{port: 80, targetPort: 8080}}]}}
""".encode()


def with_versions(world: World) -> None:
    """Pods carry their version, and the Service's selector names it."""
    for version in ("v1", "v2"):
        files = dict(world.git.releases[version])
        old = b"template:\n    metadata: {labels: {app: cart}}"
        new = f"template:\n    metadata: {{labels: {{app: cart, version: {version}}}}}".encode()
        assert old in files["k8s/cart/d.yaml"]
        files["k8s/cart/d.yaml"] = files["k8s/cart/d.yaml"].replace(old, new)
        world.git.releases[version] = {**files, "k8s/cart/s.yaml": selecting(version)}
    live = world.cluster.objects["Deployment", "cart"]
    live["spec"]["template"]["metadata"]["labels"]["version"] = "v2"
    world.cluster.put(live)
    world.cluster.put(service({"app": "cart", "version": "v2"}))


@pytest.mark.parametrize("isolate", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("maintenance", ["", ", maintenance: {service: sorry}"], ids=["nothing", "page"])
def test_c41_a_selector_that_names_the_release_moves_once_its_pods_are_ready_closed_or_not(
    tmp_path: Path, isolate: bool, maintenance: str
) -> None:
    world = World(tmp_path, ISOLATION.replace("}", maintenance + "}"))
    with_versions(world)
    world.cluster.put(service({"app": "user"}, "sorry"))
    seen: dict[str, dict[str, str]] = {}
    acts = Watching(world.cluster, lambda key: seen.update({key: dict(world.service["spec"]["selector"])}))
    outcome = operation.execute(world.run(isolate=isolate), world.ports(acts=acts))
    assert outcome.ending.code == 0, outcome.ending.error
    assert world.service["spec"]["selector"] == {"app": "cart", "version": "v1"}
    assert clean(world.service)
    keys = list(seen)
    assert keys.index("apply/service/cart") > keys.index("apply/deployment/cart")
    if not isolate:
        assert seen["apply/deployment/cart"] == {"app": "cart", "version": "v2"}
    elif maintenance:
        assert seen["apply/service/cart"] == {"app": "user"}
    else:
        assert seen["apply/service/cart"] == {"app": "cart", "version": "v1", CLOSED: "run"}


@pytest.mark.parametrize("isolate", [False, True], ids=["open", "closed"])
def test_c41_where_the_target_does_not_come_up_the_service_selects_what_serves(world: World, isolate: bool) -> None:
    with_versions(world)

    class Crashing(FakeCluster):
        def put(self, obj: Object) -> None:
            super().put(obj)
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] == "cart":
                pod = self.objects["Pod", "cart-pod"]
                waiting = {"waiting": {"reason": "InvalidImageName", "message": "no such image"}}
                pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
                pod["status"]["containerStatuses"] = [{"name": "cart", "ready": False, "state": waiting}]
                self.objects["Deployment", "cart"]["status"] |= {"readyReplicas": 0}

    run = world.run(isolate=isolate)
    for stage in ("resolve", "images", "rewrite", "preflight"):
        operation.one(run, world.ports(), stage)
    world.cluster.__class__ = Crashing
    outcome = operation.execute(run, world.ports())
    assert outcome.ending.code == (5 if isolate else 4), outcome.ending
    selector = slots.opened(world.service).object["spec"]["selector"]
    assert selector == {"app": "cart", "version": "v2"}


def ours(world: World) -> list[tuple[str, str]]:
    return [k for k in world.cluster.objects if k[1].startswith("rollback-page")]


def test_our_page_is_ready_before_traffic_moves_serves_every_target_port_and_is_removed_after(tmp_path: Path) -> None:
    world = World(tmp_path, ISOLATION.replace("}", ", maintenance: {language: es}}"))
    world.service["spec"]["ports"] = [
        {"name": "web", "port": 80, "targetPort": "http"}, {"name": "raw", "port": 81},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]  # fmt: skip
    seen: dict[str, Any] = {}

    def keep(key: str) -> None:
        seen[key] = copy.deepcopy(world.cluster.objects)

    outcome = operation.execute(world.run(), world.ports(acts=Watching(world.cluster, keep)))
    assert outcome.ending.code == 0, outcome.ending.error
    at_closing = seen["close/service/cart/1"]
    page = at_closing["Deployment", "rollback-page-run"]
    labels = page["spec"]["template"]["metadata"]["labels"]
    assert at_closing["Service", "cart"]["spec"]["selector"].items() <= labels.items()
    ports = page["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert {p["containerPort"] for p in ports if "name" not in p} == {81, 8080}
    assert [p["name"] for p in ports if "name" in p] == ["http"]
    assert "Retry-After 120" in at_closing["ConfigMap", "rollback-page-run"]["data"]["default.conf"]
    assert ours(world) == [("ReplicaSet", "rollback-page-run-rs"), ("Pod", "rollback-page-run-pod")], "the garbage"
    order = [k.split("/")[0] for k in world.cluster.writes]
    assert order == ["page", "page", "close", "apply", "apply", "open", "page", "page"]


@pytest.mark.parametrize("hook", ["", "url_env: STATUS_URL, "], ids=["page", "page-and-hook"])
def test_our_page_says_what_the_team_announces(tmp_path: Path, hook: str) -> None:
    world = World(tmp_path)
    text = SETTINGS.replace("namespace: shop", f"namespace: shop, {ISOLATION.replace('}', ', maintenance: {}}')}")
    world.settings = model.load(text + f"announce: {{{hook}text: 'Back at 10 & <sorry>'}}\n")
    seen: list[str] = []

    def keep(key: str) -> None:
        if key.startswith("close/"):
            seen.append(world.cluster.objects["ConfigMap", "rollback-page-run"]["data"]["default.conf"])

    outcome = operation.execute(world.run(), world.ports(acts=Watching(world.cluster, keep)))
    assert outcome.ending.code == 0, outcome.ending.error
    assert "<h1>Back soon</h1><p>Back at 10 &amp; &lt;sorry&gt;</p>" in seen[0]


def test_a_page_that_does_not_come_up_closes_nothing_and_is_taken_away(tmp_path: Path) -> None:
    class NoPage(FakeCluster):
        def put(self, obj: Object) -> None:
            super().put(obj)
            if (name := obj["metadata"]["name"]).startswith("rollback-page") and obj["kind"] == "Deployment":
                self.objects["Pod", f"{name}-pod"]["status"] = {
                    "phase": "Pending",
                    "containerStatuses": [
                        {"name": "page", "ready": False, "state": {"waiting": {"reason": "InvalidImageName"}}}
                    ],
                }
                self.objects["Deployment", name]["status"] = {"observedGeneration": 1, "replicas": 1}

    world = World(tmp_path, ISOLATION.replace("}", ", maintenance: {}}"))
    world.cluster.__class__ = NoPage
    outcome = operation.execute(world.run(), world.ports())
    assert (outcome.ending.code, outcome.ending.traffic) == (4, "open"), outcome.ending
    assert "maintenance page does not come up" in outcome.ending.error
    assert not [k for k in world.cluster.writes if k.split("/")[0] in ("close", "apply")]
    assert ("Deployment", "rollback-page-run") not in world.cluster.objects


@pytest.mark.parametrize(
    ("sorry", "said"),
    [(None, "does not exist"), ({"app": "nobody"}, "has no Ready pod")],
)
def test_the_teams_own_page_must_be_there_and_ready(tmp_path: Path, sorry: dict[str, str] | None, said: str) -> None:
    world = World(tmp_path, ISOLATION.replace("}", ", maintenance: {service: sorry}}"))
    if sorry:
        world.cluster.put(service(sorry, "sorry"))
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert f"Service/sorry, which is to show the maintenance page, {said}" in outcome.ending.error


def test_the_teams_own_page_needs_a_port_of_each_name(tmp_path: Path) -> None:
    world = World(tmp_path, ISOLATION.replace("}", ", maintenance: {service: sorry}}"))
    world.service["spec"]["ports"][0]["targetPort"] = "http"
    world.cluster.put(service({"app": "user"}, "sorry"))
    outcome = operation.execute(world.run(), world.ports())
    assert outcome.ending.code == 3
    assert "no port named http" in outcome.ending.error


def ingress(name: str = "shop", host: str = "shop.example") -> dict[str, Any]:
    backend = {"service": {"name": "cart", "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    notes = {"cert-manager.io/issuer": "le"}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "annotations": notes},
        "spec": {"ingressClassName": "gce", "rules": rules},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}},
    }  # fmt: skip


def test_an_ingress_is_pointed_at_our_page_and_back_and_keeps_annotations_and_address(tmp_path: Path) -> None:
    world = World(tmp_path, "isolation: {mode: ingress, targets: [shop], maintenance: {}}")
    world.cluster.put(ingress())
    world.cluster.put(ingress("other"))
    before = copy.deepcopy(world.cluster.objects["Ingress", "shop"])
    seen: dict[str, Any] = {}

    def keep(key: str) -> None:
        seen[key] = copy.deepcopy(world.cluster.objects)

    run = world.run()
    outcome = operation.execute(run, world.ports(acts=Watching(world.cluster, keep)))
    assert outcome.ending.code == 0, outcome.ending.error
    closed = seen["close/ingress/shop/1"]["Ingress", "shop"]
    path = closed["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"] == {"service": {"name": "rollback-page-run", "port": {"number": 80}}}
    assert closed["metadata"]["annotations"].items() >= before["metadata"]["annotations"].items()
    page = seen["close/ingress/shop/1"]["Service", "rollback-page-run"]
    assert page["metadata"]["annotations"]["cloud.google.com/neg"] == '{"ingress": true}'
    assert world.cluster.objects["Ingress", "shop"] == before
    assert ("Service", "rollback-page-run") not in world.cluster.objects
    warnings = run.get(Plan).warnings
    assert any("Ingress/other takes requests for shop.example too, and stays open" in w for w in warnings)
    assert any("Ingress/shop is Google's" in w for w in warnings)
    assert run.get(Plan).isolation.targets[0].healthy == 1


def test_the_lock_is_kept_while_traffic_is_closed(world: World) -> None:
    run = dead(world, "apply")
    stands = operation.one(run, world.ports(), "document").ending
    assert (stands.locked, stands.traffic) == (True, "closed")


@pytest.mark.parametrize("maintenance", ["", ", maintenance: {}"], ids=["nothing", "page"])
@pytest.mark.parametrize("until", ["isolate", "verify"])
def test_an_undo_takes_over_what_the_run_left_closed_and_opens_it_at_its_own_end(
    tmp_path: Path, maintenance: str, until: str
) -> None:
    world = World(tmp_path, ISOLATION.replace("}", maintenance + "}"))
    with_versions(world)
    before = copy.deepcopy(world.service)
    failed = dead(world, until)
    assert slots.holds(world.service)
    held: list[bool] = []
    acts = Watching(world.cluster, lambda key: held.append(slots.holds(world.service)))
    request = msgspec.structs.replace(world.run("undo", isolate=None).get(Request))
    run = RunDirectory(tmp_path / "undo")
    run.put(undo.request(request, failed))
    outcome = undo.undo(run, failed, world.ports(acts=acts))
    assert outcome.ending.code == 0, outcome.ending
    assert outcome.ending.traffic == "open"
    opened = world.cluster.writes.index("open/service/cart/1") - world.cluster.writes.index("close/service/cart/1")
    assert world.service["spec"] == before["spec"]
    assert clean(world.service)
    assert opened > 0
    still = held[: held.index(False)]
    assert len(still) >= (3 if until == "verify" else 1), "never open before its end"
    assert not [k for k in ours(world) if k[0] in ("Deployment", "ConfigMap")], "neither page is left"
