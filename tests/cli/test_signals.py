"""Which signals end us, where and how; what they end is in `test_interrupted`."""

import importlib
import os
import signal
from collections.abc import Iterator

import pytest

from rollback_lib.adapters.clock import SystemClock
from rollback_lib.cli import invocation, signals


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in signals.ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_asks_the_run_to_end(name: str) -> None:
    number, clock = getattr(signal, name), SystemClock()
    signal.signal(number, lambda number, frame: None)  # where nobody handles it, this process goes on
    invocation.stop_on_signals(clock)
    assert clock.stopped() == ""
    os.kill(os.getpid(), number)
    assert clock.stopped() == f"Interrupted ({name})."
    last = signal.SIG_IGN if name == "SIGHUP" else signal.SIG_DFL
    assert signal.getsignal(number) is last, "a second one"


def test_what_was_ignored_at_the_start_stays_so_for_a_terminal_alone() -> None:
    for number in signals.ENDING:
        signal.signal(number, signal.SIG_IGN)
    clock = SystemClock()
    invocation.stop_on_signals(clock)
    os.kill(os.getpid(), signal.SIGHUP)
    assert clock.stopped() == ""
    os.kill(os.getpid(), signal.SIGINT)
    assert clock.stopped() == "Interrupted (SIGINT)."


def test_a_clock_that_is_stopped_gives_the_handlers_back() -> None:
    with invocation.stoppable_clock() as clock:
        os.kill(os.getpid(), signal.SIGHUP)
        assert clock.stopped() == "Interrupted (SIGHUP)."
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_where_there_is_no_sighup_it_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows."""
    monkeypatch.delattr(signal, "SIGHUP")
    try:
        without = importlib.reload(signals)
        assert without.ENDING == (signal.SIGINT, signal.SIGTERM)
        with without.handled(lambda number, frame: None):
            without.end_at_the_next(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        monkeypatch.undo()
        importlib.reload(signals)
