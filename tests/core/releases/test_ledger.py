"""The ledger's records: legal names, a checksum that is checked, and what stays when there are too many."""

from __future__ import annotations

import copy
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.releases import ledger
from rollback_lib.core.releases.ledger import Entry, LastRun, Ledger, Quarantine, RecordedWorkload

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def entry(release: str = "v1", digest: str = A, **more: object) -> Entry:
    container = RecordedContainer(name="cart", image="team/cart:prod", digest=digest, digests=(digest,))
    workload = RecordedWorkload(service="cart", kind="Deployment", name="cart", containers=(container,))
    made = Entry(
        application="shop", environment="prod", release=release, commit=f"commit-{release}",
        recorded_at="2026-03-01T10:00:00.000+00:00", workloads=(workload,), verified=True,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def mark(release: str = "v2", *digests: str, **more: object) -> Quarantine:
    made = Quarantine(
        application="shop", environment="prod", release=release, commit=f"commit-{release}", digests=digests, at="t"
    )
    return msgspec.structs.replace(made, **more)


LAST = LastRun(application="shop", environment="prod", run="r", release="v1", commit="c", at="t")


@pytest.mark.parametrize("kept", [entry(pinned=True), mark("v2", A), mark("", B, run="r1"), LAST])
def test_a_record_reads_as_it_was_written(kept: ledger.AnyKept) -> None:
    assert ledger.decode(ledger.encode(kept)) == kept


@pytest.mark.parametrize("release", ["release/1.4.0", "v1.4.0+a3aefa3", "v1.4.0-año", "v" + "1" * 199, "выпуск-7"])
def test_c22_a_record_has_a_legal_name_and_labels_whatever_the_release_is_called(release: str) -> None:
    for kept in (entry(release), mark(release)):
        found = ledger.encode(kept)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found["metadata"]["name"])
        assert len(found["metadata"]["name"]) <= 253
        assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", v) for v in found["metadata"]["labels"].values())
        assert ledger.decode(found) == kept


def test_the_longest_application_and_environment_still_make_a_legal_name() -> None:
    name = ledger.name(entry(application="a" * 40, environment="e" * 40))
    assert len(name) <= 253
    assert name.startswith("rollback-ledger-" + "a" * 40 + "-" + "e" * 40 + "-")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: f["data"].update(record=f["data"]["record"].replace(A, B)), "edited or cut short"),
        (lambda f: f["data"].update(record=f["data"]["record"][:-20]), "edited or cut short"),
        (lambda f: f["data"].pop("sha256"), "edited or cut short"),
        (lambda f: f["data"].pop("record"), "holds no record"),
        (lambda f: f.pop("data"), "holds no record"),
        (lambda f: f["metadata"].update(name="rollback-ledger-shop-prod-0000000000"), "is a copy"),
    ],
)
def test_what_was_edited_truncated_or_copied_is_named_and_passed_over(break_it, said: str) -> None:  # type: ignore[no-untyped-def]
    broken = ledger.encode(entry("v1"))
    break_it(broken)
    found = ledger.read([broken, ledger.encode(entry("v2"))], "shop", "prod")
    assert [e.release for e in found.entries] == ["v2"]
    assert len(found.problems) == 1
    assert said in found.problems[0]
    assert broken["metadata"]["name"] in found.problems[0]


def _signed(text: str) -> dict[str, object]:
    import hashlib

    found = ledger.encode(entry())
    found["data"] = {"record": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return found


@pytest.mark.parametrize(
    ("text", "said"), [('{"version": 2}', "newer rollback"), ("[]", "does not read"), ("nonsense", "does not read")]
)
def test_a_record_of_another_shape_is_passed_over_although_its_checksum_is_right(text: str, said: str) -> None:
    assert said in str(ledger.decode(_signed(text)))


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=400))
def test_no_change_of_a_byte_is_ever_trusted(noise: bytes, at: int) -> None:
    found = ledger.encode(entry())
    text = found["data"]["record"]
    changed = text[:at] + noise.decode("latin-1") + text[at + len(noise) :]
    found["data"]["record"] = changed
    assert (ledger.decode(found) == entry()) == (changed == text)


def test_records_of_another_environment_are_not_mixed_in() -> None:
    other = ledger.encode(entry("v9", environment="dev"))
    assert ledger.read([other], "shop", "prod").entries == ()


def test_entries_are_newest_first_by_the_time_they_were_recorded_not_by_name() -> None:
    old = entry("v9", recorded_at="2026-03-01T09:00:00.000+00:00")
    new = entry("v1", recorded_at="2026-03-01T11:00:00.000+00:00")
    found = ledger.read([ledger.encode(old), ledger.encode(new)], "shop", "prod")
    assert [e.release for e in found.entries] == ["v1", "v9"]


def test_the_oldest_unpinned_go_and_never_what_was_just_written() -> None:
    made = [entry(f"v{n}", recorded_at=f"2026-03-01T10:00:0{n}.000+00:00", pinned=n == 1) for n in range(5)]
    found = ledger.read([ledger.encode(e) for e in made], "shop", "prod")
    assert ledger.surplus(found, 5) == ()
    assert ledger.surplus(found, 3) == (ledger.name(made[0]), ledger.name(made[2]))
    assert ledger.surplus(found, 3, ("v0",)) == (ledger.name(made[2]), ledger.name(made[3]))


def test_if_all_are_pinned_none_goes() -> None:
    found = Ledger(entries=tuple(entry(f"v{n}", pinned=True) for n in range(5)))
    assert ledger.surplus(found, 2) == ()


def test_a_quarantine_holds_the_release_and_its_commit_under_any_name() -> None:
    found = Ledger(quarantines=(mark("v2"),))
    assert found.quarantine("v2")
    assert found.quarantine("v2-again", "commit-v2")
    assert found.quarantine("v3", "commit-v3") is None
    assert found.quarantine("", "") is None


def test_a_digest_that_a_good_release_has_too_is_never_blocked() -> None:
    marks = (mark("v2", A, B),)
    assert Ledger(quarantines=marks).blocked([C, A]) == (A, marks[0])
    found = Ledger(entries=(entry("v3", digest=A),), quarantines=marks)
    assert found.blocked([A]) is None
    assert found.blocked([B]) == (B, marks[0])


def test_a_quarantined_release_frees_none_of_its_own_digests() -> None:
    marks = (mark("v2", A),)
    assert Ledger(entries=(entry("v2", digest=A),), quarantines=marks).blocked([A]) == (A, marks[0])


def test_the_record_is_text_that_a_person_can_read() -> None:
    found = copy.deepcopy(ledger.encode(entry()))
    assert json.loads(found["data"]["record"])["release"] == "v1"
