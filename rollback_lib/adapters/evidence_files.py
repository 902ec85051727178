"""`Files`: reports below the repository's folder, and what a person named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

MOST: Final = 50
LARGEST_REPORT: Final = 20 << 20
LARGEST_GIVEN: Final = 1 << 20


class EvidenceFiles:
    """Reads below ``folder``; links that lead out of it are left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def matching(self, glob: str) -> Mapping[str, bytes]:
        found = []
        for path in self._folder.glob(glob):
            inside = path.resolve().is_relative_to(self._folder)
            if inside and path.is_file() and path.stat().st_size <= LARGEST_REPORT:
                found.append(path)
        newest = sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)[:MOST]
        return {p.relative_to(self._folder).as_posix(): p.read_bytes() for p in newest}

    def given(self, path: str) -> bytes:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_GIVEN)
