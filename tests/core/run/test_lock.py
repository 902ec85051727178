"""The Lease in words and times: who holds it, whether a process shows life, what a person is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim, Held

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINE = Claim(holder="run-1", by="ana", origin="ci/7", environment="prod", since="2026-03-01T11:50:00+00:00", nonce="n")


def held(claim: Claim = MINE, renewed: datetime = NOON) -> Held:
    return lock.read(lock.lease("shop", claim, renewed))


@pytest.mark.parametrize(
    "at",
    [
        NOON,
        NOON.astimezone(timezone(timedelta(hours=2))),
        datetime(1970, 1, 1, tzinfo=UTC),
        NOON.replace(microsecond=1),
    ],
    ids=["whole second", "another zone", "1970", "one microsecond"],
)
def test_times_have_exactly_six_digits_and_z(at: datetime) -> None:
    text = lock.micro_time(at)
    assert len(text) == len("2026-03-01T12:00:00.000000Z")
    assert text.endswith("Z")
    assert datetime.fromisoformat(text.replace("Z", "+00:00")) == at


def test_what_was_claimed_is_read_again() -> None:
    found = held()
    assert found.claim == MINE
    assert found.lease["spec"]["holderIdentity"] == "run-1"
    assert found.is_of("run", "run-1")
    assert not found.is_of("deploy", "run-1")


def test_labels_and_annotations_of_others_stay_on_the_lease() -> None:
    there = held().lease
    there["metadata"]["annotations"]["team"] = "shop"
    there["metadata"]["labels"]["keep"] = "me"
    again = lock.lease("shop", MINE, NOON, there)
    assert again["metadata"]["annotations"]["team"] == "shop"
    assert again["metadata"]["labels"] == {"rollback-lib/application": "shop", "keep": "me"}


@pytest.mark.parametrize(
    ("spec", "annotations"),
    [
        ({}, None),
        ({"holderIdentity": "helm", "renewTime": None}, {}),
        ({"renewTime": "yesterday"}, {"rollback-lib/claim": "{"}),
        ({"renewTime": "2099-01-01T00:00:00.000000Z"}, {"rollback-lib/claim": "[]"}),
    ],
)
def test_a_foreign_lease_is_held_by_somebody_of_unknown_age(spec: Any, annotations: Any) -> None:
    found = lock.read({"metadata": {"name": "rollback-shop", "annotations": annotations}, "spec": spec})
    assert found.claim is None
    assert "age unknown" in lock.who(found, NOON)
    assert "unlock --force" in lock.locked("shop", found, NOON)
    assert found.watch_for(NOON) == lock.DEAD_AFTER


@pytest.mark.parametrize(
    ("renewed", "seconds"),
    [
        (NOON, 60.0),
        (NOON - timedelta(seconds=50), 15.0),
        (NOON - timedelta(hours=1), 15.0),
        (NOON + timedelta(minutes=5), 60.0),  # the other clock goes before ours
    ],
)
def test_a_process_is_watched_before_it_counts_as_dead(renewed: datetime, seconds: float) -> None:
    assert held(renewed=renewed).watch_for(NOON) == seconds


def test_a_claim_without_a_process_is_not_watched() -> None:
    assert held(Claim(holder="run-1")).watch_for(NOON) == 0


def test_a_deploy_s_hold_is_over_at_its_time_and_a_run_s_never() -> None:
    until = (NOON + timedelta(minutes=10)).isoformat()
    deploy = held(Claim(holder="v2", kind="deploy", until=until))
    assert not deploy.is_over(NOON)
    assert deploy.is_over(NOON + timedelta(minutes=10))
    assert not held().is_over(NOON + timedelta(days=9))


def test_a_person_is_told_who_since_when_and_how_to_go_on() -> None:
    said = lock.locked("shop", held(), NOON + timedelta(seconds=20))
    assert "run run-1 by ana from ci/7, since 2026-03-01 11:50 UTC (10 min), last sign of life 20 s ago" in said
    assert "rollback resume run-1" in said
    assert "--take-over" in said
    deploy = lock.locked("shop", held(Claim(holder="v2", kind="deploy", until="2026-03-01T12:30:00+00:00")), NOON)
    assert "until 12:30 UTC" in deploy
    assert "`rollback guard --release v2 --done` frees it" in deploy
