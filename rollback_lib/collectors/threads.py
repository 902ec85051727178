"""Asking many at once, with one end for all: what does not answer until then is said and not waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

from rollback_lib.core.errors import RollbackError
from rollback_lib.core.evidence.monitoring import unread
from rollback_lib.core.run.records import Finding

T = TypeVar("T")
A = TypeVar("A")
PARALLEL = 8


def begin(ask: Callable[[], T]) -> Future[T]:
    """Ask in a thread that a process does not wait for when it ends."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return answer


def each(ask: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """All answers in the order of the items, a few asked at a time. The first error is raised."""
    waiting = list(enumerate(items))
    found: dict[int, T] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting or errors:
                    return
                place, item = waiting.pop(0)
            try:
                found[place] = ask(item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(PARALLEL, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [found[place] for place in sorted(found)]


def gather(questions: Mapping[str, Callable[[], Iterable[Finding]]], seconds: float) -> dict[str, tuple[Finding, ...]]:
    """What each source found within so many seconds. One that fails, or is late, is a finding that says so."""
    ends = time.monotonic() + seconds
    asked = {source: begin(lambda ask=ask: tuple(ask())) for source, ask in questions.items()}  # type: ignore[misc]
    found: dict[str, tuple[Finding, ...]] = {}
    for source, answer in asked.items():
        try:
            found[source] = answer.result(max(0.0, ends - time.monotonic()))
        except TimeoutError:
            found[source] = (unread(source, f"no answer within {seconds:g} s"),)
        except RollbackError as error:
            found[source] = (unread(source, str(error)),)
        except Exception as error:
            found[source] = (unread(source, f"{type(error).__name__}: {error}"),)
    return found
