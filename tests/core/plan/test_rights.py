"""What a plan needs to be allowed, by what it contains."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.plan import rights
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import CREATE, DELETE, NONE, UPDATE, LeftBehind, Orphan, StuckPod
from rollback_lib.core.rights.table import Need
from rollback_lib.core.settings import model
from rollback_lib.core.traffic.isolation import PlannedIsolation, Target
from tests.core.report.stories import SETTINGS, request

FLOW = (
    "{name: order, steps: [{service: user, path: /login, method: POST, send: {a: b}}, {service: user, command: [ls]}]}"
)


OPEN = PlannedIsolation()


def draft(kind: str, change: str, **more: Any) -> Draft:
    target = {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": {"name": "cart"}}
    return Draft(service="cart", wave=0, file="k8s/cart.yaml", target=target, live=None, change=change, **more)


def asked(
    drafts: tuple[Draft, ...] = (), *, orphans: tuple[Orphan, ...] = (), stuck: tuple[StuckPod, ...] = (),
    closing: PlannedIsolation = OPEN, **more: Any,
) -> set[str]:  # fmt: skip
    """What it is refused without."""
    found = rights.needed(request(**more), drafts, orphans, stuck, closing)
    return {f"{n.verb} {n.what}" for n in found if not n.optional}


OLD_POD = LeftBehind(kind="Pod", name="cart-x", uid="u")
ALWAYS = {f"{v} leases/rollback-shop" for v in ("get", "update", "delete")} | {"create leases", "get pods/proxy"}
WATCHED = {"list deployments", "list replicasets", "list pods"}


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"drafts": (draft("Deployment", UPDATE),)}, {"get deployments/cart", "patch deployments/cart", *WATCHED}),
        ({"drafts": (draft("Deployment", CREATE),)}, {"create deployments", *WATCHED}),
        ({"drafts": (draft("Service", UPDATE, anew={"kind": "Service"}),)},
         {"list services", "get services/cart", "create services", "delete services/cart"}),
        ({"drafts": (draft("DaemonSet", UPDATE, anew={"kind": "DaemonSet"}, leaves=(OLD_POD,)),)},
         {"list daemonsets", "get daemonsets/cart", "create daemonsets", "delete daemonsets/cart", "get pods",
          "delete pods", "list pods", "list controllerrevisions"}),
        ({"drafts": (draft("ConfigMap", UPDATE), draft("StatefulSet", NONE)), "stuck": (StuckPod(workload="cart"),)},
         {"list configmaps", "get configmaps/cart", "patch configmaps/cart", "list statefulsets", "list pods",
          "get pods", "delete pods"}),
        ({"orphans": (Orphan(kind="CronJob", name="old", change=DELETE),)},
         {"list cronjobs", "get cronjobs/old", "delete cronjobs/old"}),
        ({"closing": PlannedIsolation(mode="ingress", targets=(
            Target(kind="Ingress", name="web", api_version="networking.k8s.io/v1", before="x"),))},
         {"list ingresses", "get ingresses/web", "patch ingresses/web"}),
    ],
    ids=["put back", "created", "made again", "with what it leaves", "stuck", "an orphan", "closed"],
)  # fmt: skip
def test_a_plan_needs_what_its_changes_need_and_the_lock_and_the_way_to_the_pods(
    given: dict[str, Any], needed: set[str]
) -> None:
    assert asked(**given) == ALWAYS | needed


def test_flows_need_their_methods_and_commands_need_exec() -> None:
    settings = model.load(SETTINGS.replace("verify: {", f"verify: {{flows: [{FLOW}], "))
    found = asked((draft("ConfigMap", UPDATE),), settings=settings)
    assert {"create pods/proxy", "get pods", "create pods/exec"} <= found


def test_our_page_is_made_waited_for_and_taken_away() -> None:
    found = asked((draft("ConfigMap", UPDATE),), closing=PlannedIsolation(ours=True))
    page = "rollback-page-r1"
    assert {f"delete {kind}/{page}" for kind in ("configmaps", "services", "deployments")} <= found
    assert found >= WATCHED


def test_a_plan_that_writes_nothing_asks_nothing() -> None:
    assert rights.needed(request(), (draft("Deployment", NONE),), (), (), OPEN) == ()


def test_what_is_missing_names_the_right_what_it_is_for_and_the_rule() -> None:
    proxy = Need(verb="get", kind="Pod", subresource="proxy", why="smoke tests go through it")
    (said,) = rights.refused([proxy, Need(verb="list", kind="Event", optional=True, why="without events")])
    assert str(said) == (
        "we may not get pods/proxy: smoke tests go through it. "
        'Add to the Role: {apiGroups: [""], resources: [pods/proxy], verbs: [get]} [--accept permission:Pod/proxy]'
    )


def test_what_a_run_goes_without_is_said_once_with_all_that_is_missing_for_it() -> None:
    lacking = [Need(verb=v, kind="ConfigMap", optional=True, why="no copy is kept") for v in ("create", "update")]
    assert rights.lost(lacking) == ["No copy is kept: we may not create, update configmaps."]
