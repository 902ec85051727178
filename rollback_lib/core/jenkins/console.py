"""What of a build's console a person is shown: Jenkins hides notes in it, and programs write what they like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 1 << 16  # bytes of a line that is waited for; what is longer is shown as it comes
# Jenkins's notes are what it hides: some 300 characters of base64 before a line. Then whatever steers a terminal.
_HIDDEN: Final = re.compile(r"\x1b\[8m.*?(?:\x1b\[0m|$)", re.MULTILINE)
_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, the cursor
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SKIPPED: Final = re.compile(r'Stage "(.+)" skipped due to ')  # after a failure, or by its `when`


def plain(text: str) -> str:
    """The text without notes and control sequences; ends of lines and tabs stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", _HIDDEN.sub("", text.replace("\r", ""))))


def whole_lines(rest: bytes, more: bytes, *, last: bool) -> tuple[str, bytes]:
    """(what to show, what waits for the end of its line): a part of a log ends anywhere, within a letter or a note too.

    ``last``: nothing comes after.
    """
    given = rest + more
    end = len(given) if last or len(given) - given.rfind(b"\n") > LONGEST else given.rfind(b"\n") + 1
    return plain(given[:end].decode("utf-8", "replace")), given[end:]


def skipped(text: str) -> Iterator[str]:
    """The stages that Jenkins says it skipped, where a log tells; its stage view calls them failed."""
    return (found[1] for found in _SKIPPED.finditer(text))
