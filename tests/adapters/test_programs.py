"""Each program that is started has a total time and a size, and a wish to stop ends it: fakes that never end."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_lib.adapters import bounded, git_program, inside, kubectl, login_plugin, process
from rollback_lib.adapters.git_program import GitProgram
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.registry_credentials import CredentialsError, CredentialStore
from rollback_lib.core.errors import InterruptedRunError, RollbackError
from rollback_lib.wiring import kubectl_alone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs here are shell scripts")
LIMIT = 0.5
SLACK = 1.2  # what a busy machine may add
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login"}
Ask = Callable[[Path, bounded.Stopped], object]


def a_git(folder: Path, stopped: bounded.Stopped) -> object:
    return GitProgram(folder, stopped).run("version")


def a_helper(folder: Path, stopped: bounded.Stopped) -> object:
    (folder / "config.json").write_text('{"credsStore": "own"}')
    environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    return CredentialStore(folder / "config.json", environ, (), LIMIT, stopped).find("r.example", "r.example")


def a_plugin(folder: Path, stopped: bounded.Stopped) -> object:
    plugin = {**PLUGIN, "command": str(folder / "login")}
    return login_plugin.run(plugin, {}, {"PATH": "/usr/bin:/bin"}, LIMIT, stopped)


def a_command(folder: Path, stopped: bounded.Stopped) -> object:
    found = KubectlExec(str(folder / "kubectl"), tuple, "shop", {"PATH": "/usr/bin:/bin"}, stopped)
    code, said = found.run("cart-1", "cart", ("true",), LIMIT)
    if code < 0:
        raise RollbackError(said)
    return said


def a_version(folder: Path, stopped: bounded.Stopped) -> object:
    asked = kubectl_alone({"PATH": f"{folder}:/usr/bin:/bin"})
    asked._stopped = stopped
    return asked.version()


PROGRAMS: dict[str, tuple[str, Ask]] = {
    "git": ("git", a_git), "helper": ("docker-credential-own", a_helper), "plugin": ("login", a_plugin),
    "command": ("kubectl", a_command), "version": ("kubectl", a_version),
}  # fmt: skip
ERRORS = (RollbackError, CredentialsError, login_plugin.LoginError)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_program, "LIMIT", LIMIT)
    monkeypatch.setattr(git_program, "LARGEST", 1 << 20)
    monkeypatch.setattr(kubectl, "REQUEST_TIMEOUT", LIMIT)
    monkeypatch.setattr(inside, "_READ", 1 << 20)
    monkeypatch.setattr(process.run, "__kwdefaults__", {**(process.run.__kwdefaults__ or {}), "largest": 1 << 20})
    monkeypatch.setattr(bounded, "AFTER_STOP", 0.1)
    monkeypatch.setattr(process, "AFTER_STOP", 0.1)


def faked(what: str, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Ask:
    name, ask = PROGRAMS[what]
    file = folder / name
    file.write_text(f"#!/bin/sh\necho $$ > {folder}/began\n{script}\n")
    file.chmod(0o755)
    if what == "git":
        from git.cmd import Git

        monkeypatch.setenv("GIT_PYTHON_GIT_EXECUTABLE", str(file))
        monkeypatch.setattr(Git, "GIT_PYTHON_GIT_EXECUTABLE", str(file))
    return ask


def is_there(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("what", PROGRAMS)
@pytest.mark.parametrize("script", ["sleep 30", "while :; do printf x; sleep 0.05; done"], ids=["hangs", "drips"])
def test_one_that_does_not_end_is_killed_at_its_time(
    what: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = faked(what, tmp_path, script, monkeypatch)
    began = time.monotonic()
    with pytest.raises(ERRORS):
        ask(tmp_path, bounded.never)
    assert LIMIT - 0.1 < time.monotonic() - began < LIMIT + SLACK
    assert not is_there(int((tmp_path / "began").read_text()))


@pytest.mark.parametrize("what", PROGRAMS)
def test_one_that_prints_without_end_is_killed_at_its_size(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = faked(what, tmp_path, "exec yes yes", monkeypatch)
    for module, name in ((git_program, "LIMIT"), (kubectl, "REQUEST_TIMEOUT")):
        monkeypatch.setattr(module, name, 10)
    monkeypatch.setattr("tests.adapters.test_programs.LIMIT", 10.0)
    began = time.monotonic()
    with pytest.raises(ERRORS):
        ask(tmp_path, bounded.never)
    assert time.monotonic() - began < 0.3 + SLACK
    assert not is_there(int((tmp_path / "began").read_text()))


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_wish_to_stop_ends_it(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = faked(what, tmp_path, "sleep 30", monkeypatch)
    for module, name in ((git_program, "LIMIT"), (kubectl, "REQUEST_TIMEOUT")):
        monkeypatch.setattr(module, name, 30)
    monkeypatch.setattr("tests.adapters.test_programs.LIMIT", 30.0)
    begins: list[float] = []

    def stopped() -> str:
        begins.append(time.monotonic())
        return "Interrupted (SIGHUP)." if (tmp_path / "began").exists() and len(begins) > 2 else ""

    with pytest.raises(InterruptedRunError):
        ask(tmp_path, stopped)
    assert time.monotonic() - begins[0] < 0.8 + SLACK
    assert not is_there(int((tmp_path / "began").read_text()))


@pytest.mark.parametrize("what", ["helper", "plugin"])
def test_an_agent_that_it_leaves_behind_does_not_hold_us(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the pipe open, for as long as it lives."""
    status = json.dumps({**PLUGIN, "status": {"token": "t"}, "Username": "u", "Secret": "s"})
    monkeypatch.setattr(process, "_QUIET", 0.2)
    monkeypatch.setattr("tests.adapters.test_programs.LIMIT", 8.0)
    ask = faked(what, tmp_path, f"sleep 20 &\necho $! > {tmp_path}/agent\necho '{status}'", monkeypatch)
    began = time.monotonic()
    assert ask(tmp_path, bounded.never)
    assert time.monotonic() - began < 0.6 + SLACK
    os.kill(int((tmp_path / "agent").read_text()), 9)


def test_who_escapes_with_the_pipe_in_its_hands_holds_nobody(tmp_path: Path) -> None:
    """A session of its own is not killed with the others, and its end of the pipe stays open."""
    script = f"setsid sleep 20 &\necho $! > {tmp_path}/agent\nsleep 20"
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        process.run(("sh", "-c", script), {"PATH": "/usr/bin:/bin"}, timeout=0.3)
    assert time.monotonic() - began < 2.4 + SLACK, "a second for each pipe, and no more"
    assert [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()] == []
    os.kill(int((tmp_path / "agent").read_text()), 9)


def test_what_is_given_and_printed_may_be_larger_than_any_pipe() -> None:
    found = process.run(("cat",), {"PATH": "/usr/bin:/bin"}, timeout=10, largest=8 << 20, stdin=b"x" * (4 << 20))
    assert (found.code, len(found.out)) == (0, 4 << 20)


def test_one_that_reads_nothing_of_what_it_is_given_still_answers() -> None:
    found = process.run(("echo", "done"), {"PATH": "/usr/bin:/bin"}, timeout=10, stdin=b"x" * (4 << 20))
    assert found == (0, "done\n", "")
