"""Whether the files explain what runs: shops that deploy in different ways, as the cluster shows them afterwards."""

from __future__ import annotations

import pytest

from rollback_lib.core.images.confirmation import Confirmation, Past, Revision, of_manifests, of_tags, same_name

X = "team/x"
OLD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DAY = "2026-11-{:02}T09:00:00Z"
SECONDS_LATER = "2026-11-{:02}T09:00:02Z"
CONFIRMED, SAME, UNTOLD, CONTRADICTED = Confirmation


def days(*images: str) -> tuple[Revision, ...]:
    """A revision a day."""
    return tuple(Revision(image, DAY.format(n)) for n, image in enumerate(images, 1))


def constant(image: str) -> dict[str, str]:
    return dict.fromkeys(("v1.0.0", "v1.1.0", "v1.2.0"), image)


EVERYDAY = {r: f"{X}:{r}" for r in ("v1.0.0", "v1.1.0", "v1.2.0")}
BEHIND = {"2.0.0": f"{X}:1.9.0", "2.1.0": f"{X}:2.0.0", "2.2.0": f"{X}:2.1.0"}


def manifests(past: Past, named: dict[str, str], target: str = "v1.1.0", other: str = "v1.2.0") -> Confirmation:
    return of_manifests(past, named, target, other)


@pytest.mark.parametrize("live", [f"{X}:v1.2.0", f"docker.io/{X}:v1.2.0", f"{X}:v1.2.0@{BAD}"])
def test_a_manifest_of_another_release_that_names_what_runs_confirms_them(live: str) -> None:
    assert manifests(Past(live=live, applied=live), EVERYDAY) is CONFIRMED


def test_the_target_that_runs_is_confirmed_where_the_other_release_names_another() -> None:
    assert manifests(Past(live=f"{X}:v1.1.0"), EVERYDAY) is CONFIRMED


def test_images_with_numbers_of_their_own_are_confirmed() -> None:
    assert of_manifests(Past(live=f"{X}:2.1.0"), BEHIND, "2.1.0", "2.2.0") is CONFIRMED


@pytest.mark.parametrize("tag", ["1.0.0dev", "prod", "latest"])
def test_a_name_that_every_release_has_tells_none_apart(tag: str) -> None:
    assert manifests(Past(live=f"{X}:{tag}"), constant(f"{X}:{tag}")) is SAME


@pytest.mark.parametrize("bumped", [False, True])
def test_a_job_that_sets_the_image_after_the_apply_contradicts_them(bumped: bool) -> None:
    named = {**constant(f"{X}:v8"), "v1.0.0": f"{X}:v7"} if bumped else constant(f"{X}:v8")
    steps = (
        Revision(f"{X}:v8", DAY.format(1)), Revision(f"{X}:57", SECONDS_LATER.format(1)),
        *days("", f"{X}:58", f"{X}:59")[1:],
    )  # fmt: skip
    assert manifests(Past(live=f"{X}:60", applied=f"{X}:v8", revisions=steps), named) is CONTRADICTED
    # server-side, without last-applied: the revision that was there for two seconds tells
    assert manifests(Past(live=f"{X}:60", revisions=steps), named) is CONTRADICTED


def test_a_first_deploy_by_hand_does_not_confirm_what_every_release_names() -> None:
    past = Past(live=f"{X}:59", applied=f"{X}:v8", revisions=days(f"{X}:v8", f"{X}:57", f"{X}:58"))
    assert manifests(past, constant(f"{X}:v8")) is CONTRADICTED


def test_a_file_that_is_rewritten_before_the_apply_is_contradicted_by_what_was_there() -> None:
    past = Past(live=f"{X}:59", applied=f"{X}:59", revisions=days(f"{X}:57", f"{X}:58"))
    assert manifests(past, constant(f"{X}:v8")) is CONTRADICTED
    assert manifests(past, EVERYDAY) is CONTRADICTED


def test_a_failed_release_without_a_tag_leaves_the_everyday_shop_as_it_is() -> None:
    live = f"{X}:v1.3.0-rc.1"
    assert manifests(Past(live=live, applied=live, revisions=days(f"{X}:v1.1.0", f"{X}:v1.2.0")), EVERYDAY) is CONFIRMED
    assert manifests(Past(live=live, applied=live), EVERYDAY) is UNTOLD  # no older revision is left
    quick = (Revision(f"{X}:v1.1.0", DAY.format(1)),)
    past = Past(live=live, applied=live, revisions=quick, since=SECONDS_LATER.format(1))
    assert manifests(past, EVERYDAY) is UNTOLD  # deployed within seconds, by plain apply


def test_an_image_set_by_hand_in_the_everyday_shop_does_not_speak_against_its_files() -> None:
    past = Past(live=f"{X}:hotfix", applied=f"{X}:v1.2.0", revisions=days(f"{X}:v1.1.0", f"{X}:v1.2.0"))
    assert manifests(past, EVERYDAY) is CONFIRMED


@pytest.mark.parametrize("live", [f"mirror.example/cache/{X}:v1.3.0", f"{X}:v1.3.0@{BAD}", f"{X}@{BAD}"])
def test_what_an_admission_policy_makes_of_a_name_speaks_against_nothing(live: str) -> None:
    older = days(*(i.replace("v1.3.0", "v1.1.0").replace(BAD, OLD) for i in (live,)))
    past = Past(live=live, applied=f"{X}:v1.3.0", revisions=older)
    assert manifests(past, EVERYDAY) is (UNTOLD if live == f"{X}@{BAD}" else CONFIRMED)


def test_what_a_rollback_of_ours_has_pinned_speaks_against_nothing() -> None:
    pinned = f"{X}@{OLD}"
    assert manifests(Past(live=pinned, applied=pinned, ours=True), EVERYDAY) is UNTOLD
    assert manifests(Past(live=f"{X}:v1.1.0@{OLD}", ours=True), EVERYDAY, "v1.0.0", "v1.2.0") is CONFIRMED


def test_registry_tags_are_confirmed_by_name_or_by_the_digests_that_run() -> None:
    names = [f"{X}:v1.1.0", f"{X}:v1.2.0"]
    assert of_tags(Past(live=f"{X}:v1.2.0"), names) is CONFIRMED
    assert of_tags(Past(live=f"{X}:prod", digests=(BAD,)), names, [(OLD,), (BAD,)]) is CONFIRMED
    assert of_tags(Past(live=f"{X}:prod", digests=(BAD, OLD)), names, [(BAD,)]) is UNTOLD
    assert of_tags(Past(live=f"{X}:prod", digests=(BAD, OLD)), names, [(OLD,), (BAD,)]) is UNTOLD  # in the middle
    assert of_tags(Past(live=f"{X}:prod"), names, [(BAD,)]) is UNTOLD


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"{X}:1", f"docker.io/{X}:1", True),
        ("nginx", "docker.io/library/nginx:latest", True),
        (f"{X}:1", f"{X}:1@{OLD}", True),
        (f"{X}:1@{OLD}", f"{X}:2@{OLD}", True),
        (f"{X}:1@{OLD}", f"{X}:1@{BAD}", False),
        (f"{X}@{OLD}", f"{X}:1", False),
        (f"{X}@{OLD}", f"{X}:latest", False),
        (f"{X}:1", f"{X}:1.0", False),
        (f"{X}:1", "mirror.example/cache/team/x:1", True),
        (f"{X}:1", "team/y:1", False),
        ("", "", False),
        ("${IMAGE}", "${IMAGE}", True),
    ],
)
def test_two_names_of_one_image(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same
