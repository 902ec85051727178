"""Many sources asked at once, with one end for all."""

from __future__ import annotations

import threading
import time

import pytest

from rollback_lib.collectors.threads import each, gather
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.evidence.findings import finding
from rollback_lib.core.run.records import Finding


def test_what_hangs_is_said_and_not_waited_for() -> None:
    never = threading.Event()

    def hang() -> tuple[Finding, ...]:
        never.wait(20)
        return ()

    began = time.monotonic()
    found = gather({"slow": hang, "quick": lambda: [finding("broken", "quick", "x")]}, 0.2)
    assert time.monotonic() - began < 2
    never.set()
    assert [f.severity for f in found["quick"]] == ["broken"]
    assert [(f.severity, f.text) for f in found["slow"]] == [
        ("note", "slow could not be asked: no answer within 0.2 s")
    ]


def test_what_fails_is_said_and_harmless() -> None:
    def refuse() -> tuple[Finding, ...]:
        raise RefusedError("password=hunter2 is refused")

    def bug() -> tuple[Finding, ...]:
        raise KeyError("x")

    found = gather({"a": refuse, "b": bug}, 5)
    assert [f.text for f in found["a"]] == ["a could not be asked: password=[hidden] is refused"]
    assert [f.text for f in found["b"]] == ["b could not be asked: KeyError: 'x'"]


def test_answers_keep_the_order_of_the_questions() -> None:
    assert each(lambda n: n * n, range(50)) == [n * n for n in range(50)]


def test_the_first_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda n: 1 // n, [1, 0, 2])
