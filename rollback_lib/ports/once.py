"""What a process asks only once, such as what a commit holds: kept beside the ports, so that it ends with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """Answers that cannot change, by what they depend on. Whoever asks while another is asking waits for its answer.

    An error is nobody's answer but theirs who waited for it: the next one asks again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, Future[Any]] = {}

    def of(self, key: Hashable, ask: Callable[[], T]) -> T:
        """The answer to ``key``, asked for where it is not known yet. Raises what ``ask`` raises."""
        with self._lock:
            known = self._known.get(key)
            if known is None:
                mine = self._known[key] = Future[Any]()
        if known is not None:
            there: T = known.result()
            return there
        try:
            answer = ask()
        except BaseException as error:
            with self._lock:
                del self._known[key]
            mine.set_exception(error)
            raise
        mine.set_result(answer)
        return answer
