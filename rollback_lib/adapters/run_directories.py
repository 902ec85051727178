"""The run directories of a folder: ``.rollback/<run id>``, and trials in a folder that goes with the session."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import RefusedError, UsageError
from rollback_lib.core.run.records import Request
from rollback_lib.ports import RunStore

RUNS: Final = ".rollback"
_TAG_MOVES: Final = "retags"  # below RUNS: what `rollback retag` did is no run


class RunDirectories:
    """`Runs` below one folder. ``close`` throws the trials away."""

    def __init__(self, folder: Path, is_tracked: Callable[[Path], bool] = lambda place: False) -> None:
        """``is_tracked``: whether the repository has files of a folder."""
        self._folder, self._is_tracked = folder, is_tracked
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def new(self, request: Request, place: str = "") -> RunDirectory:
        return _opened(Path(place) if place else self._folder / RUNS / request.run, request)

    def aside(self, request: Request) -> RunDirectory:
        return _opened(self._folder / RUNS / _TAG_MOVES / request.run, request)

    def trial(self, request: Request) -> RunDirectory:
        return _opened(self.scratch() / request.run, request)

    def at(self, place: str) -> RunDirectory | None:
        root = Path(place)
        return RunDirectory(root) if (root / "run.json").is_file() else None

    def kept(self, place: str) -> RunDirectory:
        """The run in ``place``, whatever is left of it. Raises UsageError where nothing is; nothing is made."""
        root = Path(place)
        if not any((root / name).is_file() for name in ("run.json", "journal.jsonl")):
            raise UsageError(f"{root} is no run directory: it has neither run.json nor journal.jsonl")
        return RunDirectory(root)

    def all(self) -> Iterator[RunDirectory]:
        with contextlib.suppress(OSError):
            yield from (RunDirectory(p) for p in (self._folder / RUNS).iterdir() if (p / "run.json").is_file())

    def is_own(self, run: RunStore) -> bool:
        if run.get(Request).repository != str(self._folder):
            return False
        with contextlib.suppress(RefusedError):
            return not self._is_tracked(Path(run.place))
        return True

    def restored(self, run: str, files: Mapping[str, bytes], place: str = "") -> RunDirectory:
        made = RunDirectory(Path(place) if place else self._folder / RUNS / run)
        for name in sorted(files, key=lambda name: name == "run.json"):  # last: only then it is one
            made.write(name, files[name])
        return made

    def scratch(self) -> Path:
        """A folder that goes with the session."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="rollback-", ignore_cleanup_errors=True)
        return Path(self._scratch.name)

    def close(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None


def _opened(root: Path, request: Request) -> RunDirectory:
    run = RunDirectory(root)
    if run.find(Request) is None:
        run.put(request)
    return run
