"""What the API server says yes to and does not do, what it refuses, and what it changes on the way in."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import WORKER, Desk
from tests.command_line import Ended

pytestmark = pytest.mark.long

USER = "user-service"
DEPLOYMENT = f"k8s/{USER}/deployment.yaml"
SERVICE = f"k8s/{USER}/service.yaml"
RUN = ("run", "--to", GOOD, "--yes")


def refused(ended: Ended, desk: Desk, before: object) -> str:
    assert ended.code == 3, ended
    assert "Nothing was changed; traffic is open." in ended.out + ended.err
    assert desk.objects() == before
    return " ".join((ended.out + ended.err).split())


def run(desk: Desk, *more: str) -> Ended:
    ended = desk.rollback(*RUN, *more)
    assert ended.code == 0, ended
    return ended


# -- C01: a container that lists one variable or one port twice

VARIABLE = '        - name: LOG_LEVEL\n          value: "info"\n'


def twice(text: str) -> str:
    return text.replace(VARIABLE, VARIABLE + '        - name: LOG_LEVEL\n          value: "debug"\n')


def variables(desk: Desk) -> list[tuple[str, str]]:
    container = desk.live("deployment", USER)["spec"]["template"]["spec"]["containers"][0]
    return [(e["name"], e["value"]) for e in container["env"]]


def test_a_variable_that_the_failed_release_lists_twice_is_there_once_after_it(desk: Desk) -> None:
    desk.rewrite(BAD, {DEPLOYMENT: twice(desk.file(BAD, DEPLOYMENT))})
    desk.playground.must("delete", "deployment", USER)  # an apply over it would not show the second one
    desk.playground.apply(BAD)
    desk.playground.must(*desk.playground.rollout_status)
    assert len(variables(desk)) == 4
    run(desk)
    wanted = [("SPRING_PROFILES_ACTIVE", "prod"), ("LOG_LEVEL", "info")]
    assert variables(desk) == wanted
    manifests = desk.runs()[-1] / "manifests"
    desk.playground.must("apply", f"--filename={manifests / DEPLOYMENT}")
    assert variables(desk) == wanted


def test_a_target_that_lists_a_variable_twice_is_a_warning_that_names_both_and_no_failure(desk: Desk) -> None:
    desk.rewrite(GOOD, {DEPLOYMENT: twice(desk.file(GOOD, DEPLOYMENT))})
    ended = run(desk)
    said = " ".join((ended.out + ended.err).split()) + (desk.runs()[-1] / "plan.json").read_text()
    assert f"container {USER} lists variable LOG_LEVEL twice" in said
    assert variables(desk) == [("SPRING_PROFILES_ACTIVE", "prod"), ("LOG_LEVEL", "info"), ("LOG_LEVEL", "debug")]


@pytest.mark.parametrize("kind", ["port", "init", "source"])
def test_other_lists_that_name_one_thing_twice(desk: Desk, kind: str) -> None:
    text = desk.file(GOOD, DEPLOYMENT)
    port = "        - containerPort: 8080\n"
    if kind == "port":
        text, said = text.replace(port, port + port.replace("- ", "- name: again\n          ")), "port 8080/TCP twice"
    elif kind == "init":
        init = f"      initContainers:\n      - name: first\n        image: sanjodb/{USER}:prod\n        env:\n"
        init += '        - {name: A, value: "1"}\n        - {name: A, value: "2"}\n      containers:\n'
        text, said = text.replace("      containers:\n", init), "container first lists variable A twice"
    else:
        one = "        - {name: LOG_LEVEL, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n"
        text, said = text.replace(VARIABLE, VARIABLE + one), "variable LOG_LEVEL twice"
    desk.rewrite(GOOD, {DEPLOYMENT: text})
    ended = desk.rollback("plan", "--to", GOOD, "--output", "json")
    assert ended.code == 0, ended
    assert any(said in w for w in ended.json["plan"]["warnings"]), ended.json["plan"]["warnings"]


# -- C03: headless and back

HEADLESS = ("  type: ClusterIP\n", "  clusterIP: None\n")


def again(desk: Desk, release: str) -> None:
    """Deploy with a Service that had to be made again."""
    desk.playground.must("delete", "service", USER)
    desk.playground.apply(release)


@pytest.mark.parametrize("way", ["normal", "headless"])
def test_a_service_between_headless_and_normal_is_refused_and_made_again_only_if_accepted(desk: Desk, way: str) -> None:
    changed = BAD if way == "normal" else GOOD
    desk.rewrite(changed, {SERVICE: desk.file(changed, SERVICE).replace(*HEADLESS)})
    if changed == BAD:
        again(desk, BAD)
    before, was = desk.objects(), desk.live("service", USER)
    said = refused(desk.rollback(*RUN), desk, before)
    assert f"[--accept recreate:Service/{USER}]" in said
    assert f"--accept skip:Service/{USER}" in said
    assert "clusterIP" in said

    ended = run(desk, f"--accept=recreate:Service/{USER}")
    now = desk.live("service", USER)
    assert (now["spec"]["clusterIP"] == "None") is (way == "headless")
    assert now["metadata"]["uid"] != was["metadata"]["uid"]
    plan = json.loads((desk.runs()[-1] / "plan.json").read_text())
    assert f"recreate:Service/{USER}" in plan["accepted"]
    assert "its address changes" in " ".join((ended.out + ended.err).split())
    assert all(s.is_release(GOOD) for s in desk.playground.services())
    again_ended = run(desk)
    assert "Nothing" in again_ended.out or "nothing" in again_ended.out


def test_a_service_that_may_not_be_made_again_is_left_as_it_is_with_skip(desk: Desk) -> None:
    desk.rewrite(BAD, {SERVICE: desk.file(BAD, SERVICE).replace(*HEADLESS)})
    again(desk, BAD)
    was = desk.live("service", USER)
    run(desk, f"--accept=skip:Service/{USER}")
    assert desk.live("service", USER)["metadata"]["uid"] == was["metadata"]["uid"]


# -- C04: an immutable ConfigMap

COMMON = "k8s/common-config.yaml"


def immutable(desk: Desk) -> None:
    for release, threshold in ((GOOD, "50"), (BAD, "99")):
        text = desk.file(release, COMMON).replace('"50"', f'"{threshold}"') + "immutable: true\n"
        desk.rewrite(release, {COMMON: text})
    desk.playground.must("delete", "configmap", "common-config")
    desk.playground.apply(BAD)


def test_an_immutable_config_map_is_refused_and_made_again_only_if_accepted(desk: Desk) -> None:
    immutable(desk)
    before = desk.objects()
    said = refused(desk.rollback(*RUN), desk, before)
    assert "immutable" in said
    assert "[--accept recreate:ConfigMap/common-config]" in said

    run(desk, "--accept=recreate:ConfigMap/common-config")
    assert desk.live("configmap", "common-config")["data"]["CIRCUIT_BREAKER_THRESHOLD"] == "50"
    assert all(s.is_release(GOOD) for s in desk.playground.services())
    keys = [e["key"] for e in desk.events() if e["mark"] == "done" and "configmap/common-config" in e.get("key", "")]
    assert keys == ["apply/configmap/common-config/delete", "apply/configmap/common-config/create"]


# -- C09: the old manifest speaks an API that is gone

BUDGET = """\
# who may leave
apiVersion: policy/{version}
kind: PodDisruptionBudget
metadata: {{name: user-service}}
spec: {{minAvailable: 0, selector: {{matchLabels: {{app: user-service}}}}}}
"""
AUTOSCALER = """\
apiVersion: autoscaling/{version}
kind: HorizontalPodAutoscaler
metadata: {{name: user-service}}
spec:
  minReplicas: 2
  maxReplicas: 3
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: user-service}}
"""


def test_an_api_that_is_gone_is_refused_with_its_place_and_the_one_that_is_served(desk: Desk) -> None:
    budget, autoscaler = f"k8s/{USER}/budget.yaml", f"k8s/{USER}/autoscaler.yaml"
    desk.rewrite(BAD, {budget: BUDGET.format(version="v1"), autoscaler: AUTOSCALER.format(version="v2")})
    old = {budget: BUDGET.format(version="v1beta1"), autoscaler: AUTOSCALER.format(version="v2beta2")}
    desk.rewrite(GOOD, old)
    desk.playground.apply(BAD)
    desk.playground.must("scale", "deployment", USER, "--replicas=2")
    desk.playground.must(*desk.playground.rollout_status)
    said = refused(desk.rollback(*RUN), desk, desk.objects())
    assert f"{budget}:2" in said
    assert "policy/v1beta1 PodDisruptionBudget" in said
    assert "policy/v1" in said.replace("policy/v1beta1", "")
    assert f"{autoscaler}:1" in said
    assert "autoscaling/v2beta2 HorizontalPodAutoscaler" in said
    assert "autoscaling/v2" in said.replace("autoscaling/v2beta2", "")

    kept = [desk.live(kind, USER) for kind in ("poddisruptionbudget", "horizontalpodautoscaler")]
    skip = [f"--accept=skip:{kind}/{USER}" for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler")]
    run(desk, *skip)
    now = [desk.live(kind, USER) for kind in ("poddisruptionbudget", "horizontalpodautoscaler")]
    assert [o["metadata"]["uid"] for o in now] == [o["metadata"]["uid"] for o in kept]
    assert [o["spec"] for o in now] == [o["spec"] for o in kept]
    assert desk.live("deployment", USER)["spec"]["replicas"] == 2
    plan = json.loads((desk.runs()[-1] / "plan.json").read_text())
    assert not [o for o in plan["orphans"] if o["name"] == USER]


# -- C14: admission rewrites the template


def test_what_admission_adds_is_planned_and_is_no_reason_for_a_second_rollout(desk: Desk) -> None:
    from rollback_lib.sandbox import admission

    admitted = admission.admit

    def adding(store: object, resource: object, found: dict, before: object) -> None:  # type: ignore[type-arg]
        admitted(store, resource, found, before)  # type: ignore[arg-type]
        if found.get("kind") == "Deployment":
            pods = found["spec"]["template"]
            pods["metadata"]["annotations"] = {**(pods["metadata"].get("annotations") or {}), "scanned": "yes"}
            pods["spec"]["automountServiceAccountToken"] = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "admit", adding)
        run(desk, f"--accept={WORKER}")
        plan = (desk.runs()[-1] / "plan.json").read_text()
        assert "automountServiceAccountToken" in plan
        pods = desk.live("deployment", USER)["spec"]["template"]
        assert pods["metadata"]["annotations"]["scanned"] == "yes"
        assert set(desk.rollouts().values()) == {3}
        assert "Nothing to do" in run(desk).out
        desk.playground.must("apply", f"--filename={desk.runs()[-1] / 'manifests' / DEPLOYMENT}")
        assert set(desk.rollouts().values()) == {3}


def test_an_image_that_admission_moves_away_from_the_plan_is_refused(desk: Desk) -> None:
    from rollback_lib.sandbox import admission

    admitted = admission.admit

    def mirroring(store: object, resource: object, found: dict, before: object) -> None:  # type: ignore[type-arg]
        admitted(store, resource, found, before)  # type: ignore[arg-type]
        if found.get("kind") == "Deployment" and before:
            found["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example/x@sha256:" + "0" * 64

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "admit", mirroring)
        said = refused(desk.rollback(*RUN), desk, desk.objects())
    assert "an admission policy changes the image" in said


# -- C23: a bot puts the bad image back


def test_a_bot_that_writes_the_image_is_named_in_plan_last_line_and_incident_and_its_mark_survives(desk: Desk) -> None:
    mark = '# {"$imagepolicy": "flux-system:user"}'
    text = desk.file(GOOD, DEPLOYMENT).replace("# the tag that every release overwrites", mark)
    desk.rewrite(GOOD, {DEPLOYMENT: text})
    ended = run(desk)
    named = "Flux's image automation (flux-system:user)"
    assert named in ended.out.splitlines()[-1]
    assert named in (desk.runs()[-1] / "report" / "incident.md").read_text()
    assert ":prod in 3 repositories is still v1.2.0" in ended.out.splitlines()[-1]
    written = (desk.runs()[-1] / "manifests" / DEPLOYMENT).read_text()
    old, new = (next(line for line in t.splitlines() if "image:" in line) for t in (text, written))
    assert new.partition(" #")[2] == old.partition(" #")[2]
    assert written.replace(new, old) == text


@pytest.mark.parametrize(
    "mark", ["label kustomize.toolkit.fluxcd.io/name=shop", "annotate meta.helm.sh/release-name=shop"]
)
def test_an_object_that_something_else_keeps_in_step_is_refused(desk: Desk, mark: str) -> None:
    verb, _, said = mark.partition(" ")
    desk.playground.must(verb, "--overwrite", "deployment", USER, said)
    assert f"[--accept owner:{USER}]" in refused(desk.rollback(*RUN), desk, desk.objects())
