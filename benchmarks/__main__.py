"""What a rollback costs beside bare kubectl: pairs in turn on one cluster, medians, bounds that must hold.

    make bench            every figure, at least nine pairs (about ten minutes)
    make bench PAIRS=3    a quick look; says so

Ends with 1 where a bound is broken. The figures are ratios measured in this run; nothing is typed in by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.build import Programs
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane
from tests.cluster.shop import Shop
from tests.cluster.state import ClusterState, default_state_file

ROOT = Path(__file__).resolve().parent.parent
WAVES = [["service-discovery"], ["cloud-config"]]


class Figures:
    """What was measured, and whether each bound holds."""

    def __init__(self) -> None:
        self.broken = 0

    def bound(self, what: str, value: float, most: float, unit: str = "") -> None:
        good = value <= most
        self.broken += not good
        print(f"{'ok  ' if good else 'OVER'}  {what}: {value:.2f}{unit} (at most {most:g}{unit})", flush=True)


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    running = ClusterState.read(default_state_file())
    if running is not None:
        yield Cluster.ours(running)
        return
    with ControlPlane(Programs.cached()) as state:
        yield Cluster.ours(state)


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def rollback(cluster: Cluster, shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KUBECONFIG": cluster.kubeconfig(),
        "PATH": f"{Path(cluster.kubectl_path).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = (sys.executable, "-m", "rollback_lib", *arguments)
    done = subprocess.run(command, cwd=shop.repo, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"rollback {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done


def by_hand(shop: Shop, services: tuple[str, ...]) -> str:
    """The old manifests with the images named by hand, as the fastest careful person would."""
    return re.sub(rf"({re.escape(shop.organization)}/[\w-]+):prod", r"\1:v1.1.0", shop.manifests_at("v1.1.0", services))


def bare_apply(cluster: Cluster, shop: Shop, waves: list[tuple[str, ...]]) -> None:
    for wave in waves:
        cluster.apply(by_hand(shop, wave), namespace=shop.namespace)
        cluster.kubectl(
            "rollout", "status", "--timeout=120s", *(f"deployment/{s}" for s in wave), namespace=shop.namespace
        )


def make_it_bad(shop: Shop) -> None:
    shop.deploy("v1.2.0")
    shop.wait_ready()


def must_serve(shop: Shop, release: str) -> None:
    wrong = {s: v for s, v in shop.served_all().items() if v != release}
    if wrong:
        raise SystemExit(f"these do not serve {release}: {wrong}")


def pairs(cluster: Cluster, shop: Shop, count: int, waves: list[tuple[str, ...]]) -> tuple[float, list[float]]:
    """(median ratio of ours to bare kubectl, our seconds outside of waiting), one pair after the other."""
    ratios, own = [], []
    for number in range(count):
        taken: dict[str, float] = {}
        order = ("ours", "bare") if number % 2 else ("bare", "ours")
        for way in order:
            make_it_bad(shop)
            if way == "ours":
                taken[way] = timed(lambda: rollback(cluster, shop, "run", "--to", "v1.1.0", "--yes"))
                own.append(taken[way] - waited(shop))
            else:
                taken[way] = timed(lambda: bare_apply(cluster, shop, waves))
            shop.wait_ready()
            must_serve(shop, "v1.1.0")
        ratios.append(taken["ours"] / taken["bare"])
        print(f"      ours {taken['ours']:.2f} s, bare {taken['bare']:.2f} s, ratio {ratios[-1]:.2f}", flush=True)
    return statistics.median(ratios), own


def waited(shop: Shop) -> float:
    """Seconds that the newest run spent waiting for pods: its verify stage, by its journal."""
    newest = max((shop.repo / ".rollback").glob("*/journal.jsonl"), key=lambda p: p.stat().st_mtime)
    times: dict[str, float] = {}
    for line in newest.read_text().splitlines():
        event = json.loads(line)
        if event["stage"] == "verify":
            times[event["mark"]] = _seconds(event["at"])
    return times["stage-done"] - times["stage-begin"]


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


def requests(cluster: Cluster, shop: Shop) -> int:
    """Requests that one run of this shop makes, polling of pods and workloads while it waits aside."""
    make_it_bad(shop)
    mark = cluster.audit_mark()
    rollback(cluster, shop, "run", "--to", "v1.1.0", "--yes")
    events = cluster.audit(mark, user="admin")
    ours = [e for e in events if "rollback_lib" in e.get("userAgent", "") or "kubectl" in e.get("userAgent", "")]
    return len([e for e in ours if not (e["verb"] == "list" and e.get("objectRef", {}).get("namespace"))])


def ratio_to_python(arguments: list[str], count: int, cwd: Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*command: str) -> float:
        began = time.monotonic()
        subprocess.run((sys.executable, *command), cwd=cwd, env=environment, capture_output=True, check=True)
        return time.monotonic() - began

    times = [(run("-m", "rollback_lib", *arguments), run("-c", "pass")) for _ in range(max(count, 9) + 1)][1:]
    return statistics.median(ours for ours, _ in times) / statistics.median(bare for _, bare in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    count = parser.parse_args().pairs
    if count < 9:
        print(f"Only {count} pairs: a quick look, no measurement to quote.")
    figures = Figures()
    with ExitStack() as stack:
        cluster = stack.enter_context(a_cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop = Shop(cluster, stack.enter_context(cluster.namespace("bench")), folder / "shop")
        shop.write_repo()
        shop.rollback_yaml()
        shop.deploy("v1.1.0")
        shop.wait_ready()

        figures.bound("rollback --help / bare Python", ratio_to_python(["--help"], count, shop.repo), 8)
        offline = ["plan", "--offline", "--to", "v1.1.0"]
        figures.bound("plan --offline of ten services / bare Python", ratio_to_python(offline, count, shop.repo), 25)

        print("One apply of all, images named by hand, then wait:")
        ratio, own = pairs(cluster, shop, count, [shop.services])
        figures.bound("rollback run / one kubectl apply, median", ratio, 1.15)
        figures.bound("our time outside of waiting for pods, median", statistics.median(own), 1.5, " s")

        print("In waves, images named by hand, each awaited:")
        shop.rollback_yaml({"services": {"order": WAVES}})
        first = [tuple(w) for w in WAVES]
        rest = tuple(s for s in shop.services if not any(s in w for w in WAVES))
        ratio, _ = pairs(cluster, shop, count, [*first, rest])
        figures.bound("rollback run with order / the same waves by kubectl, median", ratio, 1.15)

        shop.rollback_yaml()
        small = Shop(
            cluster, stack.enter_context(cluster.namespace("bench")), folder / "small", services=shop.services[:5]
        )
        small.write_repo()
        small.rollback_yaml()
        small.deploy("v1.1.0")
        small.wait_ready()
        ten, five = requests(cluster, shop), requests(cluster, small)
        print(f"      API requests: {ten} for ten services, {five} for five, polling aside")
        figures.bound("API requests per service", (ten - five) / 5, 4)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        figures.bound("peak memory of the largest process that was started", peak, 150, " MB")
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
