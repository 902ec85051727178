"""Libraries that take long to load: in the background at the start, and one at a time after that.

Two threads that import what imports `requests` meet it half made: an ImportError now and then, on a notice or a smoke
test. So whoever imports such a library does it in ``with alone():``.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

_loading: Final[list[threading.Thread]] = []
_one: Final = threading.Lock()


def begin() -> None:
    """Load the Kubernetes client: 0.4 s, most of it while git and the first answers are waited for."""
    thread = threading.Thread(target=_load_client, daemon=True)
    _loading[:] = [*(t for t in _loading if t.is_alive()), thread]
    thread.start()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """For one import that nothing else is loaded beside."""
    for thread in tuple(_loading):
        thread.join()
    with _one:
        yield


def _load_client() -> None:
    with contextlib.suppress(Exception):
        from kubernetes.client import ApiClient, Configuration  # noqa: F401
