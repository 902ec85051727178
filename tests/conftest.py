"""What holds for all tests: how long one may take, how many are kept for later, and the seed of what is drawn.

**No test above 2 s** that is not `long`, `alone`, on a cluster, on Jenkins's engine or of the wheel. Time on a busy
machine says little, so the limit is 2 s times what the machine has to do more than it has cores (the load of the last
minute, and the workers of this session). What takes longer is listed at the end; what takes twice as long fails the
session where ``CI`` is set (one measurement on another machine is off by as much: a test of 2.4 s took 3.9 s there).
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest

LIMIT: Final = 2.0  # seconds
FAILS: Final = 2.0  # times the limit
SEED: Final = "ROLLBACK_TEST_SEED"
FAULTS: Final = "ROLLBACK_TEST_FAULTS"
_EXEMPT: Final = ("long", "alone", "cluster")
_ELSEWHERE: Final = ("cluster", "jenkins", "supply")  # folders
_LONG = pytest.StashKey[int]()
_SLOW = pytest.StashKey[list[tuple[bool, str]]]()  # whether it fails the session, and the line
_ALLOWED: Final = "seconds allowed"


def pytest_configure(config: pytest.Config) -> None:
    # Here, before any worker is started: all of them have to draw the same.
    os.environ.setdefault(SEED, str(random.randrange(1_000_000)))
    if hasattr(signal, "SIGHUP"):  # ignored where somebody started this with nohup, and so in all that tests start
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # How long one example takes is the machine's affair; `LIMIT` is for the whole test.
    hypothesis.settings.register_profile("ours", deadline=None)
    hypothesis.settings.load_profile("ours")
    config.stash[_LONG], config.stash[_SLOW] = 0, []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Counted before ``-m`` leaves them out."""
    config.stash[_LONG] = sum(item.get_closest_marker("long") is not None for item in items)
    if (output := getattr(config, "workeroutput", None)) is not None:
        output["long"] = config.stash[_LONG]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of pytest-xdist counted; each of them collects everything."""
    output = getattr(node, "workeroutput", None) or {}
    node.config.stash[_LONG] = max(node.config.stash[_LONG], output.get("long", 0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call" and not exempt(item):
        report.user_properties.append((_ALLOWED, LIMIT * busy()))
    return report


def exempt(item: pytest.Item) -> bool:
    """Whether a test may take as long as it needs. What is disturbed or killed beyond `make test` may."""
    elsewhere = any(Path(__file__).parent / folder in item.path.parents for folder in _ELSEWHERE)
    return (
        bool(os.environ.get(FAULTS)) or elsewhere or any(item.get_closest_marker(mark) is not None for mark in _EXEMPT)
    )


def busy() -> float:
    """How many times more than its cores the machine has to do; 1 where it has not."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1.0, load / cores, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) / cores)


class Times:
    """Listens to reports where they come together."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        allowed = dict(report.user_properties).get(_ALLOWED)
        if report.when == "call" and isinstance(allowed, float) and report.duration > allowed:
            line = f"{report.duration:5.1f} s (allowed {allowed:.1f} s)  {report.nodeid}"
            self._config.stash[_SLOW].append((report.duration > FAILS * allowed, line))


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Times(session.config), "times")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (
        any(fails for fails, _ in session.config.stash[_SLOW])
        and os.environ.get("CI")
        and exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if slow := config.stash[_SLOW]:
        terminalreporter.section("longer than a test may take")
        for _, line in slow:
            terminalreporter.write_line(line)
    if (number := config.stash[_LONG]) and config.option.markexpr == "not long":
        terminalreporter.write_line(f"{number} tests are long: make test-faults runs them.")
    if os.environ.get(FAULTS) == "pairs":
        terminalreporter.write_line(f"Drawn with {SEED}={os.environ[SEED]}: set it to draw the same again.")
