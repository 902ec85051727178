"""From options to a session and a console: what every command does first."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rollback_lib import session as sessions
from rollback_lib import wiring
from rollback_lib.cli import signals
from rollback_lib.cli.console import Console
from rollback_lib.core.readouts import init as readout
from rollback_lib.core.run.records import Request
from rollback_lib.core.wording import wrapped
from rollback_lib.operations import run as operation
from rollback_lib.ports import RunStore, Session, StoppableClock
from rollback_lib.session import Place

CURRENT_RUN = ".rollback/current"  # the run directory of `stage`, which other stages of the same run find again


def place(values: Mapping[str, Any]) -> Place:
    """Here, with this process's variables."""
    return Place(wiring.current_folder(), os.environ, str(values.get("config") or ""))


@contextlib.contextmanager
def session(
    values: Mapping[str, Any], *, writes: bool, quiet: bool = False, stoppable: bool = True, of_run: str | None = None
) -> Iterator[tuple[Session, Console]]:
    """A session and its console, both closed at the end. ``quiet``: no progress unless it is asked for.

    ``writes``, ``of_run``: see `session.begin`; where the settings were guessed and it only looks, that is said first.
    ``stoppable``: a signal ends it before its next write; otherwise at once.
    """
    console = Console(quiet=(quiet or values.get("output") == "json") and not values.get("verbose"))
    clock = wiring.clock()
    with sessions.begin(
        place(values), console, console, environment=str(values.get("environment") or ""), of_run=of_run,
        writes=writes, offline=bool(values.get("offline")), clock=clock,
    ) as made:  # fmt: skip
        if not made.config:
            guess = f"{readout.NO_FILE}, so this is guessed: {readout.guessed(made.settings, made.environment)}."
            Console().say("\n".join(wrapped(f"{guess} {readout.ADVICE}", "! ")))
        if stoppable:
            stop_on_signals(clock)
        yield made, console


@contextlib.contextmanager
def bare_session(values: Mapping[str, Any]) -> Iterator[tuple[Session, Console]]:
    """A session from a context and a namespace alone, for an emergency: needs no repository and no settings."""
    console = Console(quiet=values.get("output") == "json" and not values.get("verbose"))
    with sessions.begin_bare(
        place(values), console, console, environment=str(values.get("environment") or ""),
        context=str(values.get("context") or ""), namespace=str(values.get("namespace") or ""),
    ) as made:  # fmt: skip
        yield made, console


def new_run(session: Session, values: Mapping[str, Any], *, dry_run: bool = False, place: str = "") -> RunStore:
    """The run in ``--run-dir``, else in ``place``, else in a directory of its own; entered again where it is there.

    ``place``: stages follow each other in it. A command that is a whole run raises UsageError where ``--run-dir`` holds
    a run that is over, or one that was asked for something else.
    """
    request = new_request(session, values, dry_run=dry_run)
    run = session.runs.new(request, str(values.get("run_dir") or place))
    if not place:
        operation.asked_again(run, request, own=session.runs.is_own(run))
    return run


def new_request(session: Session, values: Mapping[str, Any], *, dry_run: bool = False) -> Request:
    """The request of a new run from the options as they were given; files are named from where we stand."""
    files = tuple(str(Path(path).absolute()) for path in values.get("evidence") or ())
    return operation.new_request(session, {**values, "evidence": files}, dry_run=dry_run)


def stop_on_signals(clock: StoppableClock) -> None:
    """A signal (`signals.ENDING`) ends the run before its next write; a second one ends the process at once."""

    def asked(number: int, frame: object) -> None:
        clock.stop(signal.Signals(number).name)
        signals.end_at_the_next(number)

    signals.handle(asked)


@contextlib.contextmanager
def stoppable_clock() -> Iterator[StoppableClock]:
    """A clock whose waits end when a person or Jenkins asks us to stop, until the block ends."""
    clock = wiring.clock()
    with signals.handled(lambda number, frame: clock.stop(signal.Signals(number).name)):
        yield clock
