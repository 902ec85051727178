"""What an index of advisories says of the run lock. Silence is no good news: 0 only where all were asked about."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

NONE_KNOWN, KNOWN, NOT_ASKED = 0, 1, 2


class Verdict(NamedTuple):
    """What to print, and how to end."""

    code: int
    lines: tuple[str, ...]


def verdict(out: str, err: str) -> Verdict:
    """Of what pip-audit writes as JSON, and else says."""
    try:
        found: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = err.strip().splitlines()[-1:] or ["it said nothing"]
        return Verdict(NOT_ASKED, ("Not audited: no index of advisories could be asked.", *reason))
    bad = tuple(
        f"{each['name']} {each['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version yet'}"
        for each in found for v in each.get("vulns", ())
    )  # fmt: skip
    silent = [each["name"] for each in found if "vulns" not in each]
    lines = (*bad, f"{len(found) - len(silent)} of {len(found)} were asked about, {len(bad)} advisories.")
    if silent or not found:
        lines = (*lines, f"Not audited, since the index of advisories does not answer for them: {', '.join(silent)}.")
    return Verdict(KNOWN if bad else NOT_ASKED if silent or not found else NONE_KNOWN, lines)


def audit(lock: str, options: Sequence[str]) -> Verdict:
    """``options``: more for pip-audit, such as another service."""
    command = (
        sys.executable,
        "-m",
        "pip_audit",
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--disable-pip",
        "--no-deps",
    )
    done = subprocess.run(
        (*command, "--requirement", lock, *options), capture_output=True, encoding="utf-8", check=False
    )
    return verdict(done.stdout, done.stderr)
