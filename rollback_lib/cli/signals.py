"""The signals by which a person, Jenkins, or a terminal that goes asks us to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

HANGUP: Final[int | None] = getattr(signal, "SIGHUP", None)  # Windows has none
ENDING: Final = (signal.SIGINT, signal.SIGTERM, *([signal.Signals(HANGUP)] if HANGUP is not None else []))
Handler = Callable[[int, FrameType | None], Any]


def handle(asked: Handler) -> Mapping[int, Any]:
    """Have each of them call ``asked``; the handlers that they had before. Nothing where this is not the main thread.

    Who started us with `nohup` wants us to outlive the terminal: a SIGHUP that is ignored stays so.
    """
    before: dict[int, Any] = {}
    for number in ENDING:
        if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):
                before[number] = signal.signal(number, asked)
    return before


@contextlib.contextmanager
def handled(asked: Handler) -> Iterator[None]:
    """As `handle`, until the block ends."""
    before = handle(asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_the_next(number: int) -> None:
    """Another one like this ends the process at once. But a terminal that goes sends SIGHUP twice, itself and by its
    shell, and nobody has lost patience."""
    signal.signal(number, signal.SIG_IGN if number == HANGUP else signal.SIG_DFL)


def ignore() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
