"""A Deployment with another selector, made again in the sandbox: killed at each step, it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from rollback_lib.operations import resume
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.sandbox.cluster import Kept
from rollback_lib.sandbox.shop import BAD, NAMESPACE
from tests.sandbox_shop import QuickClock, SandboxShop, TellingDirectory, sandbox_shop, told

pytestmark = pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")
USER, RUN = "user-service", "run-1"
ACCEPT = (f"recreate:Deployment/{USER}",)


class Point(NamedTuple):
    name: str
    directory: Path
    cluster: Kept


def other_selector(shop: SandboxShop) -> None:
    """Deploy one more release, with another label in the selector of a Deployment."""
    found = [o for o in yaml.safe_load_all(shop.shop.manifests(BAD)) if o]
    (mine,) = [o for o in found if (o["kind"], o["metadata"]["name"]) == ("Deployment", USER)]
    for labels in (mine["spec"]["selector"]["matchLabels"], mine["spec"]["template"]["metadata"]["labels"]):
        labels["app"] = f"{USER}-new"
    mine["spec"]["replicas"] = 2
    (shop.shop.repository / "k8s" / USER / "deployment.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    shop.shop.git("add", "--all")
    shop.shop.git("commit", "--quiet", "--message=Another selector")
    shop.shop.git("tag", "v1.3.0")
    shop.kubectl("delete", "deployment", USER)
    shop.kubectl("apply", "--filename=-", given=yaml.safe_dump(mine))
    shop.kubectl("rollout", "status", "--timeout=60s", f"deployment/{USER}")
    shop.kept = shop.sandbox.snapshot()


def of_service(shop: SandboxShop, kind: str) -> list[dict[str, Any]]:
    """What is there of a kind and begins with the service's name."""
    return [
        body
        for key, body in shop.sandbox.store.everything()
        if key[2] == NAMESPACE and body["kind"] == kind and key[3].startswith(USER)
    ]


def owners(shop: SandboxShop) -> list[str]:
    """Who owns the ReplicaSets: nobody's are in it as an empty name."""
    (deployment,) = of_service(shop, "Deployment")
    uid = deployment["metadata"]["uid"]
    sets = (o["metadata"].get("ownerReferences") or [{}] for o in of_service(shop, "ReplicaSet"))
    return ["new" if refs[0].get("uid") == uid else "" for refs in sets]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxShop]:
    with sandbox_shop(tmp_path_factory.mktemp("selector") / "shop") as made:
        other_selector(made)
        yield made


@pytest.mark.long
def test_killed_at_each_step_it_is_finished_as_if_nothing_had_happened(shop: SandboxShop, tmp_path: Path) -> None:
    shop.reset()
    points: list[Point] = []

    def keep(name: str) -> None:
        if (name.startswith(" ") and points) or f"/{USER}" in name:
            place = tmp_path / f"point-{len(points):03}"
            shutil.copytree(shop.directory(RUN), place, ignore=shutil.ignore_patterns("*.tmp"))
            points.append(Point(name, place, shop.sandbox.snapshot()))

    shop.open(RUN, accept=ACCEPT)
    run = TellingDirectory(shop.directory(RUN), keep)
    with shop.world(acts=told(keep, "act")) as ports:
        assert operation.execute(run, ports).ending.code == 0
    assert owners(shop) == ["new"], "what was left behind is gone"
    after = shop.objects()
    done = [p.name for p in points if " done " in p.name]
    assert [n.split(" ")[3].split("/")[0] for n in done] == ["apply", "apply", "delete"], done
    for point in points:
        for directory in (True, False):
            outcome = resumed(shop, point, directory=directory)
            assert outcome is None or outcome.ending.code == 0, f"{point.name}: {outcome}"
            assert shop.objects() == after, point.name
            assert owners(shop) == ["new"], point.name


def resumed(shop: SandboxShop, point: Point, *, directory: bool) -> Outcome | None:
    shop.reset()
    shop.sandbox.restore(point.cluster)
    if directory:
        shutil.copytree(point.directory, shop.directory(RUN))
    with shop.world(clock=QuickClock(ahead=120)) as ports:
        run = resume.find(shop.session(ports), "")
        return resume.resume(run, ports) if run is not None else None
