"""The command as users start it: a process of its own, from this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return self.out.rstrip().splitlines()[-1] if self.out.strip() else ""

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def rollback(
    *arguments: str, folder: Path, home: Path | None = None, environ: Mapping[str, str] | None = None
) -> Ended:
    """Run `rollback` in a folder with a bare environment: no settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    at_home = str(home or folder)
    environment = {
        **kept, "HOME": at_home, "USERPROFILE": at_home, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        **(environ or {}),
    }  # fmt: skip
    command = (sys.executable, "-m", "rollback_lib", *arguments)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)
