"""Questions beside health: may the next wave begin, what must be deleted, what is refused, how long may it take."""

from __future__ import annotations

from copy import deepcopy

import pytest
from msgspec.structs import replace

from rollback_lib.core.health import assess, limit, misfit_pod, ready_now, refusable, stuck_pod
from tests.core.health.states import after, state


@pytest.mark.parametrize(
    ("name", "ready"),
    [
        ("deployment-only-old-pods-ready", True),
        ("deployment-healthy", True),
        ("deployment-at-zero", True),
        ("cron-job", True),
        ("daemon-set-wanted-nowhere", True),
        ("deployment-crash-loop", False),
        ("deployment-recreate-says-available", False),
        ("deployment-all-nodes-not-ready", False),
        ("stateful-set-stuck", True),
    ],
)
def test_a_wave_begins_when_earlier_services_have_a_ready_pod(name, ready):
    assert ready_now(state(name)) is ready


def with_workload(view, **changes):
    workload = deepcopy(view.workload)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = workload
        for key in parents:
            place = place[key]
        place[last] = value
    return replace(view, workload=workload)


def test_the_stuck_pod_with_the_highest_ordinal_goes_first():
    view = state("stateful-set-stuck")
    assert stuck_pod(view) == "shop-2"
    assert stuck_pod(replace(view, pods=view.pods[:2])) == "shop-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"spec__podManagementPolicy": "Parallel"},
        {"spec__updateStrategy": {"type": "OnDelete"}},
        {"status__observedGeneration": 1},
        {"status__updateRevision": "shop-bad"},
        {"spec__replicas": 1},
    ],
    ids=str,
)
def test_no_pod_is_deleted_where_the_controller_goes_on_by_itself_or_nothing_is_known(changes):
    assert stuck_pod(with_workload(state("stateful-set-stuck"), **changes)) is None


def test_one_pod_is_deleted_at_a_time():
    view = state("stateful-set-stuck")
    going = deepcopy(view.pods[2])
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:03Z"
    assert stuck_pod(replace(view, pods=(*view.pods[:2], going))) is None


def test_a_pod_on_a_node_that_is_not_ready_is_not_deleted():
    assert stuck_pod(replace(state("stateful-set-stuck"), nodes={"n1": False})) is None


def test_a_pod_that_the_partition_keeps_at_its_revision_is_not_stuck():
    assert stuck_pod(state("stateful-set-partition-not-ready-below")) is None


def test_ready_pods_of_another_revision_are_left_to_the_controller():
    assert stuck_pod(state("stateful-set-progressing")) is None


def test_ordinals_may_start_elsewhere():
    view = with_workload(state("stateful-set-stuck"), spec__ordinals={"start": 1}, spec__replicas=2)
    assert stuck_pod(view) == "shop-2"


def with_claims(ready=(True, True, True), mounted=()):
    """A StatefulSet with a claim that only the pods with these ordinals mount."""
    claims = [{"metadata": {"name": "data"}}]
    view = with_workload(state("stateful-set-stuck"), spec__volumeClaimTemplates=claims)
    pods = []
    for number, pod in enumerate(deepcopy(view.pods)):
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{number}"}}
        pod["spec"]["volumes"] = [volume] if number in mounted else [{"name": "data", "emptyDir": {}}]
        condition = {"type": "Ready", "status": "True" if ready[number] else "False"}
        pod["status"]["conditions"] = [condition]
        pods.append(pod)
    return replace(view, pods=tuple(pods))


@pytest.mark.parametrize(
    ("ready", "mounted", "first"),
    [
        ((True, True, True), (), "shop-0"),
        ((True, True, True), (0,), "shop-1"),
        ((False, True, True), (), "shop-0"),  # not ready itself: its replacement can only help
        ((True, True, True), (0, 1, 2), None),
        ((False, True, True), (0,), None),  # one that was replaced is not Ready yet
        ((True, False, True), (), None),
    ],
)
def test_a_pod_without_a_volume_for_a_claim_goes_lowest_ordinal_first_and_one_at_a_time(ready, mounted, first):
    assert misfit_pod(with_claims(ready, mounted)) == first


def test_nothing_goes_while_a_pod_is_missing_or_leaving_or_its_node_is_lost():
    view = with_claims()
    assert misfit_pod(replace(view, pods=view.pods[:2])) is None
    going = deepcopy(view.pods[2])
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:03Z"
    assert misfit_pod(replace(view, pods=(*view.pods[:2], going))) is None
    assert misfit_pod(replace(view, nodes={"n1": False})) is None
    assert misfit_pod(with_workload(view, status__observedGeneration=1)) is None


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({"kind": "Deployment", "spec": {"paused": True}}, "kubectl rollout resume deployment/shop"),
        ({"kind": "StatefulSet", "spec": {"updateStrategy": {"type": "OnDelete"}}}, "OnDelete"),
        ({"kind": "DaemonSet", "spec": {"updateStrategy": {"type": "OnDelete"}}}, "OnDelete"),
        ({"kind": "Deployment", "spec": {"paused": False}}, None),
        ({"kind": "StatefulSet", "spec": {"updateStrategy": {"type": "RollingUpdate"}}}, None),
        ({"kind": "CronJob"}, None),
    ],
)
def test_preflight_refuses_what_would_not_roll_out(workload, said):
    found = refusable({**workload, "metadata": {"name": "shop"}})
    assert (found is None) if said is None else (said in found)


def deployment(replicas=1, probe=None, startup=None, **spec):
    container = {"name": "shop", "readinessProbe": probe or {}, "startupProbe": startup or {}}
    return {"kind": "Deployment", "spec": {"replicas": replicas, "template": pod(container), **spec}}


def pod(*containers, **more):
    return {"spec": {"containers": list(containers), **more}}


SLOW = {"initialDelaySeconds": 240, "periodSeconds": 10, "failureThreshold": 3, "timeoutSeconds": 1}
POD = 30 + 240 + 30 + 1


@pytest.mark.parametrize(
    ("workload", "seconds"),
    [
        (deployment(), 300),
        (deployment(probe=SLOW), max(300, POD)),
        (deployment(probe={"httpGet": {}}), 300),
        (deployment(8, SLOW), 2 * POD),
        (deployment(8, SLOW, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}), 8 * POD),
        (deployment(8, SLOW, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "1%"}}), 8 * POD),
        (deployment(8, SLOW, strategy={"type": "Recreate"}), POD + 30),
        (deployment(2, SLOW, startup={"periodSeconds": 10, "failureThreshold": 60}), 2 * (POD + 601)),
        (deployment(1, SLOW, minReadySeconds=60), POD + 60),
        (deployment(1, None, progressDeadlineSeconds=9000), 300),
        ({**deployment(3, SLOW), "kind": "StatefulSet"}, 3 * (POD + 30)),
        (
            {**deployment(3, SLOW, updateStrategy={"rollingUpdate": {"partition": 2}}), "kind": "StatefulSet"},
            POD + 30,
        ),
        ({**deployment(1, SLOW), "kind": "DaemonSet", "status": {"desiredNumberScheduled": 5}}, 5 * (POD + 30)),
        (
            {
                **deployment(1, SLOW, updateStrategy={"rollingUpdate": {"maxUnavailable": "40%"}}),
                "kind": "DaemonSet",
                "status": {"desiredNumberScheduled": 5},
            },
            3 * (POD + 30),
        ),
        ({"kind": "CronJob"}, 300),
        ({"kind": "Deployment", "spec": None}, 300),
    ],
)
def test_the_limit_comes_from_probes_and_strategy(workload, seconds):
    assert limit(workload, 300) == seconds


def test_sidecars_start_before_the_containers():
    sidecar = {"name": "proxy", "restartPolicy": "Always", "startupProbe": SLOW}
    template = pod({"name": "shop", "readinessProbe": SLOW}, initContainers=[sidecar])
    assert limit({"kind": "Deployment", "spec": {"replicas": 1, "template": template}}, 300) == POD + POD - 30


def test_an_annotation_does_not_make_a_replica_set_the_newest():
    view = state("deployment-only-old-pods-ready")
    sets = deepcopy(view.replica_sets)
    sets[1]["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "9"}
    assert assess(replace(view, replica_sets=sets), after(60)).updated == 0


def test_pods_of_another_service_are_not_counted():
    view = state("deployment-healthy")
    other = deepcopy(state("deployment-crash-loop").pods[0])
    other["metadata"]["ownerReferences"][0]["uid"] = "another"
    report = assess(replace(view, pods=(*view.pods, other)), after(60))
    assert (report.health, len(report.pods)) == ("healthy", 3)
