"""A repository by its address alone: which branches it has. Nothing is cloned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rollback_lib.adapters.bounded import Stopped, never
from rollback_lib.adapters.git_program import GitProgram
from rollback_lib.core.errors import RefusedError

LIMIT: Final = 10.0  # seconds for the one question
_BRANCHES: Final = "refs/heads/"


def branches(url: str, folder: Path, stopped: Stopped = never) -> Mapping[str, bool] | None:
    """Its branches, each with whether it is the one that is checked out there; None where that cannot be known here.

    Asked with what git finds in ``folder`` and at home; nobody is asked for a password.
    """
    words = ("ls-remote", "--symref", "--upload-pack=git-upload-pack", "--", url, "HEAD", f"{_BRANCHES}*")
    try:
        answer = GitProgram(folder, stopped).run(*words, remote=LIMIT)
    except RefusedError:
        return None
    if answer.code:
        return None
    rows = [line.split("\t", 1) for line in answer.out.decode(errors="backslashreplace").splitlines() if "\t" in line]
    head = next((what.removeprefix("ref: ") for what, ref in rows if what.startswith("ref: ") and ref == "HEAD"), "")
    return {ref.removeprefix(_BRANCHES): ref == head for _, ref in rows if ref.startswith(_BRANCHES)}
