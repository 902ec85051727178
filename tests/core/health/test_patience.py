"""What needs time: symptoms that must stand, crashes that must repeat, clocks that differ."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta

import pytest
from msgspec.structs import replace

from rollback_lib.core.health import EarlierRounds, Health, Patience, View, assess, look
from tests.core.health.states import PATCHED, after, state


def at(seconds, *, ours=True, **more):
    patience = after(seconds, **more)
    return patience if ours else replace(patience, patched_at=None)


def rounds(*looks, **more):
    """The reports of a series of (seconds after the patch, view)."""
    seen, reports = EarlierRounds(), []
    for seconds, view in looks:
        patience = after(seconds, seen=seen, **more)
        reports.append(assess(view, patience))
        seen = look(view, patience)
    return [r.health.value for r in reports]


def changed(view, *, container=None, pod=None):
    """The same view with other fields in the status of its first pod's first container, or in its first pod."""
    pods = deepcopy(view.pods)
    pods[0]["status"]["containerStatuses"][0].update(container or {})
    pods[0].update(pod or {})
    return replace(view, pods=pods)


def crash(run, *, restarts, code=3, line="FATAL: no config", waiting=True):
    ended = {"exitCode": code, "containerID": run, "message": line}
    now = {"waiting": {"reason": "CrashLoopBackOff"}} if waiting else {"running": {}}
    fields = {"restartCount": restarts, "state": now, "lastState": {"terminated": ended}}
    return changed(state("deployment-crash-loop"), container=fields)


def test_replica_failure_is_final_after_it_stood_for_15_seconds_without_a_terminating_pod():
    quota, terminating = state("deployment-quota"), state("deployment-quota-while-terminating")
    assert rounds((5, quota), (19, quota), (20, quota)) == ["progressing", "progressing", "failed"]
    assert rounds((5, quota), (12, terminating), (21, quota), (35, quota)) == ["progressing"] * 4
    assert rounds((5, terminating), (60, terminating)) == ["progressing"] * 2


def test_replica_failure_that_passes_leaves_no_trace():
    assert rounds((1, state("deployment-quota")), (2, state("deployment-healthy")))[-1] == "healthy"


def test_a_refusal_from_before_the_patch_is_named_and_never_final():
    old = state("deployment-quota-from-before")
    assert rounds((1, old), (30, old), (90, old)) == ["progressing"] * 3


def test_a_refusal_told_in_events_only_is_final_after_15_seconds_too():
    quota = state("stateful-set-quota")
    assert rounds((31, quota), (46, quota)) == ["progressing", "failed"]


def test_a_pod_made_after_the_refusal_ends_it():
    quota = state("stateful-set-quota")
    made = {**quota.events[0], "reason": "SuccessfulCreate"}
    report = assess(replace(quota, events=(*quota.events, made)), after(60))
    assert [c.name for c in report.causes] == []


def test_a_single_look_at_what_is_not_ours_trusts_the_times_in_the_cluster():
    assert assess(state("deployment-quota"), at(10, ours=False)).health is Health.PROGRESSING
    assert assess(state("deployment-quota-from-before"), at(60, ours=False)).health is Health.FAILED
    stale = assess(state("deployment-healthy-with-stale-deadline"), at(60, ours=False))
    assert stale.health is Health.HEALTHY


def test_unschedulable_is_final_after_30_seconds():
    view = state("deployment-no-room-beside-old-pod")
    assert [assess(view, after(s)).health.value for s in (5, 31, 33)] == ["progressing", "progressing", "failed"]


def test_a_clock_that_is_ahead_of_the_cluster_gives_up_no_earlier():
    view = state("deployment-unschedulable")  # its pod waits since 12:00:02 by the cluster's clock
    ahead = PATCHED + timedelta(minutes=10)
    patience = Patience(now=ahead + timedelta(seconds=20), patched_at=ahead)
    assert assess(view, patience).health is Health.PROGRESSING
    assert assess(view, replace(patience, now=ahead + timedelta(seconds=31))).health is Health.FAILED


def test_a_clock_that_is_behind_the_cluster_still_gives_up():
    view = state("deployment-unschedulable")
    behind = PATCHED - timedelta(minutes=10)
    first = Patience(now=behind + timedelta(seconds=5), patched_at=behind)
    assert assess(view, first).health is Health.PROGRESSING
    later = Patience(now=behind + timedelta(seconds=40), patched_at=behind, seen=look(view, first))
    assert assess(view, later).health is Health.FAILED


def test_a_service_that_crashes_twice_and_recovers_never_fails():
    one, two = crash("c1", restarts=1, waiting=False), crash("c2", restarts=1)
    recovered = state("deployment-healthy")
    assert "failed" not in rounds((2, one), (4, two), (8, two), (12, recovered))
    assert rounds((2, one), (4, two), (12, recovered), quick_crash=False)[-1] == "healthy"


def test_with_earlier_waves_ready_a_crash_that_repeats_itself_is_final_at_once():
    one, two = crash("c1", restarts=1, waiting=False), crash("c2", restarts=1)
    assert rounds((2, one), (4, two), quick_crash=True) == ["progressing", "failed"]
    assert rounds((4, two), quick_crash=True) == ["progressing"]  # one crash seen is no repetition


@pytest.mark.parametrize(
    ("second", "health"),
    [
        ({"code": 1}, "progressing"),
        ({"line": "connection refused: cloud-config"}, "progressing"),
        ({"line": ""}, "progressing"),
        ({"line": "2026-03-01T12:00:09.120Z FATAL: no config"}, "failed"),
    ],
    ids=["another exit code", "another last line", "no last line", "the same but for its time"],
)
def test_a_crash_repeats_itself_by_exit_code_and_last_line(second, health):
    one = crash("c1", restarts=1, waiting=False, line="2026-03-01T12:00:02.003Z FATAL: no config")
    if "line" not in second:
        second = {**second, "line": "2026-03-01T12:00:09.120Z FATAL: no config"}
    assert rounds((2, one), (4, crash("c2", restarts=1, **second)), quick_crash=True)[-1] == health


def test_last_lines_come_from_the_logs_where_the_container_leaves_no_message():
    views = [
        replace(crash(run, restarts=1, line="", waiting=waiting), lines={"shop-new-1/shop": "boot\nFATAL: no config\n"})
        for run, waiting in (("c1", False), ("c2", True))
    ]
    assert rounds((2, views[0]), (4, views[1]), quick_crash=True)[-1] == "failed"
    assert "last line: FATAL: no config;" in assess(views[1], after(4)).message


def test_crashes_from_before_the_patch_are_not_held_against_an_old_pod():
    old = {"metadata": {**state("deployment-crash-loop").pods[0]["metadata"]}}
    old["metadata"]["creationTimestamp"] = "2026-03-01T11:00:00Z"
    looks = [changed(crash(f"c{n}", restarts=n), pod=old) for n in (7, 8, 10)]
    assert rounds(*zip((1, 9, 30), looks, strict=True)) == ["progressing", "progressing", "failed"]


def test_a_container_without_a_readiness_probe_must_run_for_a_moment():
    view = state("deployment-healthy")
    for pod in view.pods:
        del pod["spec"]["containers"][0]["readinessProbe"]  # all run since 12:00:02
    assert [assess(view, after(s)).health.value for s in (2, 4, 5)] == ["progressing", "progressing", "healthy"]
    assert assess(view, after(2, steady=0)).health is Health.HEALTHY
    restarted = changed(view, container={"lastState": {"terminated": {"exitCode": 3}}})
    assert [assess(restarted, after(s)).health.value for s in (6, 12)] == ["progressing", "healthy"]


def test_what_only_progresses_fails_at_its_deadline_with_what_is_known():
    deadline = PATCHED + timedelta(seconds=300)
    view = state("deployment-probe-fails")
    assert assess(view, after(299, deadline=deadline)).health is Health.PROGRESSING
    report = assess(view, after(300, deadline=deadline))
    assert report.health is Health.FAILED
    assert [c.name for c in report.causes] == ["NeverReady", "NotReady"]
    assert "statuscode: 503" in report.causes[0].text
    assert assess(state("deployment-healthy"), after(900, deadline=deadline)).health is Health.HEALTHY


def test_looking_twice_at_one_snapshot_changes_nothing():
    for name in ("deployment-quota", "deployment-crash-loop", "deployment-unschedulable", "deployment-healthy"):
        patience = after(20)
        seen = look(state(name), patience)
        assert look(state(name), replace(patience, seen=seen)) == seen


def test_an_empty_view_is_unproven():
    assert assess(View({}), after(1)).health is Health.UNPROVEN
