"""Something that stands between the files and the cluster, told from what changed there otherwise."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from rollback_lib.core.kube.objects import LAST_APPLIED
from rollback_lib.core.manifests import in_between
from rollback_lib.core.plan.three_way import last_applied_text

Object = dict[str, Any]
ENV = ("spec", "template", "spec", "containers", 0, "env", 0, "value")


def deployment(value: str = "same", image: str = "team/web:v1", **more: Any) -> Object:
    env = [{"name": "DB", "value": value}, {"name": "LEVEL", "value": "dev"}]
    container = {"name": "web", "image": image, "env": env, **more}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
    }  # fmt: skip


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def applied(manifest: Object, live: Object | None = None) -> Object:
    """The live object after `kubectl apply` of a manifest, and what somebody made of it since."""
    made = copy.deepcopy(live or manifest)
    made["metadata"]["annotations"] = {LAST_APPLIED: last_applied_text(manifest, "shop")}
    return made


def paths(target: Object, current: Object | None, live: Object, *variables: str) -> list[in_between.Path]:
    return [p.path for p in in_between.places(target, current, live, variables)]


TOKENS = [
    "<path:secret/data/db#password>", "<password>", "#{DB}#", "@@DB@@", "@DB@", "%%DB%%", "[[ .DB ]]",
    "ENC[AES256_GCM,data:x,iv:y]", "jdbc://#{HOST}#:5432/#{NAME}#",
]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["what runs is known", "it is not"])
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_something_filled_in_is_found_by_its_place(token: str, known: bool) -> None:
    live = applied(deployment("jdbc://db.prod:5432/shop"))
    assert paths(deployment(token), deployment(token) if known else None, live) == [ENV]
    data = applied(config_map(url="jdbc://db.prod:5432/shop", other="a"))
    file = config_map(url=token, other="a")
    assert paths(file, file if known else None, data) == [("data", "url")]


@pytest.mark.parametrize("text", ["localhost", "$DB", "${DB}", "{{ DB }}", "REPLACE-ME"])
def test_any_text_that_both_files_have_and_was_not_applied_is_found(text: str) -> None:
    assert paths(deployment(text), deployment(text), applied(deployment("db.prod"))) == [ENV]


def test_a_token_in_a_text_of_several_lines_that_changed_elsewhere() -> None:
    def text(url: str, limit: int) -> Object:
        return config_map(application=f"url: {url}\nlimit: {limit}\n")

    live = applied(text("db.prod", 20))
    for token in ("@@URL@@", "${URL}"):
        assert paths(text(token, 10), text(token, 20), live) == [("data", "application")]
    assert paths(text("@@URL@@", 20), None, live) == [("data", "application")], "all else is what was applied"


def test_what_changed_between_the_releases_is_no_such_place() -> None:
    assert paths(deployment("old"), deployment("new"), applied(deployment("new"))) == []
    script = "#!/bin/sh\necho ${HOST} [[ .X ]]\n"
    assert paths(config_map(run=script), config_map(run="true\n"), applied(config_map(run="true\n"))) == []
    assert paths(config_map(run="${HOST}"), config_map(run="web-1"), applied(config_map(run="web-1"))) == []


def test_what_people_and_jobs_set_in_the_cluster_is_no_such_place() -> None:
    """`set env`, `set image`, `edit` and `scale` do not touch what was applied."""
    by_hand = deployment("by hand", image="team/web:59")
    by_hand["spec"]["replicas"] = 5
    assert paths(deployment(), deployment(), applied(deployment(), by_hand)) == []


def test_an_earlier_rollback_is_no_such_place() -> None:
    """Its manifest has the overlay, pins, and a planned restart."""
    ours = deployment(image="team/web@sha256:" + "a" * 64, volumeMounts=[])
    ours["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] = "prod"
    ours["spec"]["template"]["metadata"] = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-03-01"}}
    ours["metadata"]["annotations"] = {"rollback-lib/run": "r1", "kubernetes.io/change-cause": "rollback to v1"}
    live = applied(ours)
    assert paths(deployment(), deployment(), live, "LEVEL") == []
    assert paths(deployment(), deployment(), live) == [(*ENV[:-2], 1, "value")], "and without the overlay it is one"


def test_what_kubectl_spells_its_own_way_is_the_same() -> None:
    file = deployment()
    file["metadata"]["namespace"] = "shop"
    file["spec"] |= {"minReadySeconds": 10.0, "paused": False, "progressDeadlineSeconds": 600}
    live = applied(file)
    text = json.loads(live["metadata"]["annotations"][LAST_APPLIED])
    text["spec"] |= {"minReadySeconds": 10, "progressDeadlineSeconds": 600.0}
    live["metadata"]["annotations"][LAST_APPLIED] = json.dumps(text)
    assert paths(file, file, live) == []


def test_an_object_that_was_never_applied_tells_nothing() -> None:
    assert paths(deployment("@@DB@@"), deployment("@@DB@@"), deployment("db.prod")) == []


def test_what_is_live_stays_at_these_places_alone() -> None:
    target = deployment("@@DB@@", command=["run"])
    live = applied(deployment("db.prod"), deployment("db.hand"))
    found = in_between.places(target, target, live)
    assert in_between.kept(target, found) == deployment("db.hand", command=["run"])
    assert target == deployment("@@DB@@", command=["run"])
    gone = applied(config_map(a="1", b="2"), config_map(b="2"))
    file = config_map(a="@@A@@", b="2")
    assert in_between.kept(file, in_between.places(file, file, gone)) == config_map(b="2")


def test_items_are_known_by_their_names_else_by_their_places() -> None:
    target, live = deployment("@@DB@@"), applied(deployment("db.prod"))
    text = json.loads(live["metadata"]["annotations"][LAST_APPLIED])
    text["spec"]["template"]["spec"]["containers"][0]["env"].reverse()
    live["metadata"]["annotations"][LAST_APPLIED] = json.dumps(text)
    assert paths(target, target, live) == [ENV]
    target = deployment(args=["--url", "@@DB@@"])
    found = paths(target, target, applied(deployment(args=["--url", "db.prod"])))
    assert found == [(*ENV[:5], "args", 1)]


def test_where_what_runs_is_not_known_every_other_text_is_named() -> None:
    (said,) = in_between.unsure([(deployment("a"), applied(deployment("b")))])
    assert "Deployment/web spec.template.spec.containers[0].env[0].value" in said
    assert in_between.unsure([(deployment("a", image="x:1"), applied(deployment("a", image="x:2")))]) == ()
