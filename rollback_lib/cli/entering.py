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
from rollback_lib.core.run import Request
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
        return init.from_repository(git, root.name).settings, root
    except UsageError as error:
        raise UsageError(
            f"there is no {wiring.CONFIG} here, and the repository does not show enough: run `rollback init`",
            *error.problems,
        ) from None
    finally:
        git.close()


def request_of(values: Mapping[str, Any], settings: Settings, folder: Path, *, dry_run: bool) -> Request:
    """The request that these options make."""
    name, _ = core_settings.environment(settings, values.get("environment"))
    now = wiring.now()
    by, origin = wiring.who(os.environ)
    run_id = wiring.new_run_id(name, now)
    values = {**values, "dry_run": dry_run or values.get("dry_run")}
    return operation.request(
        values, settings, name, run=run_id, by=by, origin=origin, started=now, repository=str(folder)
    )


@contextmanager
def looking(values: Mapping[str, Any], *, to: str = "last-good") -> Iterator[tuple[RunStore, Ports, Console]]:
    """As `entered`, for commands that only ask: the run directory is gone afterwards."""
    settings, folder = settings_of(values)
    request = request_of({**values, "to": to}, settings, folder, dry_run=True)
    world = wiring.World(settings, request.environment, folder, os.environ, offline=False)
    console = Console(quiet=not values.get("verbose"))
    try:
        with wiring.scratch_run(request) as run:
            yield run, world.ports(console, console), console
    finally:
        world.close()


@contextmanager
def entered(
    values: Mapping[str, Any], *, dry_run: bool = False, run_dir: str = ""
) -> Iterator[tuple[RunStore, Ports, Console]]:
    """A run directory, ports and a console; all closed at the end."""
    settings, folder = settings_of(values)
    request = request_of(values, settings, folder, dry_run=dry_run)
    offline = bool(values.get("offline"))
    world = wiring.World(settings, request.environment, folder, os.environ, offline=offline)
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))
    try:
        given = values.get("run_dir") or run_dir
        root = Path(given) if given else wiring.run_directory(folder, request.run)
        world.stop_on_signals()
        yield wiring.open_run(root, request), world.ports(console, console), console
    finally:
        world.close()
