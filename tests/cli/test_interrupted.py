"""Processes that are killed, stopped, paused or meet each other: real ones, at a shop on the sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.core.run import lock
from tests.cli.desk import SPEED, WORKER, Desk
from tests.dripping import How, dripping
from tests.faults import Class
from tests.recorder import Entry

ROOT = Path(__file__).parents[2]
RUN = ("run", "--to", "v1.1.0", "--yes", "--accept", WORKER, "--output", "json")
PATIENCE = 40
FIRST = ("done", "apply/deployment/service-discovery")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of a POSIX system")


@contextmanager
def started(desk: Desk, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environ = desk.playground.environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        (sys.executable, "-m", "rollback_lib", *arguments), cwd=desk.playground.repository, env=environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()


@pytest.fixture(autouse=True)
def _nothing_on_its_way(_desk: Desk) -> Iterator[None]:
    """What a killed process has asked may be done later, and must not be done to the next test's shop."""
    yield
    ends = time.monotonic() + PATIENCE
    while any(not e.status for e in _desk.playground.cluster.requests) and time.monotonic() < ends:
        time.sleep(0.02)


def until(process: subprocess.Popen[str], true: Callable[[], Any], what: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, (what, process.communicate())
        assert time.monotonic() < ends, f"never: {what}"
        time.sleep(0.005)


def is_asked(desk: Desk, method: str, path: str) -> Callable[[], bool]:
    """Whether such a request has come in; it may still be on its way through the server."""

    def asked(one: Entry) -> bool:
        return one.method == method and bool(re.search(path, one.path)) and "dryRun" not in one.query

    return lambda: any(asked(e) for e in desk.playground.cluster.requests)


def slow(desk: Desk, chooses: Callable[[Class], bool], seconds: float = 1.5) -> None:
    desk.playground.cluster.faults.add(chooses, "delay", seconds=seconds)


@pytest.fixture(scope="session")
def undisturbed(_desk: Desk) -> dict[str, Any]:
    _desk.put_back()
    assert _desk.rollback(*RUN).code == 0
    return {"objects": _desk.objects(), "rollouts": _desk.rollouts()}


def is_as_if_nothing_had_happened(desk: Desk, undisturbed: dict[str, Any]) -> None:
    now = desk.objects()
    created = {"ConfigMap/user-removed": now["ConfigMap/user-removed"]}  # has another uid in each run
    assert now == {**undisturbed["objects"], **created}
    assert desk.rollouts() == undisturbed["rollouts"]
    assert left(desk) == []


def left(desk: Desk) -> list[str]:
    """What a run that is not over keeps in the cluster: the lock, and its copy."""
    found = desk.playground.must("get", "leases,configmaps", "--output=name").split()
    return [n for n in found if n.startswith(("lease", "configmap/rollback-run-"))]


LONG = pytest.mark.long

KILLS = {
    "while the copy is stored": ("POST", r"/configmaps$", lambda c: (c.verb, c.resource) == ("create", "configmaps")),
    "while the lock is taken": ("POST", r"/leases$", lambda c: (c.verb, c.resource) == ("create", "leases")),
    "while kubectl patches": ("PATCH", r"/deployments/", lambda c: (c.client, c.verb) == ("kubectl", "patch")),
    "while an orphan is deleted": ("DELETE", r"/deployments/", lambda c: c.verb == "delete"),
    "while verify looks": (
        "GET", r"/services$", lambda c: (c.stage, c.verb, c.resource) == ("verify", "list", "services"),
    ),
    "while the lock is given back": ("DELETE", r"/leases/", lambda c: (c.verb, c.resource) == ("delete", "leases")),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("where", KILLS)
@pytest.mark.parametrize(
    "directory", [True, pytest.param(False, marks=LONG)], ids=["with its directory", "from the cluster"]
)
def test_a_process_that_is_killed_is_finished_by_resume(
    desk: Desk, undisturbed: dict[str, Any], where: str, directory: bool
) -> None:
    method, path, chooses = KILLS[where]
    before = desk.objects()
    slow(desk, lambda c: chooses(c) and not c.dry_run)
    with started(desk, *RUN) as process:
        if "verify" in where:
            until(process, lambda: desk.stage() == "verify", "verify")
        else:
            until(process, is_asked(desk, method, path), where)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    if not directory:
        desk.forget_runs()
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    if desk.objects() == before:  # killed before its copy was in the cluster: nothing to find, and nothing was done
        assert not directory
        assert where == "while the copy is stored"
        assert left(desk) == []
    else:
        is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_of_two_runs_at_the_same_moment_one_goes_on(desk: Desk, undisturbed: dict[str, Any]) -> None:
    slow(desk, lambda c: c.client == "kubectl", seconds=2)  # so that the first is still there when the second asks
    with started(desk, *RUN) as one, started(desk, *RUN) as other:
        said = [p.communicate(timeout=PATIENCE) for p in (one, other)]
        codes = {one.returncode: said[0], other.returncode: said[1]}
    assert set(codes) == {0, 6}, said
    assert "Nothing was changed" in codes[6][0]
    assert "rollback resume" in codes[6][0]
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize(
    "elsewhere", [True, pytest.param(False, marks=LONG)], ids=["on another machine", "on the same machine"]
)
def test_a_paused_process_that_goes_on_after_it_was_replaced_writes_nothing(
    desk: Desk, undisturbed: dict[str, Any], tmp_path: Path, elsewhere: bool
) -> None:
    slow(desk, lambda c: (c.stage, c.verb, c.resource) == ("apply", "list", "replicasets"), seconds=1)
    with started(desk, *RUN) as paused:
        until(paused, lambda: any((e["mark"], e.get("key")) == FIRST for e in desk.events()), "the first wave")
        paused.send_signal(signal.SIGSTOP)
        place = ("--run-dir", str(tmp_path / "elsewhere")) if elsewhere else ()
        resumed = desk.rollback("resume", *place, "--output", "json")
        assert resumed.code == 0, resumed
        time.sleep(lock.FRESH)  # as long as it takes, at the least, until anybody may take over
        mark = len(desk.playground.cluster.requests)
        paused.send_signal(signal.SIGCONT)
        out, err = paused.communicate(timeout=PATIENCE)
    # on the same machine its own journal says that all is done
    assert paused.returncode == (4 if elsewhere else 0), out + err
    assert [e for e in list(desk.playground.cluster.requests)[mark:] if e.is_write] == []
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_write_in_flight_end_and_says_how_to_go_on(
    desk: Desk, undisturbed: dict[str, Any], number: int
) -> None:
    slow(desk, lambda c: (c.client, c.verb, c.resource) == ("kubectl", "patch", "deployments"), seconds=1)
    with started(desk, *RUN[:-2]) as process:
        until(process, is_asked(desk, "PATCH", r"/deployments/"), "a patch")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, out + err
    last = " ".join(out.split())
    assert re.search(r"[1-9] objects? (was|were) changed", last)
    assert "not certain" not in last
    assert "rollback resume" in last
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_a_second_signal_ends_it_at_once_and_it_can_be_resumed(desk: Desk, undisturbed: dict[str, Any]) -> None:
    slow(desk, lambda c: (c.client, c.verb, c.resource) == ("kubectl", "patch", "deployments"), seconds=2)
    with started(desk, *RUN) as process:
        until(process, is_asked(desk, "PATCH", r"/deployments/"), "a patch")
        ends = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < ends:
            process.send_signal(signal.SIGTERM)  # two that come before the first is handled count as one
            time.sleep(0.1)
    assert process.returncode == -signal.SIGTERM
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    is_as_if_nothing_had_happened(desk, undisturbed)


SMOKE = "verify: {smoke: [{service: user-service, path: /, timeout: 30s, patience: 60s}]}\n"


def hanging(desk: Desk, chooses: Callable[[Class], bool]) -> Callable[[], bool]:
    """What is chosen gets no answer before the faults are cleared; whether it was asked."""
    fault = desk.playground.cluster.faults.add(chooses, "delay", times=None, seconds=PATIENCE)
    return lambda: fault.struck > 0


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_ends_a_smoke_test_that_gets_no_answer(
    desk: Desk, undisturbed: dict[str, Any], number: int
) -> None:
    desk.settings(SMOKE)
    asked = hanging(desk, lambda c: (c.stage, c.resource) == ("verify", "pods/proxy"))
    try:
        with started(desk, *RUN[:-2]) as process:
            until(process, asked, "the smoke test")
            signalled = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            took = time.monotonic() - signalled
    finally:
        desk.playground.cluster.faults.clear()
    assert process.returncode == 4, out + err
    assert took < 3, "heeded within 2 s, and what is written down at the end"
    last = " ".join(out.split())
    assert "traffic is open" in last.lower()
    assert "rollback resume" in last
    assert (desk.runs()[-1] / "report" / "report.json").is_file()
    desk.settings()
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_d46_a_terminal_that_goes_ends_a_run_as_a_signal_does(desk: Desk, undisturbed: dict[str, Any]) -> None:
    """As when ssh drops: SIGHUP of the system and, once more, of the shell; nothing can be said any more."""
    desk.settings(SMOKE)
    asked = hanging(desk, lambda c: (c.stage, c.resource) == ("verify", "pods/proxy"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.playground.repository)
        command = (sys.executable, "-m", "rollback_lib", *RUN[:-2])
        os.execve(command[0], command, desk.playground.environment() | {"PYTHONPATH": str(ROOT)})
    threading.Thread(target=_read_all, args=(terminal,), daemon=True).start()
    try:
        ends = time.monotonic() + PATIENCE
        while not asked():
            assert time.monotonic() < ends, "the smoke test is asked"
            time.sleep(0.01)
        gone = time.monotonic()
        os.kill(pid, signal.SIGHUP)
        os.close(terminal)
        time.sleep(0.3)
        os.kill(pid, signal.SIGHUP)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        took = time.monotonic() - gone
    finally:
        desk.playground.cluster.faults.clear()
    assert code == 4
    assert took < 3
    report = json.loads((desk.runs()[-1] / "report" / "report.json").read_text(encoding="utf-8"))
    assert (report["exit_code"], report["restored"]) == (4, False)
    assert "SIGHUP" in json.dumps(report)
    assert "lease.coordination.k8s.io/rollback-ecommerce" in left(desk)
    desk.settings()
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    is_as_if_nothing_had_happened(desk, undisturbed)


def _read_all(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


@pytest.mark.long
def test_who_was_started_with_nohup_outlives_the_terminal(desk: Desk, undisturbed: dict[str, Any]) -> None:
    slow(desk, lambda c: (c.client, c.verb, c.resource) == ("kubectl", "patch", "deployments"), seconds=1)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started(desk, *RUN) as process:
            until(process, is_asked(desk, "PATCH", r"/deployments/"), "a patch")
            process.send_signal(signal.SIGHUP)
            out, err = process.communicate(timeout=PATIENCE)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 0, out + err
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("resource", ["pods", "services", "deployments"])
def test_the_first_signal_ends_a_read_of_the_cluster_that_gets_no_answer(
    desk: Desk, undisturbed: dict[str, Any], resource: str
) -> None:
    asked = hanging(desk, lambda c: (c.stage, c.verb, c.resource) == ("verify", "list", resource))
    try:
        with started(desk, *RUN[:-2]) as process:
            until(process, asked, "the list")
            signalled = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
            took = time.monotonic() - signalled
    finally:
        desk.playground.cluster.faults.clear()
    assert process.returncode == 4, out + err
    assert took < 3
    ended = desk.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("how", ["status", "headers"])
def test_a_registry_that_drips_holds_no_process_after_its_last_line(desk: Desk, how: How) -> None:
    """Its time for all questions is 20 s; a signal ends it sooner, and nobody joins what still reads."""
    with dripping(how) as registry:
        text = (desk.playground.repository / "rollback.yaml").read_text(encoding="utf-8")
        changed = re.sub(r"http://127\.0\.0\.1:\d+", registry.url, text)
        assert changed != text
        (desk.playground.repository / "rollback.yaml").write_text(changed, encoding="utf-8")
        with started(desk, "plan", "--to", "v1.1.0") as process:
            until(process, lambda: registry.asked, "a question to the registry")
            signalled = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
            took = time.monotonic() - signalled
    assert process.returncode == 130, out + err
    assert took < 3, "heeded within 2 s, and written down"
    assert "Nothing was changed" in " ".join((out + err).split())


@pytest.mark.parametrize("taken", [True, pytest.param(False, marks=LONG)], ids=["after the server took it", "before"])
def test_a_kubectl_that_a_signal_ends_is_read_back_and_nothing_else_is_begun(
    desk: Desk, undisturbed: dict[str, Any], tmp_path: Path, taken: bool
) -> None:
    """As an abort in Jenkins does it: kubectl first, and we get our own signal some seconds later, or never."""
    real = desk.playground._kubectl
    fake = tmp_path / "bin" / "kubectl"
    fake.parent.mkdir()
    does = f'"{real}" "$@" >/dev/null' if taken else ":"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *patch*deployments*) {does}; kill -TERM $$;; esac\nexec "{real}" "$@"\n')
    fake.chmod(0o755)
    ended = desk.rollback(*RUN, PATH=f"{fake.parent}:{os.environ['PATH']}")
    patched = [e["mark"] for e in desk.events() if e.get("key", "").startswith("apply/deployment")]
    assert ended.code == (4 if taken else 130), ended
    assert patched == ["announced", "done" if taken else "not-done"], "and no other was begun"
    assert "signal 15" in ended.json["error"]
    again = desk.rollback("resume", "--output", "json") if taken else desk.rollback(*RUN)
    assert again.code == 0, again
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_an_api_server_that_is_gone_for_a_while_is_waited_for(desk: Desk, undisturbed: dict[str, Any]) -> None:
    """Twenty times as fast as life: gone for what is a minute there."""
    began: list[float] = []

    def gone(one: Class) -> bool:
        if one.stage == "apply" and one.resource == "replicasets":
            began.append(time.monotonic())
        return bool(began) and time.monotonic() < began[0] + 60 / SPEED

    desk.playground.cluster.faults.add(gone, "reset", times=None)
    ended = desk.rollback(*RUN, "--verbose")
    assert time.monotonic() > began[0] + 60 / SPEED, "it was gone, and is back"
    assert ended.code == 0, ended
    assert "The cluster does not answer; waiting for it" in ended.err, ended.err
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_an_api_server_that_is_gone_for_good_ends_with_the_truth(desk: Desk, undisturbed: dict[str, Any]) -> None:
    desk.playground.cluster.faults.add(lambda c: c.stage == "apply", "reset", first=12, times=None)
    ended = desk.rollback(*RUN)
    assert ended.code == 4, ended
    assert "does not answer" in ended.json["error"]
    assert "rollback resume" in ended.json["message"]
    desk.playground.cluster.faults.clear()
    again = desk.rollback("resume", "--output", "json")
    assert again.code == 0, again
    is_as_if_nothing_had_happened(desk, undisturbed)


@pytest.mark.long
def test_what_stands_half_done_is_locked_and_nobody_rolls_back_over_it(desk: Desk) -> None:
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), "500", times=None
    )
    assert desk.rollback(*RUN).code == 4
    status = desk.rollback("status")
    assert "LOCKED by run" in " ".join(status.out.split()), status
    other = desk.rollback(*RUN)
    assert other.code == 6, other
    assert "rollback resume" in other.json["error"]
    assert "Nothing was changed" in other.json["message"]
    guard = desk.rollback("guard", "--release", "v1.3.0")
    assert guard.code == 6, guard
    desk.playground.cluster.faults.clear()
    assert desk.rollback("resume").code == 0
    assert desk.rollback("guard", "--release", "v1.3.0").code == 0
    assert left(desk) == []


@pytest.mark.long
def test_unlock_frees_what_a_dead_run_holds_and_says_whose_it_was(desk: Desk) -> None:
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "user-service"), "500", times=None
    )
    assert desk.rollback(*RUN).code == 4
    assert desk.rollback("unlock").code == 6
    assert desk.rollback("unlock", "--force").code == 7, "nobody says yes"
    freed = desk.rollback("unlock", "--force", "--yes")
    assert freed.code == 0, freed
    assert re.search(r"It was held by run \S+ by \w+", freed.out)
    desk.playground.cluster.faults.clear()
    assert desk.rollback(*RUN).code == 0


def test_nothing_to_resume_is_said(desk: Desk) -> None:
    ended = desk.rollback("resume")
    assert (ended.code, ended.out) == (0, "Nothing to resume: no run is unfinished.\n")
    unknown = desk.rollback("resume", "20200101-000000-prod-abcd")
    assert unknown.code == 3
    assert "neither here nor in the cluster" in unknown.err
