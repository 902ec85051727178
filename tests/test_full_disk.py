"""A run directory that cannot be written any more, at every write of a run: the run stops with the truth, and goes on
once there is room. (A full output is another matter: tests/cli/test_output.py.)"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters import run_directory
from rollback_lib.core.errors import RefusedError
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import World

pytestmark = pytest.mark.long

EVERY = 60  # more writes than the run makes


class Disk:
    """Has room for so many more files and lines."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return os.open(path, flags, mode)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def test_wherever_the_disk_is_full_the_code_is_true_and_the_same_run_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = set()
    for room in range(EVERY):
        world = World(tmp_path / str(room))
        (tmp_path / str(room)).mkdir()
        run, disk = world.run(), Disk(room)
        with monkeypatch.context() as patch:
            patch.setattr(run_directory, "os", disk)
            outcome = operation.execute(run, world.ports())
        codes.add(outcome.ending.code)
        if codes == {0, 3, 4}:
            break
        writes = len(world.cluster.writes)
        if outcome.ending.code == 0:
            assert writes == 2
        else:
            assert outcome.ending.code == (4 if writes else 3), (room, outcome)
            assert "cannot be written: no space left on device" in outcome.ending.error
            assert len(outcome.ending.changed) + len(outcome.ending.unclear) == writes or not writes
        again = operation.execute(run, world.ports())
        assert again.ending.code == 0, (room, again)
        assert sorted(world.cluster.writes) == ["apply/deployment/cart", "apply/deployment/user"], room
    assert codes == {0, 3, 4}, "with room enough it ends well"


def test_a_folder_that_may_not_be_written_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="run cannot be written: not a directory"):
        run_directory.RunDirectory(tmp_path / "file" / "run")
