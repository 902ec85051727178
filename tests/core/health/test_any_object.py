"""Whatever stands in the objects, judging them does not raise, and a report does not contradict itself."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rollback_lib.core.health import Health, View, assess, limit, look, ready_now, refusable, stuck_pod
from tests.core.health.states import DATA, PATCHED, after, state

WORDS = st.sampled_from(
    ("kind", "metadata", "spec", "status", "Deployment", "StatefulSet", "DaemonSet", "name", "uid", "Ready", "True")
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
JSON: Any = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v, max_size=4))
LISTS = ("pods", "replica_sets", "events")
OBJECTS = st.dictionaries(WORDS, JSON, max_size=5)


def judge(view: View) -> None:
    patience = after(40, quick_crash=True, deadline=PATCHED + timedelta(seconds=90))
    for now in (40, 60, 100):
        patience = replace(patience, now=PATCHED + timedelta(seconds=now))
        report = assess(view, patience)
        assert (report.health is Health.FAILED) == any(c.final for c in report.causes)
        assert report.message
        assert 0 <= report.ready <= report.updated
        patience = replace(patience, seen=look(view, patience))
    assert limit(view.workload, 300) >= 300
    ready_now(view), refusable(view.workload), stuck_pod(view)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # two cores, shared
@given(OBJECTS, st.lists(OBJECTS, max_size=2), st.sampled_from(["Deployment", "StatefulSet", "DaemonSet", None]))
def test_arbitrary_objects_are_judged(workload, others, kind):
    found = {**workload, "kind": kind} if kind else workload
    judge(View(found, tuple(others), tuple(others), None, tuple(others), tuple(others)))


def paths(value, *before):
    yield before
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield from paths(below, *before, key)


@pytest.mark.parametrize("name", sorted(file.stem for file in DATA.iterdir()))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draw=st.data())
def test_any_one_value_may_be_anything(name, draw):
    view = state(name)
    parts = {key: deepcopy(list(getattr(view, key))) for key in LISTS} | {"workload": deepcopy(view.workload)}
    path = draw.draw(st.sampled_from([p for p in paths(parts) if (len(p) > 1 and p[0] == "workload") or len(p) > 2]))
    place = parts
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = draw.draw(JSON)
    lists = {key: tuple(parts[key]) for key in LISTS}
    judge(replace(view, workload=parts["workload"], **lists))
