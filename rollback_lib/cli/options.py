"""Options of a command, made from the one schema; the command line goes before the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from rollback_lib.cli import calls
from rollback_lib.core.settings import parameters
from rollback_lib.core.settings.parameters import Parameter


def takes(command: str, *, what_reads: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command's function with its options; it is called with one dictionary, ``values``.

    ``what_reads``: for what tells of a wrong request: what is wrong in the environment is left out.
    """
    from_environment = (lambda environ: parameters.read(environ)[0]) if what_reads else parameters.from_environment

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(**given: Any) -> Any:
            extra = {k: v for k, v in given.items() if k not in parameters.BY_NAME}
            line = {k: v for k, v in given.items() if k in parameters.BY_NAME and _is_given(k, v)}
            parameters.validate(line)
            known = {p.name for p in parameters.of_command(command)}
            environment = {k: v for k, v in from_environment(os.environ).items() if k in known}
            values = {**environment, **line}
            with calls.shown(bool(values.get("verbose"))):
                return function(values, **extra)

        called.__doc__ = function.__doc__
        called.__name__ = function.__name__
        for parameter in reversed(parameters.of_command(command)):
            called = _option(parameter)(called)
        return called

    return decorate


def _is_given(name: str, value: Any) -> bool:
    return value not in (None, ()) and (value is not False or parameters.BY_NAME[name].kind == "switch")


def _option(parameter: Parameter) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    names = [parameter.option, *([parameter.short] if parameter.short else []), parameter.name]
    text = parameter.help + (f" [{parameter.env}]" if parameter.env else "")
    if parameter.kind == "flag":
        return click.option(*names, is_flag=True, help=text)
    if parameter.kind == "switch":
        both = f"{parameter.option}/--no-{parameter.option.removeprefix('--')}"
        return click.option(both, parameter.name, default=None, help=text)
    if parameter.kind == "choice":
        return click.option(*names, type=click.Choice(parameter.choices), help=text)
    return click.option(
        *names, multiple=parameter.kind == "list", help=text, metavar=_METAVAR.get(parameter.name, "TEXT")
    )


_METAVAR = {
    "config": "FILE", "environment": "NAME", "to": "RELEASE", "release": "RELEASE", "keep_tag": "PATTERN",
    "service": "NAME", "run_dir": "DIR", "plan_hash": "HASH", "wait": "DURATION", "accept": "CODE[:NAME]",
    "context": "NAME", "namespace": "NAME", "of_run": "RUN", "holder": "ID",
}  # fmt: skip
