"""A smoke answer that never ends, from a real pod through the real proxy: time, memory and a signal."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Shop

SERVICES = ("order-service", "user-service")
LIMIT = 4  # seconds that a smoke test may take
ISOLATION = {"mode": "service", "targets": ["user-service"], "default": True}


def failed(shop: ShopFactory, behaviour: str, *, path: str = "/cgi-bin/orders", closed: bool = False) -> Shop:
    """A shop whose target answers without end where the smoke test asks."""
    made = shop(services=SERVICES)
    smoke = [{"service": "user-service", "path": path, "timeout": f"{LIMIT}s", "patience": "1s"}]
    where = {"context": "test", "namespace": made.namespace, **({"isolation": ISOLATION} if closed else {})}
    made.rollback_yaml({"verify": {"smoke": smoke}, "environments": {"prod": where}})
    made.deploy("v1.1.0", behaviour)
    made.wait_ready()
    made.deploy("v1.2.0")
    made.wait_ready()
    return made


def started(product: Product, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        (sys.executable, "-m", "rollback_lib", *arguments),
        cwd=product.shop.repo,
        env=product.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def most_memory(process: "subprocess.Popen[str]") -> int:
    """Peak KiB of a process that goes on."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def in_verify(product: Product, process: "subprocess.Popen[str]") -> None:
    ends = time.monotonic() + 90
    while True:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        runs = product.shop.repo / ".rollback"
        if runs.is_dir() and any(runs.glob("*/run.json")):
            journal = product.latest / "journal.jsonl"
            text = journal.read_text() if journal.exists() else ""
            if '"stage-begin","stage":"verify"' in text:
                return
        time.sleep(0.05)


@pytest.mark.parametrize("behaviour", ["endless", "drips"])
def test_verify_ends_at_its_own_limit_and_takes_little_memory(shop: ShopFactory, behaviour: str) -> None:
    made = failed(shop, behaviour)
    product = Product(made)
    with started(product, "run", "--to=v1.1.0", "--yes") as process:
        in_verify(product, process)
        began, at_first = time.monotonic(), most_memory(process)
        most = at_first
        while process.poll() is None:
            try:
                most = max(most, most_memory(process))
            except (OSError, StopIteration):
                break
            assert time.monotonic() < began + 60
            time.sleep(0.05)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 4, out + err
    assert "no answer" in out + err
    report = json.loads((product.latest / "report" / "report.json").read_text())
    assert report["restored"] is False
    assert most - at_first < 5_000, "KiB"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_it_within_two_seconds_and_the_truth_is_told(shop: ShopFactory, number: int) -> None:
    made = failed(shop, "drips", closed=True)
    product = Product(made)
    text = (made.repo / "rollback.yaml").read_text().replace(f"{LIMIT}s", "120s")
    (made.repo / "rollback.yaml").write_text(text)
    with started(product, "run", "--to=v1.1.0", "--yes") as process:
        in_verify(product, process)
        time.sleep(3)  # in the smoke test by now
        assert process.poll() is None
        signalled = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - signalled
    assert process.returncode == 5, out + err
    assert took < 3, "heeded within 2 s, and written down"
    said = " ".join(out.split()).lower()
    assert "closed" in said
    assert "rollback resume" in said
    leases = made.cluster.get("leases", namespace=made.namespace)["items"]
    assert [each["metadata"]["name"] for each in leases] == ["rollback-ecommerce"]
    assert (product.latest / "report" / "report.json").is_file()
