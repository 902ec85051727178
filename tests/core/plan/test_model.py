"""A plan's hash: the decisions, all of them and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.plan.model import Orphan, Plan, PlannedContainer, PlannedObject, PlannedService, freeze
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases.tags import ReleaseRef

OBJECT = PlannedObject(kind="Deployment", name="a", change="update", before="1", after="2")
CONTAINER = PlannedContainer(name="a", workload="Deployment/a", from_="x:prod", to="x@sha256:1")
PLAN = Plan(
    run="r1", application="shop", environment="prod", namespace="ns",
    cluster=ClusterIdentity(context="c", server="s", namespace="ns", namespace_uid="u"),
    current=ReleaseRef(release="v2"), target=ReleaseRef(release="v1", commit="abc"),
    services=(PlannedService(name="a", wave=1, objects=(OBJECT,), containers=(CONTAINER,)),),
)  # fmt: skip
REFUSED = Refusal("no", code="skip:Service/a", reason=Reason.LEAVING, subject="Service/a", facts=("1",))


def changed(**values: Any) -> str:
    return freeze(msgspec.structs.replace(PLAN, **values)).hash


@pytest.mark.parametrize(
    "values",
    [{"run": "r2"}, {"warnings": ("w",)}, {"made_at": "now"}, {"healthy_pods": 3}, {"hash": "x"}],
    ids=lambda v: next(iter(v)),
)
def test_who_runs_it_and_when_does_not_change_the_hash(values: dict[str, Any]) -> None:
    assert changed(**values) == freeze(PLAN).hash


@pytest.mark.parametrize(
    "values",
    [
        {"target": ReleaseRef(release="v1", commit="abd")},
        {"environment": "dev"},
        {"cluster": ClusterIdentity(context="c", server="s", namespace="ns", namespace_uid="u2")},
        {"accepted": ("registry-unknown",)},
        {"orphans": (Orphan(kind="Service", name="b", change="delete"),)},
        {"refusals": (REFUSED,)},
        {"services": (PlannedService(name="a", wave=2, objects=(OBJECT,), containers=(CONTAINER,)),)},
        {"services": (PlannedService(name="a", wave=1, objects=(OBJECT,), containers=()),)},
        {
            "services": (
                PlannedService(
                    name="a", wave=1, objects=(msgspec.structs.replace(OBJECT, before="9"),), containers=(CONTAINER,)
                ),
            )
        },
    ],
)
def test_every_decision_changes_the_hash(values: dict[str, Any]) -> None:
    assert changed(**values) != freeze(PLAN).hash


@pytest.mark.parametrize(
    "values", [{"text": "nein"}, {"fix": "mend it"}, {"tried": "this"}], ids=lambda v: next(iter(v))
)
def test_no_word_of_a_refusal_changes_the_hash(values: dict[str, str]) -> None:
    assert changed(refusals=(msgspec.structs.replace(REFUSED, **values),)) == changed(refusals=(REFUSED,))


@pytest.mark.parametrize(
    "values",
    [{"reason": Reason.OWNED}, {"subject": "Service/b"}, {"facts": ("2",)}, {"code": ""}],
    ids=lambda v: next(iter(v)),
)
def test_what_a_refusal_is_of_and_why_changes_the_hash(values: dict[str, Any]) -> None:
    assert changed(refusals=(msgspec.structs.replace(REFUSED, **values),)) != changed(refusals=(REFUSED,))


def test_a_stored_plan_of_before_keeps_its_hash_although_its_refusals_have_words_only() -> None:
    stored = msgspec.to_builtins(msgspec.structs.replace(PLAN, hash="of before"))
    stored["refusals"] = [{"text": "no", "code": "skip:Service/a", "fix": "", "tried": ""}]
    read = msgspec.convert(stored, Plan)
    assert (read.hash, read.refusals) == ("of before", (Refusal("no", code="skip:Service/a"),))


def test_a_stored_refusal_reads_as_the_decision_that_it_was() -> None:
    frozen = freeze(msgspec.structs.replace(PLAN, refusals=(REFUSED,)))
    read = msgspec.json.decode(msgspec.json.encode(frozen), type=Plan)
    assert read == frozen
    assert freeze(read).hash == frozen.hash
    assert {"reason", "subject", "facts"} <= set(msgspec.to_builtins(frozen)["refusals"][0])


def test_the_file_has_the_names_that_others_rely_on() -> None:
    data = msgspec.to_builtins(freeze(PLAN))
    assert {"application", "environment", "namespace", "current", "target", "services", "leftovers", "orphans"} <= set(
        data
    )
    assert {"accepted", "isolation", "hash", "run", "warnings"} <= set(data)
    assert {"name", "from", "to", "digest", "rung"} <= set(data["services"][0]["containers"][0])
    assert {"kind", "name", "change"} <= set(data["services"][0]["objects"][0])
