"""``-v``: each call to kubectl, to git and over HTTP as a line on stderr, when it is over."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def shown(wanted: bool) -> Iterator[None]:
    """Show what is told to the logger ``rollback_lib`` until the block ends; nothing where it is not ``wanted``."""
    if not wanted:
        yield
        return
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            from rollback_lib.cli.console import columns

            with contextlib.suppress(Exception):  # a console that is gone does not end a run
                line = "    " + " ".join(record.getMessage().split())
                if sys.stderr.isatty():  # over a line that is waiting there
                    line = "\r" + line.ljust(columns() - 1)
                sys.stderr.write(line + "\n")
                sys.stderr.flush()

    log, lines = logging.getLogger("rollback_lib"), Lines()
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(lines)
