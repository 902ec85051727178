"""The hand that writes, with a kubectl of a few lines: what it deletes, what it gets, and what an abort leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.adapters.kubectl import Kubectl
from rollback_lib.adapters.run_directory import RunDirectory
from rollback_lib.core.errors import (
    InterruptedRunError,
    RefusedError,
    RollbackError,
    StaleError,
    UnreachableError,
)
from rollback_lib.core.kube import field_owners
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object, fingerprint
from rollback_lib.core.run.changes import DeleteObject, PatchObject, not_given_back

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a script of a POSIX shell")


def config_map(level: str, uid: str = "first") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cart", "uid": uid}, "data": {"LEVEL": level}}


class Eyes:
    """The cluster that is read back."""

    def __init__(self, now: Object | None) -> None:
        self.now = now
        self.deleted: list[str] = []

    def get(self, ref: ObjectRef) -> Object | None:
        return self.now

    def delete(self, ref: ObjectRef, uid: str, *, policy: str = "Background") -> None:
        self.deleted.append(uid)


def kubectl(folder: Path, eyes: Eyes, script: str = "exit 1", **more: Any) -> Kubectl:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o700)
    environ: Mapping[str, str] = {"PATH": os.environ["PATH"], **more.pop("environ", {})}
    return Kubectl(str(program), lambda: ("--context=ctx",), "shop", environ, eyes, lambda seconds: None, **more)


def deletion(before: str = "", uid: str = "first") -> DeleteObject:
    return DeleteObject(key="delete/configmap/cart", kind="ConfigMap", name="cart", api_version="v1", before=before,
                        after="", uid=uid)  # fmt: skip


def patch(before: Object, after: Object) -> PatchObject:
    operations = (Operation("replace", "/data", after["data"]),)
    return PatchObject(key="apply/configmap/cart", kind="ConfigMap", name="cart", api_version="v1",
                       before=fingerprint(before), after=fingerprint(after), operations=operations)  # fmt: skip


def test_only_the_very_object_that_was_planned_is_deleted(tmp_path: Path) -> None:
    eyes = Eyes(config_map("v2", uid="second"))
    kubectl(tmp_path, eyes).act(deletion(), RunDirectory(tmp_path / "run"))
    assert eyes.deleted == [], "another object has its name by now"
    eyes.now = config_map("v2")
    kubectl(tmp_path, eyes).act(deletion(), RunDirectory(tmp_path / "run"))
    assert eyes.deleted == ["first"]


def test_what_changed_since_the_plan_is_not_deleted(tmp_path: Path) -> None:
    eyes = Eyes(config_map("by hand"))
    with pytest.raises(StaleError, match="it is not deleted"):
        kubectl(tmp_path, eyes).act(deletion(before=fingerprint(config_map("v2"))), RunDirectory(tmp_path / "run"))
    assert eyes.deleted == []


def test_a_kubectl_that_a_signal_ends_stops_the_run(tmp_path: Path) -> None:
    told: list[str] = []
    before = config_map("v2")
    hand = kubectl(tmp_path, Eyes(before), "kill -TERM $$", killed=told.append)
    with pytest.raises(InterruptedRunError, match="was not changed: kubectl was ended by signal 15"):
        hand.act(patch(before, config_map("v1")), RunDirectory(tmp_path / "run"))
    assert told == ["kubectl was ended by signal 15"], "before anything else can begin"


class LateEyes(Eyes):
    """The write of a kubectl that is gone arrives after so many looks (J11)."""

    def __init__(self, before: Object, after: Object, looks: int) -> None:
        super().__init__(before)
        self.after, self.left = after, looks

    def get(self, ref: ObjectRef) -> Object | None:
        self.left -= 1
        return self.after if self.left < 0 else self.now


@pytest.mark.parametrize("script", ["kill -TERM $$", "kill -KILL $$"])
@pytest.mark.parametrize("looks", [1, 6, 15])
def test_j11_a_write_that_arrives_after_its_kubectl_was_killed_is_done(tmp_path: Path, script: str, looks: int) -> None:
    before, after = config_map("v2"), config_map("v1")
    told: list[str] = []
    hand = kubectl(tmp_path, LateEyes(before, after, looks), script, killed=told.append)
    found: object
    try:
        found = hand.act(patch(before, after), RunDirectory(tmp_path / "run"))
    except RollbackError as error:
        found = error
    assert found == after
    assert told, "and nothing else begins"


def test_j11_what_arrives_late_and_is_another_s_is_stale(tmp_path: Path) -> None:
    eyes = LateEyes(config_map("v2"), config_map("by hand"), 4)
    with pytest.raises(StaleError, match="changed by someone else"):
        kubectl(tmp_path, eyes, "kill -TERM $$").act(
            patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run")
        )


def test_j11_where_it_cannot_be_looked_at_again_it_is_not_known(tmp_path: Path) -> None:
    class Blind(LateEyes):
        def get(self, ref: ObjectRef) -> Object | None:
            if self.left <= 0:
                raise UnreachableError("the cluster does not answer")
            return super().get(ref)

    with pytest.raises(UnreachableError, match="whether it was changed is not known"):
        kubectl(tmp_path, Blind(config_map("v2"), config_map("v1"), 3), "kill -TERM $$").act(
            patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run")
        )


def test_j11_a_kubectl_that_does_not_answer_in_time_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollback_lib.adapters.kubectl.WRITE_LIMIT", 0.2)
    before, after = config_map("v2"), config_map("v1")
    hand = kubectl(tmp_path, LateEyes(before, after, 5), "exec sleep 5")
    assert hand.act(patch(before, after), RunDirectory(tmp_path / "run")) == after


def test_j11_what_kubectl_said_no_to_is_looked_at_once(tmp_path: Path) -> None:
    eyes = LateEyes(config_map("v2"), config_map("v1"), 5)
    with pytest.raises(RefusedError, match="was not changed"):
        kubectl(tmp_path, eyes, "echo 'Error from server (Forbidden): no' >&2; exit 1").act(
            patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run")
        )
    assert eyes.left == 4


@pytest.mark.parametrize("script", ["kill -KILL $$", "echo broken >&2; exit 1", "echo no JSON"])
def test_a_write_without_an_answer_is_read_back_and_counts_where_it_arrived(tmp_path: Path, script: str) -> None:
    after = config_map("v1")
    found: object
    try:
        found = kubectl(tmp_path, Eyes(after), script).act(patch(config_map("v2"), after), RunDirectory(tmp_path / "r"))
    except RollbackError as error:
        found = error
    assert found == after


def test_a_write_without_an_answer_that_left_the_object_as_it_was_is_a_refusal(tmp_path: Path) -> None:
    before = config_map("v2")
    with pytest.raises(RefusedError, match="was not changed: broken"):
        kubectl(tmp_path, Eyes(before), "echo broken >&2; exit 1").act(
            patch(before, config_map("v1")), RunDirectory(tmp_path / "run")
        )


def test_a_write_that_met_somebody_else_s_is_stale(tmp_path: Path) -> None:
    with pytest.raises(StaleError, match="changed by someone else"):
        kubectl(tmp_path, Eyes(config_map("by hand"))).act(
            patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run")
        )


def test_kubectl_gets_what_it_needs_and_nothing_of_the_job(tmp_path: Path) -> None:
    of_the_job = {"JENKINS_URL": "x", "BUILD_URL": "x", "ROLLBACK_REGISTRY_PASSWORD": "x", "DB_PASSWORD": "x"}
    needed = {"HOME": str(tmp_path), "KUBECONFIG": "k", "https_proxy": "p", "AWS_PROFILE": "a", "GOOGLE_CLOUD": "g"}
    answer = json.dumps(config_map("v1"))
    script = f"env > {tmp_path / 'got'}\ncat <<'END'\n{answer}\nEND"
    hand = kubectl(tmp_path, Eyes(None), script, environ={**of_the_job, **needed})
    hand.act(patch(config_map("v2"), config_map("v1")), RunDirectory(tmp_path / "run"))
    got = {line.partition("=")[0] for line in (tmp_path / "got").read_text().splitlines()}
    assert got >= needed.keys()
    assert got & of_the_job.keys() == set()


TEAM = {"manager": "team", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:LEVEL": {}}}}
OURS = {**TEAM, "manager": "kubectl-client-side-apply", "operation": "Update"}


def owned(level: str, *entries: Object) -> Object:
    found = config_map(level)
    return {**found, "metadata": {**found["metadata"], "resourceVersion": "7", "managedFields": list(entries)}}


def of_the_team(tmp_path: Path, answers: str, now: Object) -> tuple[Object | None, list[str]]:
    """What a patch of the team's object gives, and what kubectl was called with."""
    change = msgspec.structs.replace(
        patch(owned("v2", TEAM), config_map("v1")), appliers=field_owners.appliers(owned("v2", TEAM))
    )
    calls = tmp_path / "calls"
    script = f'echo "$*" >>{calls}\ncount=$(wc -l <{calls})\n{answers}'
    found = kubectl(tmp_path, Eyes(now), script).act(change, RunDirectory(tmp_path / "run"))
    return found, calls.read_text().splitlines()


def test_what_was_written_is_given_back_to_who_applies_server_side(tmp_path: Path) -> None:
    ours, theirs = owned("v1", OURS), owned("v1", TEAM)
    answers = f"if [ $count = 1 ]; then echo '{json.dumps(ours)}'; else echo '{json.dumps(theirs)}'; fi"
    found, calls = of_the_team(tmp_path, answers, ours)
    assert (found, len(calls)) == (theirs, 2)
    assert all("--show-managed-fields" in call for call in calls)


def test_fields_that_cannot_be_given_back_fail_nothing_and_are_seen(tmp_path: Path) -> None:
    ours = owned("v1", OURS)
    answers = (
        f"if [ $count = 1 ]; then echo '{json.dumps(ours)}'; else echo 'Error from server (Forbidden)' >&2; exit 1; fi"
    )
    found, calls = of_the_team(tmp_path, answers, ours)
    assert found == ours
    assert 2 < len(calls) < 10, "it is tried again, and not for ever"
    change = msgspec.structs.replace(patch(owned("v2", TEAM), ours), appliers=field_owners.appliers(owned("v2", TEAM)))
    assert "ConfigMap/cart is applied server-side by team" in not_given_back(change, found)
    assert not_given_back(change, owned("v1", TEAM)) == ""


def test_where_nobody_applies_server_side_there_is_one_call(tmp_path: Path) -> None:
    script = f"echo \"$*\" >>{tmp_path / 'calls'}\necho '{json.dumps(owned('v1', OURS))}'"
    kubectl(tmp_path, Eyes(None), script).act(patch(owned("v2"), config_map("v1")), RunDirectory(tmp_path / "run"))
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--show-managed-fields" not in call
