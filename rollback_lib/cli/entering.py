"""From options to a run with its ports: what plan, run, stage and verify do first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from rollback_lib import wiring
from rollback_lib.cli.console import Console
from rollback_lib.core.errors import RollbackError, UsageError
from rollback_lib.core.readouts import prerequisites
from rollback_lib.core.readouts.prerequisites import Check
from rollback_lib.core.run import states
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.core.settings import model as core_settings
from rollback_lib.core.settings.model import Settings
from rollback_lib.operations import init, resume, undo
from rollback_lib.operations import run as operation
from rollback_lib.operations.doctor import Known
from rollback_lib.ports import Acts, GitHistory, Ports, RunStore


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


def request_of(values: Mapping[str, Any], settings: Settings, folder: Path, *, dry_run: bool) -> Request:
    """The request that these options make."""
    name, _ = core_settings.environment(settings, values.get("environment"))
    now = wiring.now()
    by, origin = wiring.who(os.environ)
    run_id = wiring.new_run_id(name, now)
    given = tuple(str(Path(path).absolute()) for path in values.get("evidence") or ())
    values = {**values, "evidence": given, "dry_run": dry_run or values.get("dry_run")}
    return operation.request(
        values, settings, name, run=run_id, by=by, origin=origin, started=now, repository=str(folder)
    )


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


def kept_run(values: Mapping[str, Any]) -> RunStore:
    """The run that lies in ``--run-dir``, else the newest of this folder. Raises UsageError where there is none."""
    if given := values.get("run_dir"):
        return wiring.kept_run(Path(given))
    start = wiring.current_folder()
    config = wiring.find_config(values.get("config"), start)
    folder = config.parent if config else start
    newest = max(wiring.runs(folder), key=lambda run: run.get(Request).started, default=None)
    if newest is None:
        raise UsageError(f"there is no run below {folder / wiring.RUNS}: name its directory with --run-dir")
    return newest


@contextmanager
def resuming(values: Mapping[str, Any], wanted: str) -> Iterator[tuple[RunStore | None, Ports, Console]]:
    """A run that is entered again: the one in --run-dir, else the one that is found here or in the cluster."""
    settings, folder = settings_of(values)
    given = Path(values["run_dir"]) if values.get("run_dir") else None
    entered_again = wiring.known_run(given) if given else None
    request = entered_again.get(Request) if entered_again else None
    name, _ = core_settings.environment(settings, request.environment if request else values.get("environment"))
    world = wiring.World(settings, name, folder, os.environ, offline=False)
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))

    def restore(run_id: str, files: Mapping[str, bytes]) -> RunStore:
        return wiring.restore_run(given or wiring.run_directory(folder, run_id), files)

    try:
        world.stop_on_signals()
        ports = world.ports(console, console)
        here = [entered_again] if entered_again else () if given else wiring.runs(folder)
        wanted = wanted or (request.run if request else "")
        run = resume.find(ports.records, settings.application, name, wanted, here, restore)
        if run is not None:
            _answered(run, values)
        yield run, ports, console
    finally:
        world.close()


@contextmanager
def undoing(values: Mapping[str, Any], wanted: str) -> Iterator[tuple[RunStore, RunStore, Ports, Console]]:
    """A new run, and the one that it undoes."""
    settings, folder = settings_of(values)
    new = request_of(values, settings, folder, dry_run=False)
    world = wiring.World(settings, new.environment, folder, os.environ, offline=False)
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))

    def restore(run_id: str, files: Mapping[str, bytes]) -> RunStore:
        return wiring.restore_run(wiring.run_directory(folder, run_id), files)

    try:
        world.stop_on_signals()
        ports = world.ports(console, console)
        of = resume.find(ports.records, settings.application, new.environment, wanted, wiring.runs(folder), restore)
        assert of is not None, "a run that is wanted is found or refused"
        root = Path(values["run_dir"]) if values.get("run_dir") else wiring.run_directory(folder, new.run)
        yield wiring.open_run(root, undo.request(new, of)), of, ports, console
    finally:
        world.close()


def is_own(values: Mapping[str, Any], run: RunStore) -> bool:
    """Whether a run has made this directory, here: nobody has committed it, or brought it from elsewhere."""
    _, folder = settings_of(values)
    return run.get(Request).repository == str(folder) and not wiring.is_committed(folder, Path(run.place))


def _answered(run: RunStore, values: Mapping[str, Any]) -> None:
    """What this command line says anew: a yes where nobody has approved yet, and taking the lock over."""
    request = run.get(Request)
    yes = request.yes or (bool(values.get("yes")) and run.find(Approval) is None)
    known = [code for code in values.get("accept") or () if code.startswith(states.CODE)]
    accept = tuple(dict.fromkeys((*request.accept, *known)))
    again = msgspec.structs.replace(request, yes=yes, take_over=bool(values.get("take_over")), accept=accept)
    if again != request:
        run.put(again)


@contextmanager
def looking(values: Mapping[str, Any], *, quiet: bool = True) -> Iterator[tuple[Known, Iterable[RunStore]]]:
    """What commands outside a run need, and the runs of this machine. Nothing is kept.

    ``quiet``: no progress unless it is asked for.
    """
    settings, folder = settings_of(values)
    with _known(values, settings, folder, quiet=quiet) as known:
        yield known, wiring.runs(folder)


@contextmanager
def emergency(values: Mapping[str, Any]) -> Iterator[tuple[Ports, RunStore, str]]:
    """Ports from a context and a namespace alone, a place for scratch files, and the context that was named."""
    settings, name = _cluster_only(values)
    world = wiring.World(settings, name, wiring.current_folder(), os.environ, offline=False)
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))
    with tempfile.TemporaryDirectory(prefix="rollback-", ignore_cleanup_errors=True) as scratch:
        try:
            ports = world.ports(console, console)
            yield ports, wiring.restore_run(Path(scratch), {}), settings.environments[name].context or ""
        finally:
            world.close()


def _cluster_only(values: Mapping[str, Any]) -> tuple[Settings, str]:
    """Settings that name a cluster and nothing else: from the options, and what these leave out from the file."""
    context, namespace = values.get("context"), values.get("namespace")
    config = None
    if not namespace or values.get("environment"):
        config = wiring.find_config(values.get("config"), wiring.current_folder())
    if config is not None:
        settings = wiring.read_settings(config)
        _name, where = core_settings.environment(settings, values.get("environment"))
        context, namespace = context or where.context, namespace or where.namespace
    if not namespace:
        raise UsageError(f"there is no {wiring.CONFIG} here, so the namespace must be named: use --namespace")
    where = core_settings.Environment(namespace=str(namespace), context=context)
    manifests = core_settings.Manifests(path=".")
    return core_settings.Settings(application="any", manifests=manifests, environments={"any": where}), "any"


@contextmanager
def moving(
    values: Mapping[str, Any],
) -> Iterator[tuple[Known, Request, Callable[[], RunStore], Console]]:
    """As `looking`, for `retag`; the third makes the record of it, beside the runs and not among them."""
    settings, folder = settings_of(values)
    request = request_of({**values, "to": values.get("to") or "what-runs"}, settings, folder, dry_run=False)

    def record() -> RunStore:
        return wiring.open_run(wiring.run_directory(folder, f"{wiring.TAG_MOVES}/{request.run}"), request)

    with _known(values, settings, folder, stoppable=True) as known:
        yield known, request, record, Console(quiet=values.get("output") == "json")


@contextmanager
def examining(values: Mapping[str, Any]) -> Iterator[tuple[Check, GitHistory, Acts, Known | None]]:
    """As `looking`, for `doctor`: what is wrong with settings or repository is a finding and not the end."""
    start = wiring.current_folder()
    try:
        config = wiring.find_config(values.get("config"), start)
        settings, folder = settings_of(values)
    except RollbackError as error:
        git = wiring.LazyRepository(start, offline=False)
        try:
            yield prerequisites.failed("settings", error), git, wiring.kubectl_alone(os.environ), None
        finally:
            git.close()
        return
    with _known(values, settings, folder) as known:
        about = prerequisites.settings(config.name if config else "", settings.application, known.environment)
        yield about, known.ports.git, known.ports.acts, known


@contextmanager
def _known(
    values: Mapping[str, Any], settings: Settings, folder: Path, *, stoppable: bool = False, quiet: bool = True
) -> Iterator[Known]:
    name, _ = core_settings.environment(settings, values.get("environment"))
    world = wiring.World(settings, name, folder, os.environ, offline=False)
    if stoppable:
        world.stop_on_signals()
    console = Console(quiet=(quiet or values.get("output") == "json") and not values.get("verbose"))
    with tempfile.TemporaryDirectory(prefix="rollback-", ignore_cleanup_errors=True) as scratch:

        def trial(to: str) -> RunStore:
            request = request_of({**values, "to": to}, settings, folder, dry_run=True)
            return wiring.open_run(Path(scratch) / request.run, request)

        try:
            yield Known(settings, name, world.ports(console, console), trial)
        finally:
            world.close()
