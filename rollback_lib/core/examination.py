"""What `rollback doctor` found: one line a prerequisite of the plan, and how to mend what fails."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from rollback_lib.core.redact import visible

_WIDTH: Final = 80
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")


class Finding(msgspec.Struct, frozen=True):
    """One prerequisite. ``state``: ok, warn (a rollback works, with less), fail (it does not). ``fix`` says how."""

    state: Literal["ok", "warn", "fail"]
    what: str
    said: str
    fix: str = ""


def text(findings: Sequence[Finding]) -> str:
    """The lines, 80 columns wide."""
    lines: list[str] = []
    for found in findings:
        mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[found.state]
        lines += _wrapped(found.said, f"{mark}  {found.what:<12} ")
        if found.fix:
            lines += _wrapped(f"→ {found.fix}", " " * 19)
    return visible("\n".join(lines)) + "\n"


def _wrapped(said: str, start: str) -> list[str]:
    return textwrap.wrap(
        said, _WIDTH, initial_indent=start, subsequent_indent=" " * 19, break_long_words=False, break_on_hyphens=False
    )


def skew(client: str, server: str) -> Finding:
    """kubectl beside the server: one minor version apart is what Kubernetes supports."""
    said = f"kubectl {client}, server {server}"
    ours, theirs = _VERSION.match(client), _VERSION.match(server)
    if ours and theirs and (ours[1] != theirs[1] or abs(int(ours[2]) - int(theirs[2])) > 1):
        return Finding("warn", "kubectl", said, "Use a kubectl at most one minor version away from the server's.")
    return Finding("ok", "kubectl", said)


def images(rungs: Sequence[tuple[str, str]], release: str) -> Finding:
    """``rungs``: (container, rung) of each of the team's images at the newest release."""
    other = [f"{container} ({rung})" for container, rung in rungs if rung not in ("release-tag", "manifest", "ledger")]
    good = len(rungs) - len(other)
    said = f"{release}: {good} of {len(rungs)} of the team's images have a name of their own"
    if other:
        advice = f"Push each image under its release's tag as well; now without: {', '.join(other[:5])}."
        return Finding("warn", "images", said, advice)
    return Finding("ok", "images", said)
