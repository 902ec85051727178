"""The change of one object, as lines for people."""

import copy
from typing import Any

from rollback_lib.core.plan import differences
from rollback_lib.core.plan.differences import leftovers

CONFIG = {"kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"limit": "10"}}


def test_what_is_made_shows_what_it_holds_and_not_what_stands_above_it() -> None:
    assert differences.lines(None, CONFIG) == ('+ data: {"limit":"10"}',)


def test_what_changes_is_shown_value_by_value() -> None:
    after = {**CONFIG, "data": {"limit": "20", "more": "yes"}}
    assert differences.lines(CONFIG, after) == ("~ data.limit: 10 → 20", "+ data.more: yes")
    assert differences.lines(after, CONFIG) == ("~ data.limit: 20 → 10", "- data.more: yes")


def test_more_than_a_person_reads_is_counted() -> None:
    after = {**CONFIG, "data": {str(n): "x" for n in range(50)} | {"limit": "10"}}
    *shown, last = differences.lines(CONFIG, after)
    assert (len(shown), last) == (40, "… and 10 more")


def deployment(template: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}}


BARE: dict[str, Any] = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "x"}]}}
ADDED: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now", "team": "a"}},
    "spec": {
        "containers": [{"name": "web", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}  # fmt: skip


def test_what_goes_as_a_whole_is_told_thing_by_thing_and_by_name() -> None:
    found = [x.what for x in leftovers(deployment(ADDED), deployment(BARE), deployment(BARE))]
    assert found == [
        "pod annotation kubectl.kubernetes.io/restartedAt", "pod annotation team", "variable A of container web",
        "variable B of container web", "volume mount tmp of container web", "volume tmp",
    ]  # fmt: skip


def test_of_a_list_that_goes_as_a_whole_only_what_an_apply_would_leave_is_told() -> None:
    base = copy.deepcopy(BARE)
    base["spec"]["containers"][0]["env"] = [{"name": "B", "value": "2"}]
    base["metadata"]["annotations"] = {"team": "a"}
    found = [x.part for x in leftovers(deployment(ADDED), deployment(BARE), deployment(base))]
    assert found == [
        "pod annotation kubectl.kubernetes.io/restartedAt", "variable A", "volume mount tmp", "volume tmp"
    ]  # fmt: skip
