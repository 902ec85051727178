"""Each thing outside has a total time and a size, and a wish to stop ends it: at a real server that never ends."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters import bounded, jenkins, jenkins_http, kubernetes_http, process
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.adapters.notify import Channels
from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.adapters.web import RequestsWeb
from rollback_lib.core.errors import InterruptedRunError, RollbackError
from rollback_lib.core.report.notices import Notice
from rollback_lib.core.settings import model as core_settings
from tests.dripping import EVERY, Dripping, How, dripping, kubeconfig

LIMIT = 0.6  # seconds, for one answer
SLACK = 0.7  # what a busy machine may add
SETTINGS = b"""
application: shop
manifests: {path: k8s}
environments: {prod: {namespace: shop}}
notify: {webhooks: {ops: {url_env: HOOK, events: [failed]}}}
"""
Ask = Callable[[Dripping, Path, float, bounded.Stopped], str]


def cluster(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> KubernetesCluster:
    file = folder / "kubeconfig"
    file.write_text(kubeconfig(at.url))
    return KubernetesCluster(str(file), None, "shop", timeout=limit, stopped=stopped)


def a_list(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    try:
        return str(cluster(at, folder, limit, stopped).snapshot(["Pod", "Service"]))
    except RollbackError as error:
        return f"{type(error).__name__}: {error}"


def a_log(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    try:
        return cluster(at, folder, limit, stopped).logs("cart-1", "cart").text
    except RollbackError as error:
        return f"{type(error).__name__}: {error}"


def a_smoke_test(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    asked = cluster(at, folder, 60, stopped)
    try:
        return asked.pod_ask("cart-1", 80, "/", method="GET", headers={}, body=b"", timeout=limit).problem
    except RollbackError as error:
        return f"{type(error).__name__}: {error}"


def a_metric(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    try:
        return RequestsWeb(stopped).ask("GET", f"{at.url}/api/v1/query", headers={}, timeout=limit).problem
    except RollbackError as error:
        return f"{type(error).__name__}: {error}"


def an_image(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    with RegistryClient({"here.example": at.url}, folder / "none", {}, deadline=limit, stopped=stopped) as registry:
        try:
            (found,) = registry.look_up(["here.example/a/b:1"]).values()
        except RollbackError as error:
            return f"{type(error).__name__}: {error}"
        return found.text


def a_notice(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    channels = Channels(core_settings.load(SETTINGS, "rollback.yaml"), {"HOOK": f"{at.url}/hook"})
    notice = Notice(
        event="failed", key="failed", title="t", lines=(), next="", link="", application="shop", environment="prod",
        run="r1",
    )  # fmt: skip
    return channels.send("ops", notice, limit).error


def a_build(at: Dripping, folder: Path, limit: float, stopped: bounded.Stopped) -> str:
    server = JenkinsServer(at.url, "", "", sleep=lambda _: None, stopped=stopped)
    try:
        return str(server.build("deploy", 3))
    except RollbackError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        server.close()


OUTSIDE: dict[str, Ask] = {
    "cluster list": a_list, "log": a_log, "smoke test": a_smoke_test, "metric": a_metric, "image": an_image,
    "notice": a_notice, "build": a_build,
}  # fmt: skip


_before: set[int | None] = set()  # threads of a sandbox that other tests share


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    _before.clear()
    _before.update(t.ident for t in threading.enumerate())
    monkeypatch.setattr(jenkins_http, "WHOLE_TIMEOUT", LIMIT)
    monkeypatch.setattr(jenkins, "PAUSES", ())
    monkeypatch.setattr(bounded, "AFTER_STOP", 0.1)


def holding_threads() -> list[str]:
    """What a process would wait for before it ends."""
    return [t.name for t in threading.enumerate() if not t.daemon and t.ident not in _before]


@pytest.mark.parametrize("how", ["status", "headers", "body"])
@pytest.mark.parametrize("what", OUTSIDE)
def test_an_answer_that_drips_is_left_at_its_total_time(what: str, how: How, tmp_path: Path) -> None:
    OUTSIDE[what](Dripping("status"), tmp_path, 0.05, bounded.never)  # libraries load now
    with dripping(how) as at:
        began = time.monotonic()
        said = OUTSIDE[what](at, tmp_path, LIMIT, bounded.never)
        took = time.monotonic() - began
        assert at.asked
        if what == "notice" and how == "body":
            assert said == "", "its status is all that is asked of a hook"
            return
        assert LIMIT - EVERY <= took < LIMIT + SLACK, said
        assert any(words in said for words in ("within", "in time", f"in {LIMIT:.0f} s", "took more than")), said
        assert holding_threads() == []


@pytest.mark.parametrize("how", ["status", "body"])
def test_a_token_that_drips_is_left_at_the_time_for_all_questions(how: How, tmp_path: Path) -> None:
    with dripping("login") as at:
        answer = at._answer  # the registry asks for a login at once, and its token never comes

        def slow(one: Any) -> None:
            at.how = "login" if not at.asked else how
            answer(one)

        at._answer = slow  # type: ignore[method-assign]
        began = time.monotonic()
        said = an_image(at, tmp_path, LIMIT, bounded.never)
        assert time.monotonic() - began < LIMIT + SLACK
        assert [line.split("?")[0] for line in at.asked] == ["HEAD /v2/a/b/manifests/1 HTTP/1.1", "GET /token"]
        assert "time" in said
        assert holding_threads() == []


@pytest.mark.parametrize("what", ["cluster list", "log", "smoke test", "metric", "build"])
def test_an_answer_without_end_is_left_at_its_size(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_http.KubernetesHttp.ask, "__kwdefaults__", {
        **kubernetes_http.KubernetesHttp.ask.__kwdefaults__, "largest": 1 << 20,
    })  # fmt: skip
    monkeypatch.setattr(jenkins_http, "WHOLE_TIMEOUT", 5.0)
    with dripping("endless") as at:
        began = time.monotonic()
        said = OUTSIDE[what](at, tmp_path, 5.0, bounded.never)
        assert time.monotonic() - began < 1.9
        assert "larger than" in said or "more than" in said, said
        assert at.sent < 64 << 20


@pytest.mark.parametrize("what", OUTSIDE)
@pytest.mark.parametrize("how", ["elsewhere", "packed"])
def test_neither_a_redirect_nor_what_is_packed_costs_memory(
    what: str, how: How, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect that leads nowhere, with a page that has no end; and what unpacks to a thousand times its size."""
    monkeypatch.setattr(kubernetes_http.KubernetesHttp.ask, "__kwdefaults__", {
        **kubernetes_http.KubernetesHttp.ask.__kwdefaults__, "largest": 1 << 20,
    })  # fmt: skip
    monkeypatch.setattr(jenkins_http, "LARGEST", 1 << 20)
    with dripping("status") as at:
        OUTSIDE[what](at, tmp_path, 0.05, bounded.never)  # libraries load now
        at.how = how
        at.asked.clear()
        tracemalloc.start()
        try:
            began = time.monotonic()
            said = OUTSIDE[what](at, tmp_path, 3.0, bounded.never)
            took, most = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert at.asked
    assert took < 1.5, said
    assert most < 7_000_000
    if what == "notice":
        assert said == ("" if how == "packed" else "answers with a redirect (302), which is not followed: see HOOK")


def test_an_image_whose_body_has_no_end_is_left_at_its_size(tmp_path: Path) -> None:
    with dripping("endless") as at:  # no digest in the headers: the body is asked for
        assert "larger than any manifest" in an_image(at, tmp_path, 5.0, bounded.never)


def test_a_smoke_answer_without_end_costs_little_memory(tmp_path: Path) -> None:
    with dripping("body") as at:
        a_smoke_test(at, tmp_path, 0.05, bounded.never)  # libraries load now
        at.how = "endless"
        tracemalloc.start()
        try:
            said = a_smoke_test(at, tmp_path, 5.0, bounded.never)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert "larger than 16 MiB" in said
    assert most < 5_000_000


def test_a_large_answer_that_ends_is_an_answer(tmp_path: Path) -> None:
    """A page of some megabytes is good where only its status is asked for."""
    whole = b"x" * (3 << 20)
    given = iter([whole[i : i + bounded.PIECE] for i in range(0, len(whole), bounded.PIECE)])
    found = bounded.Waited().read(lambda _: next(given, b""), bounded.LARGEST, kept=bounded.KEPT)
    assert found == whole[: bounded.KEPT]


@pytest.mark.parametrize("what", ["cluster list", "log", "smoke test", "metric", "image", "build"])
def test_a_wish_to_stop_ends_what_is_being_read(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jenkins_http, "WHOLE_TIMEOUT", 30.0)
    with dripping("hang") as at:
        said = OUTSIDE[what](at, tmp_path, 30.0, lambda: "Interrupted (SIGTERM)." if at.asked else "")
    assert said == "InterruptedRunError: Interrupted (SIGTERM).", said
    assert holding_threads() == []


def test_what_an_ending_has_to_know_is_asked_after_the_wish_to_stop_and_has_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(Dripping("status"), tmp_path, 0.05, bounded.never)  # libraries load now
    monkeypatch.setattr(bounded, "BEGUN_AFTER_STOP", 0.5)
    with dripping("hang") as at:
        assert "does not answer" in a_list(at, tmp_path, 30.0, lambda: "Interrupted.")
        assert at.asked
        at.asked.clear()
        for what in ("smoke test", "metric"):
            assert OUTSIDE[what](at, tmp_path, 30.0, lambda: "Interrupted.").endswith("Interrupted.")
        assert at.asked == [], "of no use to an ending"


def test_a_write_is_waited_for_all_the_same() -> None:
    begun = threading.Event()

    def write(_: bounded.Waited) -> str:
        begun.set()
        time.sleep(0.3)
        return "done"

    stopped = lambda: "Interrupted." if begun.is_set() else ""  # noqa: E731
    assert bounded.within(5, write, stopped, is_write=True) == "done"
    begun.clear()
    with pytest.raises(InterruptedRunError):
        bounded.within(5, write, stopped)


@pytest.mark.parametrize("prints", ["yes", "yes >&2"])
def test_a_program_that_prints_without_end_is_killed(prints: str) -> None:
    began = time.monotonic()
    with pytest.raises(bounded.LargerError):
        process.run(("sh", "-c", prints), {"PATH": "/usr/bin:/bin"}, timeout=20, largest=1 << 20)
    assert time.monotonic() - began < 1.9


def test_a_program_is_killed_with_what_it_has_started_and_nobody_waits_for_that(tmp_path: Path) -> None:
    fake = tmp_path / "kubectl"
    fake.write_text("#!/bin/sh\nsleep 30 &\necho $! > child\nwait\n")
    fake.chmod(0o755)
    (tmp_path / "started").mkdir()
    script = ("sh", "-c", f"cd {tmp_path}; exec ./kubectl")
    with pytest.raises(process.subprocess.TimeoutExpired):
        process.run(script, {"PATH": "/usr/bin:/bin"}, timeout=0.4)
    child = int((tmp_path / "child").read_text())
    assert "sleep" not in _command(child)


def test_a_command_in_a_pod_ends_with_the_wish_to_stop(tmp_path: Path) -> None:
    fake = tmp_path / "kubectl"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nsleep 30\n")
    fake.chmod(0o755)
    inside = KubectlExec(
        str(fake),
        lambda: (),
        "shop",
        {"PATH": "/usr/bin:/bin"},
        lambda: "Interrupted." if (tmp_path / "began").exists() else "",
    )
    with pytest.raises(InterruptedRunError):
        inside.run("cart-1", "cart", ("true",), 20)


def _command(pid: int) -> str:
    for _ in range(50):
        try:
            said = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        if ") Z" in said:
            return ""
        time.sleep(0.02)
    return said


@pytest.mark.parametrize(
    ("answers", "pauses", "slept"),
    [("b", (1.0, 2.0), []), ("aab", (1.0, 2.0), [1.0, 2.0]), ("aaa", (1.0, 2.0), [1.0, 2.0]), ("a", (), [])],
    ids=["good at once", "good at last", "never good: the last one counts", "asked once"],
)
def test_what_is_not_good_enough_is_asked_again_after_each_pause(
    answers: str, pauses: tuple[float, ...], slept: list[float]
) -> None:
    given, waits = list(answers), list[float]()
    got = bounded.again(lambda: given.pop(0), lambda one, pause: pause if one == "a" else None, pauses, waits.append)
    assert got == answers[-1]
    assert (given, waits) == ([], slept)
