"""The command ``rollback``: a lazy table of commands; errors become exit codes here, and only here."""

from __future__ import annotations

import codecs
import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from rollback_lib import __version__

# name → (module, what it does). `--help` reads this and imports none of them.
COMMANDS: Final = {
    "plan": "What a rollback would do, with its diff; changes nothing.",
    "run": "Roll back: plan, approve, apply, verify, write it down.",
    "stage": "One stage of a run; what Jenkins calls.",
    "resume": "Finish a run that died or failed, from any machine.",
    "reopen": "Open what a run has closed; needs only the cluster.",
    "undo": "Back to the state before a run, as a plan of its own.",
    "unlock": "Take the lock away; says whose it is.",
    "guard": "Whether a deploy may go on; the first line of a deploy job.",
    "status": "What runs now, per service.",
    "retag": "Point mutable tags at what runs, or at a release.",
    "verify": "Whether a release runs, whole and healthy (0 or 1).",
    "report": "The incident record of a run, made again.",
    "doctor": "Whether everything that a rollback needs is there (0 or 1).",
    "history": "The releases: which ran well, which may not come back, and the runs.",
    "record-release": "After a good deploy: keep in the ledger what runs.",
    "quarantine": "Keep a release from coming back by itself, or free it (--lift).",
    "init": "Write rollback.yaml from what the repository shows.",
    "jenkins": "The Jenkins job: write it, check it, start it.",
    "demo": "The whole story on a sample shop; no cluster needed.",
    "sandbox": "That shop, broken, to play with until Ctrl-C.",
}

# What never touches a cluster has nothing to say of traffic.
_ELSEWHERE: Final = frozenset({
    ("init",), ("report",), ("demo",), ("sandbox",),
    *(("jenkins", name) for name in ("render", "page", "provision", "lint", "trigger")),
})  # fmt: skip


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"rollback_lib.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0][:40], COMMANDS, 1)
            fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {fix}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 done, 1 a check says no, 2 wrong request, 3 refused and nothing changed, 4 failed with "
    "traffic open, 5 failed with traffic closed, 6 locked, 7 not approved, 70 a bug, 130 interrupted before a write.",
)
@click.version_option(__version__, prog_name="rollback")
def group() -> None:
    """Turn a team's written rollback plan for Kubernetes into a run that proves itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. The only place where an error becomes one."""
    _degrade_output()
    try:
        return _ended(int(_main(argv) or 0))
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as wrong:
        said = wrong.format_message()
        # `rollback` alone is answered with its help, which click raises like an error
        _say(said if said.startswith("Usage:") else f"rollback: {_visible(said)}")
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say(" ".join(("rollback: interrupted.", *_untouched(argv))))
        return 130
    except SystemExit:  # click's own, where whoever read its help is gone
        return _ended(0)
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ENOSPC) and error.filename is None:  # click's help again
            return _ended(0, error)
        return _failed(error, argv)
    except Exception as error:
        return _failed(error, argv)


def _main(argv: Sequence[str] | None) -> Any:
    return group.main(args=list(argv) if argv is not None else None, prog_name="rollback", standalone_mode=False)


def _ended(code: int, error: OSError | None = None) -> int:
    """The code, whatever becomes of the output."""
    try:
        sys.stdout.flush()
    except OSError as late:
        error = late
    if error is not None:
        from rollback_lib.cli.console import mute

        mute(error)
    return code


def _untouched(argv: Sequence[str] | None) -> tuple[str, ...]:
    """What is true of the cluster where a command ended before its first write; nothing of what never goes there."""
    words = tuple(sys.argv[1:] if argv is None else argv)
    return () if _ELSEWHERE & {words[:1], words[:2]} else ("Nothing was changed; traffic is as it was.",)


def _failed(error: Exception, argv: Sequence[str] | None) -> int:
    from rollback_lib.core.errors import RollbackError
    from rollback_lib.core.redact import redact

    if isinstance(error, RollbackError):
        for line in redact(str(error)).splitlines():
            _say(f"rollback: {line}")
        if error.exit_code in (2, 3, 6, 7):
            for line in _untouched(argv):  # "as it was": another process of the run may have closed it
                _say(line)
        return error.exit_code
    said = " ".join(f"{type(error).__name__}: {error}".split())
    _say(f"rollback: this is a bug of rollback (set ROLLBACK_TRACEBACK=1 for more): {redact(said)}")
    if os.environ.get("ROLLBACK_TRACEBACK"):
        import traceback

        _say(redact("".join(traceback.format_exception(error))))
    return 70


def _visible(text: str) -> str:
    """What a person typed is shown back to them, and must not steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a console that is gone must not change the exit code
        print(text, file=sys.stderr, flush=True)


def _degrade_output() -> None:
    """A console that cannot show our signs gets plain ones, and an escape for "ñ": never an error."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller; in this order each gets its own number back
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_PLAIN_SIGNS)


_PLAIN_SIGNS: Final = "rollback-plain-signs"
_SIGNS: Final = {"→": "->", "…": "...", "✗": "x", "×": "x", "·": "-", "⏎": "\\n", "§": "section "}


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_SIGNS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in found), error.end


codecs.register_error(_PLAIN_SIGNS, _plain)
