"""A run whose requests are disturbed: it ends as an undisturbed one, or stops with the truth, and then
a new run ends it, or the same one entered again where it had begun to write.

`make test` disturbs each class of requests once, the kinds of faults taking turns: each write in a run of its own,
what only asks in one run for each stage. `make test-all` has every kind for every class, once and for good, alone.
`make test-faults` draws of these a sample that has every class, and every two of stage, client, verb, resource, dry
run, kind and once or for good that occur together.
"""

import os
import re
import signal
from collections.abc import Hashable, Iterator
from itertools import groupby, product
from typing import Any, NamedTuple

import pytest

from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.adapters.kubernetes_http import KubernetesHttp
from tests.cli.desk import WORKER, Desk
from tests.command_line import Ended
from tests.faults import KINDS, WITHOUT_END, Class
from tests.pairs import pairs, sample

RUN = ("run", "--to", "v1.1.0", "--yes", "--accept", WORKER, "--output", "json")


class RequestClass(NamedTuple):
    """A class of requests, as a run asks them."""

    client: str
    verb: str
    resource: str
    dry_run: bool
    stage: str

    def __str__(self) -> str:
        dry = "-dry" if self.dry_run else ""
        return f"{self.stage}-{self.client}-{self.verb}{dry}-{self.resource or 'server'}"


def _ours(stage: str, verb: str, resources: str, *, dry_run: bool = False) -> Iterator[RequestClass]:
    yield from (RequestClass("rollback_lib", verb, resource, dry_run, stage) for resource in resources.split())


CLASSES = (
    *_ours("resolve", "list", "configmaps controllerrevisions cronjobs daemonsets deployments pods replicasets"),
    *_ours("resolve", "list", "statefulsets"),
    *_ours("images", "list", "nodes"),
    *_ours("preflight", "get", "namespaces"),
    *_ours("preflight", "create", "selfsubjectrulesreviews"),
    *_ours("preflight", "list", "configmaps cronjobs daemonsets deployments horizontalpodautoscalers pods replicasets"),
    *_ours("preflight", "list", "ingresses services statefulsets"),
    *_ours("preflight", "create", "configmaps", dry_run=True),
    *_ours("preflight", "patch", "configmaps deployments", dry_run=True),
    *_ours("isolate", "list", "configmaps"),  # whether another run came after the plan
    *_ours("isolate", "create", "configmaps leases"),  # the copy of the run, and the lock
    *_ours("apply", "get", "namespaces configmaps deployments"),
    *_ours("apply", "list", "configmaps deployments nodes pods replicasets services"),
    *_ours("apply", "create", "configmaps"),  # our own records
    *_ours("apply", "delete", "configmaps deployments"),
    *(
        RequestClass("kubectl", verb, resource, False, "apply")
        for verb, resource in (
            ("get", "configmaps"), ("get", "deployments"), ("create", "configmaps"),
            ("patch", "configmaps"), ("patch", "deployments"),
        )
    ),
    *_ours("apply", "update", "configmaps"),
    *_ours("verify", "list", "configmaps deployments nodes pods replicasets services"),
    *_ours("reopen", "delete", "configmaps leases"),
)  # fmt: skip
FAULTS = os.environ.get("ROLLBACK_TEST_FAULTS", "")  # all, pairs; else few


class Disturbed(NamedTuple):
    """A class of requests, and how it is disturbed."""

    asked: RequestClass
    kind: str
    times: int | None


TABLE = tuple(Disturbed(asked, kind, times) for asked, kind, times in product(CLASSES, KINDS, (1, None)))


def covered(each: Disturbed) -> frozenset[Hashable]:
    """What a row of the table stands for in a sample."""
    return pairs(*each.asked, each.kind, each.times) | {each.asked}


def cases() -> Iterator[Any]:
    """What is disturbed in one run."""
    if FAULTS in ("all", "pairs"):
        for each in TABLE if FAULTS == "all" else sample(TABLE, int(os.environ["ROLLBACK_TEST_SEED"]), covered):
            yield pytest.param([each], id=f"{each.asked}-{each.kind}-{'once' if each.times else 'for-good'}")
        return
    for number, asked in list(enumerate(CLASSES))[::6]:  # each of these costs a limit's time
        kind = tuple(WITHOUT_END)[number // 6 % 2]
        yield pytest.param([Disturbed(asked, kind, 1)], id=f"{asked}-{kind}-once", marks=pytest.mark.long)
    kinds = [k for k in KINDS if k not in WITHOUT_END]
    once = [Disturbed(asked, kinds[number % len(kinds)], 1) for number, asked in enumerate(CLASSES)]
    for each in once:
        if not _only_asks(each.asked):
            yield pytest.param([each], id=f"{each.asked}-{each.kind}-once")
    for stage, asking in groupby((each for each in once if _only_asks(each.asked)), key=lambda each: each.asked.stage):
        yield pytest.param(list(asking), id=f"{stage}-asks-once")


def _only_asks(asked: RequestClass) -> bool:
    return asked.verb in ("get", "list") or asked.dry_run or asked.resource == "selfsubjectrulesreviews"


@pytest.fixture(scope="session")
def undisturbed(_desk: Desk) -> dict[str, Any]:
    """What a run without a fault leads to, and what it asked."""
    _desk.put_back()
    ended = _desk.rollback(*RUN)
    assert ended.code == 0, ended
    # what looks for evidence goes on beside, at times of its own; see test_detect.py for when it is disturbed
    asked = {_asked(c) for c in _desk.playground.cluster.faults.classes if c.client != "rollback_lib-evidence"}
    return {"objects": _desk.objects(), "rollouts": _desk.rollouts(), "asked": asked, "changed": ended.json["changed"]}


def _asked(request: Class) -> RequestClass:
    return RequestClass(request.client, request.verb, request.resource, request.dry_run, request.stage)


@pytest.mark.inventory
def test_the_classes_are_what_a_run_asks(undisturbed: dict[str, Any]) -> None:
    # kubectl asks which resources there are only where its cache is cold, and the lock is looked at by the clock
    by_the_clock = {("get", "leases"), ("update", "leases")}
    assert {a for a in undisturbed["asked"] if a.resource and (a.verb, a.resource) not in by_the_clock} == set(CLASSES)


@pytest.mark.parametrize("disturbed", list(cases()))
def test_a_disturbed_run(
    desk: Desk, undisturbed: dict[str, Any], disturbed: list[Disturbed], monkeypatch: pytest.MonkeyPatch
) -> None:
    if any(each.kind in WITHOUT_END for each in disturbed):  # soon at the end of our patience
        monkeypatch.setitem(KubernetesCluster.__init__.__kwdefaults__, "timeout", 1.0)
        monkeypatch.setitem(KubernetesHttp.ask.__kwdefaults__, "largest", 4 << 20)
    add, before = desk.playground.cluster.faults.add, desk.objects()
    faults = [
        add(lambda request, asked=each.asked: _asked(request) == asked, each.kind, times=each.times, seconds=0.02)
        for each in disturbed
    ]
    ended = desk.rollback(*RUN)
    assert any(fault.struck for fault in faults), "no fault was ever met"
    if len(faults) == 1:
        desk.playground.cluster.faults.clear()
    for _ in disturbed:  # what stops a run keeps it from the requests after it
        if ended.code == 0:
            break
        stopped_with_the_truth(desk, ended, before)
        goes_on = () if ended.code == 3 else ("--run-dir", ended.json["run_dir"])
        ended = desk.rollback(*RUN, *goes_on)
    assert ended.code == 0, ended
    assert all(fault.struck for fault in faults), "a fault was never met"
    assert desk.objects() == {**undisturbed["objects"], **created_anew(desk)}
    assert desk.rollouts() == undisturbed["rollouts"]


@pytest.mark.long
@pytest.mark.parametrize("asked", CLASSES if FAULTS in ("all", "pairs") else CLASSES[::12], ids=str)
def test_a_run_whose_terminal_goes(desk: Desk, undisturbed: dict[str, Any], asked: RequestClass) -> None:
    """SIGHUP at each class of requests: it ends as by SIGTERM, and is finished by the same run entered again."""
    sent: list[Class] = []

    def gone(request: Class) -> bool:
        if _asked(request) == asked and not sent:
            sent.append(request)
            os.kill(os.getpid(), signal.SIGHUP)
        return False

    desk.playground.cluster.faults.add(gone, "delay")
    before, handler = desk.objects(), signal.signal(signal.SIGHUP, lambda number, frame: None)
    try:
        ended = desk.rollback(*RUN)
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert sent, "never asked"
    desk.playground.cluster.faults.clear()
    if ended.code != 0:  # it had no write before it any more
        assert "SIGHUP" in ended.json["error"]
        stopped_with_the_truth(desk, ended, before, unchanged=130)
        goes_on = () if ended.code == 130 else ("--run-dir", ended.json["run_dir"])
        ended = desk.rollback(*RUN, *goes_on)
    assert ended.code == 0, ended
    assert desk.objects() == {**undisturbed["objects"], **created_anew(desk)}
    assert desk.rollouts() == undisturbed["rollouts"]


def created_anew(desk: Desk) -> dict[str, Any]:
    """What a run creates has another uid in each."""
    return {key: value for key, value in desk.objects().items() if key == "ConfigMap/user-removed"}


def stopped_with_the_truth(desk: Desk, ended: Ended, before: dict[str, Any], *, unchanged: int = 3) -> None:
    """The code, and the words for what was changed, are what the cluster shows."""
    now, said = desk.objects(), ended.json
    really = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    changed, unclear = ({text.split(" ")[0] for text in said[part]} for part in ("changed", "unclear"))
    assert changed <= really <= changed | unclear, (really, said)
    assert ended.code == (4 if changed or unclear else unchanged), ended
    assert said["error"]
    assert not re.search(r"Traceback|\bNone\b", said["error"] + said["message"])
    assert ("Nothing was changed" in said["message"]) == (ended.code == unchanged), said["message"]
