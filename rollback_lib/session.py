"""Makes a session: settings, ports and run directories, once for a command or for a program that imports us."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rollback_lib import wiring
from rollback_lib.core.errors import UsageError
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model
from rollback_lib.core.settings.model import Settings
from rollback_lib.operations import init
from rollback_lib.ports import Acts, Approver, GitHistory, Progress, RunStore, Session, StoppableClock


class Place(NamedTuple):
    """Where a session begins, and with which variables. ``config``: a settings file that was named; empty: found."""

    start: Path
    environ: Mapping[str, str]
    config: str = ""


class Settled(NamedTuple):
    """Settings, and the folder that they are of."""

    settings: Settings
    folder: Path
    config: str  # where they stand; empty where they were guessed
    environment: str = ""  # of a run whose settings they are


@contextlib.contextmanager
def begin(
    place: Place, progress: Progress, approver: Approver, *, environment: str = "", of_run: str | None = None,
    writes: bool = False, offline: bool = False, clock: StoppableClock | None = None,
) -> Iterator[Session]:  # fmt: skip
    """A session, until the block ends. Nothing is asked of git, a registry or a cluster before it is needed.

    ``of_run``: the directory or the id of a run that goes on; empty: the newest. Its own environment goes first where
    its directory is named, and its own settings where there is no file. ``writes``: nothing may be guessed. ``clock``
    may be stopped from outside. Raises UsageError where the settings or the environment are wrong.
    """
    found = settled(place, of_run)
    if writes and not found.config:
        raise UsageError(
            f"there is no {wiring.CONFIG} here, and what changes something does not guess: run `rollback init`, read "
            f"the file and commit it"
        )
    kept = wiring.run_directories(found.folder).at(of_run) if of_run else None
    mine = kept.get(Request).environment if kept else found.environment
    name, _ = model.environment(found.settings, mine or environment or None)
    with _opened(place, found, name, progress, approver, offline=offline, clock=clock) as session:
        yield session


@contextlib.contextmanager
def begin_bare(
    place: Place, progress: Progress, approver: Approver, *, environment: str = "", context: str = "",
    namespace: str = "", clock: StoppableClock | None = None,
) -> Iterator[Session]:  # fmt: skip
    """A session that knows a cluster and nothing else: from what is named, and what that leaves out from the file."""
    config = None
    if not namespace or environment:
        config = wiring.find_config(place.config or None, place.start)
    if config is not None:
        _name, where = model.environment(wiring.read_settings(config), environment or None)
        context, namespace = context or where.context or "", namespace or where.namespace
    if not namespace:
        raise UsageError(f"there is no {wiring.CONFIG} here, so the namespace must be named: use --namespace")
    where = model.Environment(namespace=namespace, context=context or None)
    settings = model.Settings(
        application="any", manifests=model.Manifests(path="."), environments={"any": where}
    )  # fmt: skip
    found = Settled(settings, place.start, "")
    with _opened(place, found, "any", progress, approver, clock=clock) as session:
        yield session


@contextlib.contextmanager
def without_settings(place: Place) -> Iterator[tuple[GitHistory, Acts]]:
    """What can be looked at where no settings can be had: the repository, and kubectl itself."""
    git = wiring.LazyRepository(place.start, offline=False)
    try:
        yield git, wiring.kubectl_alone(place.environ)
    finally:
        git.close()


def kept_run(place: Place, run_dir: str = "") -> RunStore:
    """The run that lies in ``run_dir``, else the newest of the folder. Raises UsageError where there is none."""
    config = wiring.find_config(place.config or None, place.start) if not run_dir else None
    folder = config.parent if config else place.start
    runs = wiring.run_directories(folder)
    if run_dir:
        return runs.kept(run_dir)
    newest = max(runs.all(), key=lambda run: run.get(Request).started, default=None)
    if newest is None:
        raise UsageError(f"there is no run below {folder / '.rollback'}: name its directory with --run-dir")
    return newest


def settled(place: Place, of_run: str | None = None) -> Settled:
    """The settings: from the file, else those of the run that goes on (`begin`), else what the repository shows.

    Raises UsageError where they are wrong or cannot be guessed.
    """
    config = wiring.find_config(place.config or None, place.start)
    if config is not None:
        return Settled(wiring.read_settings(config), config.parent, config.name)
    git = wiring.repository(place.start)
    try:
        root = Path(git.identity().root)
        if of_run is not None and (kept := _kept(root, of_run)):
            return Settled(kept.settings, root, f"run {kept.run}", kept.environment)
        return Settled(init.look(git, root.name).settings, root, "")
    except UsageError as error:
        raise UsageError(
            f"there is no {wiring.CONFIG} here, and the repository does not show enough: run `rollback init`",
            *error.problems,
        ) from None
    finally:
        git.close()


def _kept(root: Path, of_run: str) -> Request | None:
    """The request of a run in its directory or, by its id or as the newest, below the folder; None where none is."""
    runs = wiring.run_directories(root)
    if there := runs.at(of_run) if of_run else None:
        return there.get(Request)
    known = [request for run in runs.all() if not (request := run.get(Request)).dry_run]
    return max((r for r in known if of_run in ("", r.run)), key=lambda r: r.started, default=None)


@contextlib.contextmanager
def _opened(
    place: Place, found: Settled, name: str, progress: Progress, approver: Approver, *, offline: bool = False,
    clock: StoppableClock | None = None,
) -> Iterator[Session]:  # fmt: skip
    settings = found.settings.of(name)
    world = wiring.World(settings, name, found.folder, place.environ, offline=offline, clock=clock)
    by, origin = wiring.who(place.environ)
    try:
        yield Session(
            settings=settings, environment=name, ports=world.ports(progress, approver), runs=world.runs,
            folder=str(found.folder), config=found.config, by=by, origin=origin,
        )  # fmt: skip
    finally:
        world.close()
