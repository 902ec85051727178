"""The one rule for everything outside: a total time, a size, and a wish to stop that is heeded while it is waited for.

The time limits of HTTP libraries are for one read of the socket: a server that sends a byte now and then holds them
for ever, and they know no signal. So each question is asked in a thread that no process waits for, and whoever asked
waits for it no longer than it may take. The thread ends by itself at its next piece, or at its own read's limit.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from rollback_lib.core.errors import InterruptedRunError

A = TypeVar("A")
T = TypeVar("T")
Stopped = Callable[[], str]
"""Why everything has to end now, in a sentence; empty while it has not."""
AFTER_STOP: Final = 1.0  # seconds in which an answer that is on its way still counts
BEGUN_AFTER_STOP: Final = 2.0  # for what an ending has to know and to give back
PIECE: Final = 1 << 16
# Of what an application answers (a smoke test, a metric): bytes that are looked at, and bytes that are read at all.
KEPT: Final = 1 << 20
LARGEST: Final = 16 << 20
_LOOK_EVERY: Final = 0.1


class LargerError(Exception):
    """The answer is larger than anything that could be meant."""


def never() -> str:
    """For what nobody can stop."""
    return ""


class Waited:
    """What the one who answers knows of the one who asked."""

    def __init__(self) -> None:
        self.is_over = False  # nobody waits for it any more

    def read(self, piece: Callable[[int], bytes], largest: int, *, kept: int | None = None) -> bytes:
        """A whole body by ``piece(n)``, which gives at most n bytes as soon as there are some, and none at the end.

        ``kept``: how much of its beginning is wanted; the rest is read and dropped. Raises LargerError past
        ``largest`` bytes, TimeoutError once nobody waits for it.
        """
        found, size = bytearray(), 0
        while part := piece(PIECE):
            if self.is_over:
                raise TimeoutError
            size += len(part)
            if size > largest:
                raise LargerError
            found += part if kept is None else part[: max(0, kept - len(found))]
        return bytes(found)


def within(
    seconds: float, ask: Callable[[Waited], T], stopped: Stopped = never, *, is_write: bool = False,
    by_the_end: bool = True,
) -> T:  # fmt: skip
    """What ``ask`` returns, or raises.

    Raises TimeoutError after so many seconds, all counted: names, connection, the first byte and the last. Raises
    InterruptedRunError soon after somebody wants us to stop; a write (``is_write``) is waited for all the same. What is
    begun after that has `BEGUN_AFTER_STOP`: an ending has to say what is true. Or it is not begun at all, where no
    ending needs it (``by_the_end`` is False).
    """
    late = bool(stopped())
    if late and not by_the_end:
        raise InterruptedRunError(stopped())
    waited, answer = Waited(), Future[T]()

    def work() -> None:
        try:
            answer.set_result(ask(waited))
        except BaseException as error:
            answer.set_exception(error)

    ends = time.monotonic() + (min(seconds, BEGUN_AFTER_STOP) if late else seconds)
    cut: float | None = None
    threading.Thread(target=work, daemon=True, name="rollback-asks").start()
    try:
        while True:
            now = time.monotonic()
            if answer.done():
                return answer.result()
            if cut is not None and now >= cut:
                raise InterruptedRunError(stopped())
            if now >= ends:
                raise TimeoutError
            if cut is None and not late and not is_write and stopped():
                cut = now + AFTER_STOP
            step = ends - now if stopped is never else min(_LOOK_EVERY, ends - now)
            with contextlib.suppress(TimeoutError):
                answer.exception(max(step, 0.0))
    finally:
        waited.is_over = True


def again(ask: Callable[[], T], wait: Callable[[T, float], float | None], pauses: Sequence[float],
          sleep: Callable[[float], None]) -> T:  # fmt: skip
    """What ``ask`` gets, asked once more after each of ``pauses`` (seconds) as long as the answer is not good enough.

    ``wait(answer, pause)``: the seconds to wait before the next try; None where the answer will do as it is.
    """
    for pause in pauses:
        answer = ask()
        seconds = wait(answer, pause)
        if seconds is None:
            return answer
        sleep(seconds)
    return ask()


def begin_each(ask: Callable[[A], T], items: Iterable[A], many: int) -> list[Future[T]]:
    """Ask of each item, a few at a time, in threads that no process waits for when it ends."""
    asked = [(item, Future[T]()) for item in items]
    waiting = iter(asked)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                item, answer = next(waiting, (None, None))
            if answer is None:
                return
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(ask(item))  # type: ignore[arg-type]
            except BaseException as error:
                answer.set_exception(error)

    for _ in range(min(many, len(asked))):
        threading.Thread(target=work, daemon=True, name="rollback-asks").start()
    return [answer for _, answer in asked]


def wait(answers: Sequence[Future[Any]], seconds: float, stopped: Stopped = never) -> None:
    """Until all are there, or so many seconds are over. Raises InterruptedRunError soon after a wish to stop.

    What has not begun then is not asked any more.
    """
    began = time.monotonic()
    ends = began + seconds
    late = bool(stopped())
    cut = min(ends, began + BEGUN_AFTER_STOP) if late else ends
    try:
        for answer in answers:
            while not answer.done() and (now := time.monotonic()) < cut:
                if not late and stopped():
                    late, cut = True, min(cut, now + AFTER_STOP)
                with contextlib.suppress(TimeoutError):
                    answer.exception(max(min(_LOOK_EVERY, cut - now), 0.0))
        if cut < ends and not all(a.done() for a in answers):
            raise InterruptedRunError(stopped())
    finally:
        for answer in answers:
            answer.cancel()
