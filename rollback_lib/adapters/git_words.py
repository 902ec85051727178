"""What git says where it fails, as a reason and what to do."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from rollback_lib.core.errors import Refusal


def not_ours(path: Path, said: str) -> Refusal:
    """Why git does not read the repository at ``path``, and what to do."""
    if "dubious ownership" in said:
        named = re.search(r"safe\.directory (.+)", said)
        folder = named[1] if named else shlex.quote(str(path.absolute()))
        return Refusal(
            f"git does not trust the repository: {first_line(said)}.",
            fix=f"If you do, run: git config --global --add safe.directory {folder}",
        )
    if "GIT_DIR" in os.environ and "not a git repository" in said:
        return Refusal(f"{path} is read as GIT_DIR says, and git refuses: {first_line(said)}.", fix="Unset GIT_DIR.")
    if is_in_none(said):
        return Refusal(f"{path} is not in a git repository.", fix="Run in the clone that holds the manifests.")
    return Refusal(f"git cannot read the repository at {path}: {first_line(said)}.")


def is_in_none(said: str) -> bool:
    """Whether git says that a folder lies in no repository, or is not there."""
    return "not a git repository" in said or "cannot change to" in said


def elsewhere(folder: Path, own: str, led: Mapping[str, str]) -> Refusal:
    """That git's variables lead to another repository than the one that the folder lies in."""
    named = ", ".join(f"{name}={place}" for name, place in led.items())
    return Refusal(
        f"These are two repositories: {folder.absolute()} lies in {own}, and git is led elsewhere by {named}.",
        fix=f"Unset {' and '.join(led)} (a git hook sets it), or run in the folder of the other one.",
    )


def no_tags(fetch: str) -> Refusal:
    """That a clone has no tags; ``fetch`` brings those that the remote has."""
    none = "If there are none there either, tag what runs, while it is well, and `rollback record-release` it."
    return Refusal("This clone has no tags, so it knows no release.", fix=f"{fetch} {none}")


def first_line(said: str) -> str:
    """Why git failed, without its "fatal: "; never empty."""
    lines = [line for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("fatal: ")]
    return (fatal or lines or ["git said nothing"])[0].removeprefix("fatal: ").rstrip(". ")
