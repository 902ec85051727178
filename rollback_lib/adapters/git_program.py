"""git as a program: one question a process, never one to a person, to the network, or without an end.

GitPython's command layer is used, and not its ``Repo``: that parses the user's configuration itself, reports a
repository that belongs to someone else as an empty hash, and drops what git said when an object cannot be read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, TimeoutExpired
from typing import TYPE_CHECKING, Final, NamedTuple

from rollback_lib.adapters import calls
from rollback_lib.adapters import process as programs
from rollback_lib.adapters.bounded import LargerError, Stopped, never
from rollback_lib.adapters.git_words import elsewhere, is_in_none, not_ours
from rollback_lib.core.errors import RefusedError

if TYPE_CHECKING:
    from git.cmd import Git

# Git must never ask: not on the terminal, not in a window, not through ssh (which also has no terminal, see `run`).
_ENVIRONMENT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a commit's hash stands for these files and no others
    "GIT_LITERAL_PATHSPECS": "1",
    # Nothing is fetched, ever: a partial clone's remote that hangs would hold us with it. Git before 2.44 does not know
    # the first and fetches missing objects all the same; but no protocol, no fetch.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_REMOTE: Final = "file:git:http:https:ssh"  # no protocol that runs a command of the clone's choice
# What leads git to another place than where it is asked; a hook's git sets them, for itself.
_LEADING: Final = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)  # fmt: skip
LARGEST: Final = 512 << 20  # bytes of one answer: more than all manifests of any repository
LIMIT: Final = 60.0  # seconds for one question; those that read most take one or two


class Answer(NamedTuple):
    """How git ended: its code, what it printed, and what it said of it."""

    code: int
    out: bytes
    said: str


class GitProgram:
    """git, asked about ``folder``. ``stopped`` ends what is being read (`adapters.bounded`)."""

    def __init__(self, folder: Path, stopped: Stopped = never) -> None:
        self.folder, self._stopped = folder, stopped
        self._git = _git()
        self._git.update_environment(**_ENVIRONMENT)
        if told := [name for name in _LEADING if os.environ.get(name)]:
            self._keep_to_the_folder(told)

    def _keep_to_the_folder(self, told: Sequence[str]) -> None:
        """The repository that the folder lies in is the one that is read, from whatever hook we are called.

        Where the folder lies in none, git's variables decide. Raises RefusedError where they name another one.
        """
        without = {name: value for name, value in os.environ.items() if name not in _LEADING}
        code, mine, why = self._places(without)
        if code:
            if is_in_none(why):
                return
            raise RefusedError(not_ours(self.folder, why))
        led = {name: os.path.abspath(os.environ[name]) for name in told}  # a hook's are relative to where it runs
        code, theirs, _ = self._places({**without, **led})
        if code or any(os.path.realpath(mine[n]) != os.path.realpath(theirs[n]) for n in ("common", "objects")):
            raise RefusedError(elsewhere(self.folder, mine["common"], led))
        places = {"GIT_DIR": "git", "GIT_COMMON_DIR": "common", "GIT_OBJECT_DIRECTORY": "objects",
                  "GIT_INDEX_FILE": "index"}  # fmt: skip
        self._git.update_environment(GIT_ALTERNATE_OBJECT_DIRECTORIES="", **{k: mine[n] for k, n in places.items()})
        if "top" in mine:
            self._git.update_environment(GIT_WORK_TREE=mine["top"])

    def _places(self, environ: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """(git's code, where the repository is, what git said), for git with this environment and no other."""
        asked = ("--git-dir", "--git-common-dir", "--git-path", "objects", "--git-path", "index")
        command = (str(self._git.GIT_PYTHON_GIT_EXECUTABLE), "-C", str(self.folder), "rev-parse")
        found: list[str] = []
        for words in (("--path-format=absolute", *asked), ("--show-toplevel",)):
            done = programs.run(
                (*command, *words), {}, timeout=LIMIT, more=environ, stopped=self._stopped, through="git"
            )
            if done.code and not found:
                return done.code, {}, done.err
            found += done.out.splitlines()
        return 0, dict(zip(("git", "common", "objects", "index", "top"), found, strict=False)), ""

    def run(self, *arguments: str, stdin: bytes = b"", remote: float = 0.0) -> Answer:
        """What git says to this. Raises RefusedError where it does not end in time, else as `process.finished`.

        ``remote``: it may ask the remote, for at most so many seconds.
        """
        # `-C` and not a working directory: GitPython falls back to its own where that cannot be entered. A session of
        # its own has no terminal, on which ssh would ask for a passphrase.
        command = [str(self._git.GIT_PYTHON_GIT_EXECUTABLE), "-C", str(self.folder), *arguments]
        with calls.call("git", calls.program(command)) as call:
            answer = self._ended(command, stdin, remote)
            call.ended = f"exit code {answer.code}"
            return answer

    def _ended(self, command: Sequence[str], stdin: bytes, remote: float) -> Answer:
        more = {"GIT_ALLOW_PROTOCOL": os.environ.get("GIT_ALLOW_PROTOCOL", _REMOTE)} if remote else None
        started = self._git.execute(command, istream=PIPE, as_process=True, start_new_session=True, env=more)
        process = started.proc  # `started` has to live as long: it ends the process when it goes
        assert process is not None
        limit = remote or LIMIT
        try:
            code, out, said = programs.finished(process, limit, stdin=stdin, largest=LARGEST, stopped=self._stopped)
        except TimeoutExpired:
            raise RefusedError(f"git {command[3]} did not end within {limit:.0f} s: is its disk there?") from None
        except LargerError:
            raise RefusedError(f"git {command[3]} answers with more than {LARGEST >> 20} MiB.") from None
        return Answer(code, out, said.decode(errors="replace"))


def _git() -> Git:
    executable = os.environ.get("GIT_PYTHON_GIT_EXECUTABLE") or "git"
    if shutil.which(executable) is None:  # before the import, which fails with a page of advice for programmers
        raise RefusedError("git is not installed, or not on PATH, and releases are read with it. Install it here.")
    from git.cmd import Git  # 130 ms

    return Git()
