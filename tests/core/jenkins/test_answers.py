"""Whatever a Jenkins server answers is a value of ours, or is said not to read: never an error of our own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.encoding import NotJsonError
from rollback_lib.core.jenkins import answers, upstream

READERS: tuple[Callable[[bytes], Any], ...] = (
    answers.build, answers.builds, answers.queue_item, answers.stages, answers.questions, answers.parameters,
    answers.is_folder, answers.test_cases, answers.validator_errors, answers.crumb,
)  # fmt: skip
KEYS = (
    "number", "url", "building", "result", "actions", "parameters", "causes", "name", "value", "upstreamProject",
    "artifacts", "relativePath", "queueId", "timestamp", "builds", "property", "parameterDefinitions", "why", "data",
    "cancelled", "executable", "stages", "status", "id", "message", "suites", "cases", "className", "errorDetails",
    "errors", "error", "crumb", "crumbRequestField", "choices", "jobs",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=4),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(KEYS), each, max_size=5),
    max_leaves=15,
)


@pytest.mark.parametrize("read", READERS, ids=lambda reader: reader.__name__)
@given(body=st.one_of(VALUES.map(lambda value: json.dumps(value).encode()), st.binary(max_size=20)))
def test_any_answer_is_a_value_or_does_not_read(read: Callable[[bytes], Any], body: bytes) -> None:
    found = None
    with contextlib.suppress(NotJsonError):
        found = read(body)
    assert found is None or isinstance(found, answers.Build | answers.QueueItem | tuple | dict | bool)


@pytest.mark.parametrize(
    "body",
    [
        '{"number": "3"}', '{"actions": 3}', '{"actions": [{"parameters": {"a": 1}}]}', '{"actions": ["x"]}',
        '{"artifacts": [3]}', '{"timestamp": 1e300}', '{"timestamp": 99999999999999999}', '{"number": -1}', "[]", "3",
        "null", '{"number": 3', '"\\ud800', "[" * 100_000,
    ],
    ids=lambda body: body[:40],
)  # fmt: skip
def test_d49_a_build_of_wrong_types_does_not_read(body: str) -> None:
    with pytest.raises(NotJsonError):
        answers.build(body.encode())


def test_what_jenkins_leaves_out_or_has_no_value_for_is_no_error() -> None:
    found = answers.build(
        b'{"number": 3, "url": null, "building": true, "result": null, "queueId": null, "actions": [{}, null, '
        b'{"parameters": [{"name": "A", "value": true}, {"name": "B"}]}, {"causes": [{"upstreamProject": "d"}, {}]}]}'
    )
    assert (found.number, found.running, found.result) == (3, True, "")
    assert found.parameters == {"A": "True", "B": ""}
    assert found.upstream == ("d",)


@pytest.mark.parametrize("artifact", [None, b"", b'"\xff"', b"[]", b'{"application": 3}', b"[" * 100_000])
def test_evidence_that_does_not_read_counts_as_none(artifact: bytes | None) -> None:
    build = answers.build(b'{"number": 3, "result": "FAILURE"}')
    assert upstream.tell("d", build, (), "", (), artifact).deploy is None


def test_failed_tests_are_told_by_name() -> None:
    cases = [
        {"className": "A", "name": n, "status": s, "errorDetails": "no"} for n, s in (("b", "FAILED"), ("c", "OK"))
    ]
    found = answers.test_cases(json.dumps({"suites": [{"cases": cases}, {"cases": None}]}).encode())
    told = upstream.tell("d", answers.build(b"{}"), (), "", found, None)
    assert told.failed_tests == ("A.b: no",)
