"""From options to a run with its ports: what plan, run, stage and verify do first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rollback_lib import wiring
from rollback_lib.cli.console import Console
from rollback_lib.core import settings as core_settings
from rollback_lib.core.errors import UsageError
from rollback_lib.core.settings import Settings
from rollback_lib.operations import init
from rollback_lib.operations import run as operation
from rollback_lib.ports import Ports, RunStore


def settings_of(values: Mapping[str, Any]) -> tuple[Settings, Path]:
    """(settings, the folder that they are of): from the file, or from what the repository shows where it is enough."""
    start = wiring.current_folder()
    config = wiring.find_config(values.get("config"), start)
    if config is not None:
        return wiring.read_settings(config), config.parent
    git = wiring.repository(start)
    try:
        root = Path(git.identity().root)
        return init.look(git, root.name).settings, root
    except UsageError as error:
        raise UsageError(
            f"there is no {wiring.CONFIG} here, and the repository does not show enough: run `rollback init`",
            *error.problems,
        ) from None
    finally:
        git.close()


@contextmanager
def entered(
    values: Mapping[str, Any], *, dry_run: bool = False, run_dir: str = ""
) -> Iterator[tuple[RunStore, Ports, Console]]:
    """A run directory, ports and a console; all closed at the end."""
    settings, folder = settings_of(values)
    name, _ = core_settings.environment(settings, values.get("environment"))
    now = wiring.now()
    by, origin = wiring.who(os.environ)
    world = wiring.World(settings, name, folder, os.environ, offline=bool(values.get("offline")))
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))
    try:
        run_id = wiring.new_run_id(name, now)
        request = operation.request(
            {**values, "dry_run": dry_run or values.get("dry_run")}, settings, name, run=run_id, by=by, origin=origin,
            started=now, repository=str(folder),
        )  # fmt: skip
        given = values.get("run_dir") or run_dir
        root = Path(given) if given else wiring.run_directory(folder, run_id)
        world.stop_on_signals()
        yield wiring.open_run(root, request), world.ports(console, console), console
    finally:
        world.close()
