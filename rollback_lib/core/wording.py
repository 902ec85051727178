"""Words as people read them: counted, shortened, and in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 80


def counted(number: int, one: str, many: str) -> str:
    """``1 object was``, ``2 objects were``."""
    return f"{number} {one if number == 1 else many}"


def some(items: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def wrapped(said: str, start: str, below: str | None = None) -> list[str]:
    """The lines of a sentence behind ``start``; the later ones behind ``below``, by default as many blanks.

    What cannot be broken (an address, a digest) stays whole.
    """
    return textwrap.wrap(
        said, WIDTH, initial_indent=start, subsequent_indent=" " * len(start) if below is None else below,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
