"""What is told to logging of a call: what it was, how it ended, how long it took; nothing that may be a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_lib.adapters import calls, process
from rollback_lib.adapters.inside import KubectlExec
from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.adapters.web import RequestsWeb
from rollback_lib.sandbox.cluster import Sandbox
from tests.fake_hook import TOKEN, FakeHook

SECRET = "p@ss-S3cr3t-planted"


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "rollback_lib"):
        yield


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(logger, line without its time)."""
    return [(r.name, re.sub(r", \d+\.\d\d s$", "", r.getMessage())) for r in caplog.records]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ana:s3cret@git.example:8443/a/b?token=s3cret#s3cret", "https://git.example:8443/a/b"),
        ("http://[::1]:5000/v2/", "http://[::1]:5000/v2/"),
        ("http://host:port/", "an address that does not read"),
    ],
)  # fmt: skip
def test_an_address_is_told_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert calls.address(url) == shown


def test_a_smoke_test_by_address_is_told_without_what_a_flow_put_into_it(caplog: pytest.LogCaptureFixture) -> None:
    with FakeHook() as hook:
        RequestsWeb().ask("GET", f"{hook.url}?token={SECRET}", headers={"X-Token": SECRET}, timeout=5)
        (line,) = told(caplog)
        assert line[0] == "rollback_lib.http"
        assert re.fullmatch(rf"GET http://127.0.0.1:{hook.port}/…: \d+", line[1])
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_a_smoke_test_through_a_pod_is_told_without_it_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(namespaces=["shop"]) as sandbox:
        file = tmp_path / "kubeconfig"
        file.write_text(sandbox.kubeconfig_text(namespace="shop"))
        cluster = KubernetesCluster(str(file), None, "shop")
        cluster.pod_ask(
            "cart-1", 80, f"/o/{SECRET}?a={SECRET}", method="GET", headers={"X-Token": SECRET}, body=b"", timeout=5
        )
        cluster.close()
        assert told(caplog) == [
            ("rollback_lib.http", f"GET {sandbox.url}/api/v1/namespaces/shop/pods/cart-1:80/proxy/…: 404")
        ]
    assert SECRET not in caplog.text


def test_a_command_inside_is_told_without_its_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho {SECRET} >&2\nexit 3\n")
    program.chmod(0o755)
    inside = KubectlExec(str(program), lambda: ("--context=prod",), "shop", {})
    assert inside.run("cart-1", "cart", ("psql", "--password", SECRET), 5.0)[0] == 3
    assert told(caplog) == [
        (
            "rollback_lib.kubectl",
            "kubectl --context=prod --namespace=shop exec cart-1 --container=cart --quiet -- psql …: exit code 3",
        )
    ]


def test_what_kubectl_said_is_told_to_its_end_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    calls.said("kubectl", f'Warning: deprecated\n\nerror: Invalid value: "{SECRET}": no\nexit status 1\n')
    assert told(caplog) == [
        ("rollback_lib.kubectl", "kubectl said: Warning: deprecated"),
        ("rollback_lib.kubectl", "kubectl said: error: Invalid value: [hidden]: no"),
        ("rollback_lib.kubectl", "kubectl said: exit status 1"),
    ]


def test_a_line_is_one_line_and_of_bounded_length(caplog: pytest.LogCaptureFixture) -> None:
    process.run((sys.executable, "-c", "import sys; sys.exit(2)", "a\nb", "x" * 5000), {}, timeout=10)
    (line,) = told(caplog)
    assert line[1].endswith("…: exit code 2")
    assert "\n" not in line[1]
    assert len(line[1]) < 500


def test_a_call_that_ends_in_an_error_is_told_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "rollback_lib"), pytest.raises(OSError), calls.call("http", "GET x"):
        raise OSError(f"at https://x.example/{SECRET}")
    assert re.fullmatch(r"GET x: OSError, \d\.\d\d s", caplog.records[0].getMessage())
