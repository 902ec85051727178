"""What goes out of this process, told to ``logging``: one line a call, with how it ended and how long it took.

The loggers are ``rollback_lib.http``, ``.kubectl``, ``.git`` and ``.login``. Calls are DEBUG; what a kubectl that
failed has said is INFO. A line is redacted, and holds no body, no header and no query that an address brought along.
As a library nothing is printed; the command line shows the lines with ``-v``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from rollback_lib.core.kube.server_answers import told
from rollback_lib.core.redact import short

LOGGER: Final = "rollback_lib"
_LONGEST: Final = 400  # characters of one line: of thousand arguments the first tell enough
logging.getLogger(LOGGER).addHandler(logging.NullHandler())


class Call:
    """One call. ``ended`` is how: a status, an exit code; empty while nobody knows."""

    def __init__(self) -> None:
        self.ended = ""


@contextlib.contextmanager
def call(through: str, what: str) -> Iterator[Call]:
    """Tell of the call in this block once it is over; of an error only its class, since its words may be secret."""
    log = logging.getLogger(f"{LOGGER}.{through}")
    one, began = Call(), time.monotonic()
    try:
        yield one
    except BaseException as error:
        one.ended = one.ended or type(error).__name__
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s, %.2f s", _line(what), _line(one.ended) or "done", time.monotonic() - began)


def said(through: str, words: str) -> None:
    """Tell all that a program said which failed, a line each, without what it quotes of objects."""
    log = logging.getLogger(f"{LOGGER}.{through}")
    if log.isEnabledFor(logging.INFO):
        for line in told(words).splitlines():
            if line.strip():
                log.info("%s said: %s", through, short(line))


def program(arguments: Sequence[str]) -> str:
    """A command as it is told of: the program by its name alone."""
    return " ".join((os.path.basename(arguments[0]), *arguments[1:]))


def address(url: str, *, path: bool = True) -> str:
    """An address without user, query and fragment, where a token may stand; ``path``: whether its path is harmless."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that does not read"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{parts.path if path else '/…'}"


def _line(text: str) -> str:
    return " ".join(short(text, _LONGEST).split())
