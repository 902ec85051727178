"""A lock as `make lock` writes it: each name with its version and the hashes of every file that may be installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_PIN: Final = re.compile(r"^([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)


class Pin(NamedTuple):
    """One distribution, and the SHA-256 of each of its files that may be taken."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        return " \\\n    ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{h}" for h in self.hashes)]) + "\n"


def read(text: str) -> list[Pin]:
    """Raises ValueError where a line is none that `make lock` writes: what is not understood is not pinned."""
    found = [
        Pin(name, version, tuple(re.findall(r"[0-9a-f]{64}", hashes))) for name, version, hashes in _PIN.findall(text)
    ]
    if written(found) != text:
        raise ValueError("not a lock of names, versions and hashes only")
    return found


def written(pins: Sequence[Pin]) -> str:
    return "".join(map(str, pins))


def hash_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
