"""The adapters that evidence is read with: a bound on time and size, no redirect, nothing of this machine's secrets."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from rollback_lib.adapters.bounded import KEPT
from rollback_lib.adapters.evidence_files import EvidenceFiles
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.web import RequestsWeb


class _Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []
    stop = threading.Event()

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        if self.path.startswith("/hang"):
            self.stop.wait(10)
            return
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        if self.path.startswith("/drip"):
            for _ in range(100):
                self.wfile.write(b"x" * 20_000)
                self.wfile.flush()
                if self.stop.wait(0.1):
                    return
        self.wfile.write(b"y" * (2 * KEPT) if self.path.startswith("/large") else b"ok")

    def log_message(self, *arguments: object) -> None: ...


@contextmanager
def server() -> Iterator[str]:
    _Handler.seen, _Handler.stop = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as it:
        it.daemon_threads = True
        threading.Thread(target=it.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{it.server_address[1]}"
        _Handler.stop.set()
        it.shutdown()


def test_the_answer_comes_with_its_status_and_headers_and_the_query_is_encoded() -> None:
    with server() as url:
        got = RequestsWeb().ask("GET", f"{url}/a", query=[("q", "a b&c")], headers={"X-A": "1"}, timeout=5)
        assert (got.status, got.body) == (200, b"ok")
        path, headers = _Handler.seen[0]
        assert path == "/a?q=a+b%26c"
        assert headers["X-A"] == "1"


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_what_hangs_or_drips_ends_with_its_timeout(path: str) -> None:
    with server() as url:
        began = time.monotonic()
        got = RequestsWeb().ask("GET", url + path, headers={}, timeout=0.5)
        assert time.monotonic() - began < 3
        assert (got.status, got.problem) == (0, "it did not answer in time")


def test_no_redirect_is_followed_so_no_credential_goes_elsewhere() -> None:
    with server() as url:
        got = RequestsWeb().ask("GET", f"{url}/redirect", headers={"Authorization": "planted"}, timeout=5)
        assert got.status == 302
        assert [p for p, _ in _Handler.seen] == ["/redirect"]


def test_no_more_is_read_than_the_bound() -> None:
    with server() as url:
        assert len(RequestsWeb().ask("GET", f"{url}/large", headers={}, timeout=5).body) == KEPT


def test_nothing_of_netrc_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ana password planted\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with server() as url:
        RequestsWeb().ask("GET", url, headers={}, timeout=5)
        assert "Authorization" not in _Handler.seen[0][1]


def test_where_nobody_listens_the_address_is_not_repeated() -> None:
    got = RequestsWeb().ask("GET", "http://127.0.0.1:1/?token=planted", headers={}, timeout=2)
    assert (got.status, got.problem) == (0, "it cannot be reached")


def test_reports_are_found_below_the_folder_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    (folder / "build").mkdir(parents=True)
    (folder / "build/a.xml").write_bytes(b"<a/>")
    (tmp_path / "secret.xml").write_bytes(b"planted")
    os.symlink(tmp_path / "secret.xml", folder / "build/link.xml")
    assert EvidenceFiles(folder).matching("build/*.xml") == {"build/a.xml": b"<a/>"}
    assert EvidenceFiles(folder).matching("none/**/*.xml") == {}


def test_a_command_inside_says_why_it_could_not_run(tmp_path: Path) -> None:
    assert KubectlExec("", tuple, "shop", {}).run("p", "c", ["ls"], 1)[0] == -1
    code, said = KubectlExec(str(tmp_path / "none"), tuple, "shop", {}).run("p", "c", ["ls"], 1)
    assert code == -1
    assert "could not be started" in said


def test_a_command_inside_is_arguments_and_never_a_shell(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 3\n')
    program.chmod(0o700)
    code, said = KubectlExec(str(program), lambda: ("--context=prod",), "shop", {}).run("p", "c", ["a;b", "$(id)"], 5)
    assert code == 3
    assert said.splitlines() == [
        "--context=prod", "--namespace=shop", "exec", "p", "--container=c", "--quiet", "--", "a;b", "$(id)",
    ]  # fmt: skip
