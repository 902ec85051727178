"""A playground around something that plays on it: made, held until Ctrl-C where asked, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import rollback_lib
from rollback_lib.cli import signals
from rollback_lib.cli.console import out
from rollback_lib.core.errors import EXIT_INTERRUPTED, UsageError
from rollback_lib.core.readouts.demo import words
from rollback_lib.operations.demo import commands_to_try
from rollback_lib.sandbox.playground import Playground, PlaygroundError
from rollback_lib.sandbox.shop import SCENARIOS, GitError

Play = Callable[[Playground, Callable[[str], None], Callable[..., int]], int]


def play(scenario: str, action: Play, *, keep: bool, stay: bool, language: str) -> int:
    """The exit code of ``action``; 130 where it was interrupted. ``stay``: then wait for Ctrl-C."""
    said = words(language)
    code, folder, finished = EXIT_INTERRUPTED, Path(), False
    try:
        with _terminated_as_interrupted(), contextlib.ExitStack() as stack:
            playground = stack.enter_context(Playground(SCENARIOS[scenario], keep=keep))
            stack.callback(_let_it_end)
            folder = playground.folder
            code = action(playground, out, lambda *arguments: _rollback(playground, *arguments))
            finished = True
            if stay:
                out("")
                out(said["play"])
                for line in commands_to_try(playground.environment(), playground.repository, _our_name()):
                    out(f"  {line}")
                threading.Event().wait()
            else:
                out(said["gone"])
    except KeyboardInterrupt:
        rest = said["kept"].format(folder=folder) if keep and folder.name else said["stopped"]
        out("")
        out(rest if finished else said["interrupted"].format(rest=rest))
        return code if finished else EXIT_INTERRUPTED
    except (PlaygroundError, GitError) as problem:
        raise UsageError(str(problem)) from None
    return code


def _rollback(playground: Playground, *arguments: str) -> int:
    sys.stdout.flush()
    here = str(Path(rollback_lib.__file__).resolve().parents[1])
    path = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH")) if part)
    return playground.run((sys.executable, "-m", "rollback_lib", *arguments), {"PYTHONPATH": path})


def _our_name() -> str:
    """As it was started, since the command need not be on the PATH of another terminal."""
    return "rollback" if os.path.basename(sys.argv[0]).startswith("rollback") else f"{sys.executable} -m rollback_lib"


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Any of them ends it as Ctrl-C does, so that nothing stays behind."""

    def asked(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with signals.handled(asked):
        yield


def _let_it_end() -> None:
    """A second Ctrl-C must not leave half of it behind; tidying takes a moment and waits for nobody."""
    signals.ignore()
