"""A plan holds for what it was made for: somebody else's change ends it, movement that means nothing does not."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import ShopFactory
from tests.cluster.product import OPERATOR, Product
from tests.cluster.shop import Shop

SERVICES = ("cloud-config", "order-service", "user-service")
RUN_DIR = "--run-dir=.rollback/staged"


@pytest.fixture
def failed(shop: ShopFactory) -> Shop:
    """v1.1.0 ran, v1.2.0 runs and is wrong."""
    made = shop(services=SERVICES)
    made.rollback_yaml()
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        made.wait_ready()
    return made


def staged(product: Product) -> dict[str, str]:
    """Every stage before the first write, each in a process of its own; the approval for the rest."""
    for stage in ("resolve", "images", "rewrite", "preflight"):
        product("stage", stage, RUN_DIR, "--to=v1.1.0")
    plan = json.loads((product.shop.repo / ".rollback/staged/plan.json").read_text())
    approval = {"ROLLBACK_APPROVED_HASH": plan["hash"], "ROLLBACK_APPROVED_BY": "ana"}
    product("stage", "approve", RUN_DIR, environ=approval)
    return approval


def wrapper(folder: Path, real: str, first: str) -> str:
    """A kubectl that does something else before its first call; the folder to put on the PATH."""
    folder.mkdir()
    script = folder / "kubectl"
    script.write_text(f'#!/bin/sh\nif mkdir "{folder}/once" 2>/dev/null; then\n{first}\nfi\nexec "{real}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{Path(real).parent}{os.pathsep}{os.environ['PATH']}"


def version(shop: Shop) -> str:
    return max(str(pod["metadata"]["resourceVersion"]) for pod in shop.pods("user-service"))


def test_stage_by_stage_ends_like_one_run(failed: Shop) -> None:
    product = Product(failed)
    staged(product)
    for stage in ("isolate", "apply", "verify", "reopen", "document"):
        ended = product("stage", stage, RUN_DIR)
    assert "Done" in ended.last_line
    failed.wait_ready()
    assert set(failed.served_all().values()) == {"v1.1.0"}


def test_a_spec_that_changed_since_the_plan_is_7_and_nothing_is_written(failed: Shop) -> None:
    product = Product(failed)
    staged(product)
    change = '{"spec":{"minReadySeconds":1}}'
    failed.cluster.kubectl("patch", "deployment/user-service", f"--patch={change}", namespace=failed.namespace)
    mark = failed.cluster.audit_mark()
    ended = product("stage", "apply", RUN_DIR, code=7)
    assert "Deployment/user-service changed since the plan was made" in ended.err
    assert "Nothing was changed" in ended.last_line
    assert failed.cluster.writes(mark, user=OPERATOR, namespace=failed.namespace) == []


def test_a_person_in_the_middle_of_a_wave_is_4_and_the_rest_is_said(failed: Shop, tmp_path: Path) -> None:
    """The person changes a service whose turn comes later, while the first one is written."""
    failed.rollback_yaml({"services": {"order": [["cloud-config"], ["order-service"]]}})
    real = failed.cluster.kubectl_path
    admin = failed.cluster.kubeconfig()
    person = (
        f'KUBECONFIG="{admin}" "{real}" --namespace={failed.namespace} set env deployment/user-service PERSON=here >&2'
    )
    product = Product(failed)
    mark = failed.cluster.audit_mark()
    path = wrapper(tmp_path / "bin", real, person)
    ended = product("run", "--to=v1.1.0", "--yes", environ={"PATH": path}, code=4)
    assert "Deployment/user-service was changed by someone else" in ended.err
    written = {w["objectRef"]["name"] for w in failed.cluster.writes(mark, user=OPERATOR, namespace=failed.namespace)}
    assert written == {"cloud-config", "order-service"}
    assert "2 objects were changed" in ended.last_line
    live = failed.cluster.get("deployment", "user-service", namespace=failed.namespace)
    assert {"name": "PERSON", "value": "here"} in live["spec"]["template"]["spec"]["containers"][0]["env"]


def test_a_crash_looping_shop_is_not_stale_although_it_moves_all_the_time(shop: ShopFactory) -> None:
    made = shop(services=("user-service",))
    made.rollback_yaml()
    made.deploy("v1.1.0")
    made.wait_ready()
    made.deploy("v1.2.0", "crash")
    made.wait_waiting("user-service")
    product = Product(made)
    staged(product)
    before = version(made)
    deadline = time.monotonic() + 120  # the kubelet's back-off doubles from crash to crash
    while version(made) == before:
        assert time.monotonic() < deadline, "it did not move"
        time.sleep(0.5)
    # status and annotations move the workload too, and mean nothing for the plan
    made.cluster.kubectl("annotate", "deployment/user-service", "example.com/seen=yes", namespace=made.namespace)
    product("stage", "apply", RUN_DIR)
    product("stage", "verify", RUN_DIR)
    made.wait_ready()
    assert made.served("user-service") == "v1.1.0"


def test_the_same_state_has_the_same_hash_and_another_hash_is_7(failed: Shop) -> None:
    product = Product(failed)
    first, second = product.plan().data["hash"], product.plan().data["hash"]
    assert first == second
    ended = product.run("--plan-hash=" + "0" * 64, code=7)
    assert "Nothing was changed" in ended.last_line
    assert product("run", "--to=v1.1.0", code=7).last_line.startswith("Not approved (7)")
    product.run(f"--plan-hash={first}")


def test_a_stop_finishes_the_write_in_flight_and_resume_ends_the_job(failed: Shop, tmp_path: Path) -> None:
    failed.rollback_yaml({"services": {"order": [["cloud-config"], ["order-service"]]}})
    product = Product(failed)
    path = wrapper(tmp_path / "slow", failed.cluster.kubectl_path, f'touch "{tmp_path}/begun"; sleep 2')
    environment = {**product.environ, "PATH": path}
    command = (sys.executable, "-m", "rollback_lib", "run", "--to=v1.1.0", "--yes")
    running = subprocess.Popen(
        command, cwd=failed.repo, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 4, err
    last = out.rstrip().splitlines()[-1]
    assert "1 object was changed" in last
    assert "traffic is open" in last
    assert "rollback resume" in last
    product("resume")
    failed.wait_ready()
    assert set(failed.served_all().values()) == {"v1.1.0"}
