from __future__ import annotations

import pytest

from rollback_lib.core.errors import RefusedError, UsageError
from rollback_lib.core.releases.tags import Tag, check_name, find, matches, propose_previous, releases, version_key


def tag(name: str, day: int, commit: str = "", **more: str) -> Tag:
    commit = commit or f"{day:02d}" * 20
    return Tag(name, commit, more.get("kind", "commit"), f"2025-03-{day:02d}T12:00:00+01:00")  # type: ignore[arg-type]


def names(tags: tuple[Tag, ...]) -> list[str]:
    return [tag.name for tag in tags]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("helm-chart-*", "helm-chart-4.9.0"),
        ("*-service-*", "order-service-0.2.0"),
        ("v*", "v1.5.3"),
        ("[0-9]*", "0.0.12"),
        ("v*", "v1.4.0-dev.7"),
        ("v*", "v015.0-rc1"),
        ("v*-beta", "v1.0.0-beta"),
        ("component-*", "component-v1.0.0-beta.2"),
        ("*", "sic-jss"),
        ("path/v*", "path/v1.2.3-rc.1"),
        ("v*", "v1.2.3-k3s1.23"),
        ("monthly-*", "monthly-2026.01"),
        ("0.0.*", "0.0.10-broken"),
        ("stage-*", "stage-0.2.0"),
        ("v?", "v9"),
        ("prod-*", "prod-2025.12.02-a2a3e89"),
        ("v-*", "v-0.1.0"),
    ],
)
def test_tag_shapes_of_real_repositories_match(pattern: str, name: str) -> None:
    check_name(name)
    assert matches(pattern, name)


@pytest.mark.parametrize("name", ["V1.0.0", "release/v1.0.0", "stage-0.2.0", "", "xv1"])
def test_other_families_and_another_case_do_not_match(name: str) -> None:
    assert not matches("v*", name)


def test_releases_are_by_commit_date_across_offsets_and_not_by_version() -> None:
    late = Tag("v1.0.0", "aa" * 20, "commit", "2025-03-01T23:30:00-05:00")
    early = Tag("v2.0.0", "bb" * 20, "commit", "2025-03-02T01:00:00Z")
    undated = Tag("v9.9.9", "cc" * 20, "commit", "")
    other = tag("v3.0.0", 9, kind="tree")
    assert names(releases([undated, early, other, late, tag("steps", 30)], "v*")) == ["v1.0.0", "v2.0.0", "v9.9.9"]


def test_the_answer_does_not_depend_on_the_order_of_the_tags() -> None:
    tags = [tag("v1.1.0", 2), tag("v1.1.0-rc1", 2), tag("v1.10.0", 2), tag("v1.9.0", 2), tag("v1.1.0-rc10", 2)]
    expected = ["v1.10.0", "v1.9.0", "v1.1.0", "v1.1.0-rc10", "v1.1.0-rc1"]
    assert names(releases(tags, "v*")) == names(releases(tags[::-1], "v*")) == expected


class TestPropose:
    tags = (tag("v1.0.0", 1), tag("v1.1.0-rc1", 2), tag("v1.1.0", 2), tag("v1.2.0", 3), tag("v1.3.0", 4))

    def test_before_the_current_and_never_newer_with_the_tie(self) -> None:
        proposal = propose_previous(self.tags, "v*", "03" * 20)
        assert (proposal.tag.name, proposal.tie, proposal.by) == ("v1.1.0", ("v1.1.0-rc1",), "commit date")
        assert (proposal.after, proposal.assumed) == ("v1.2.0", False)

    def test_never_another_tag_of_the_current_commit(self) -> None:
        assert propose_previous(self.tags, "v*", "02" * 20).tag.name == "v1.0.0"

    def test_never_the_current_commit_even_when_dates_are_equal(self) -> None:
        same = [tag("v1", 1, "aa" * 20), tag("v3", 1, "aa" * 20), tag("v2", 1, "bb" * 20)]
        assert propose_previous(same, "v*", "aa" * 20).tag.name == "v2"

    def test_unknown_current_takes_the_newest_for_it_and_says_so(self) -> None:
        proposal = propose_previous(self.tags, "v*", None)
        assert (proposal.tag.name, proposal.after, proposal.assumed) == ("v1.2.0", "v1.3.0", True)

    def test_a_current_commit_without_release_goes_back_to_the_newest(self) -> None:
        proposal = propose_previous(self.tags, "v*", "ff" * 20)
        assert (proposal.tag.name, proposal.after) == ("v1.3.0", "ff" * 20)

    def test_nothing_before_is_refused(self) -> None:
        with pytest.raises(RefusedError, match=r"No release is older than v1\.0\.0"):
            propose_previous(self.tags, "v*", "01" * 20)

    def test_no_release_names_the_tags_that_there_are(self) -> None:
        with pytest.raises(RefusedError, match=r"'release-\*'; the newest tags are v1\.3\.0, v1\.2\.0"):
            propose_previous(self.tags, "release-*", None)


class TestFind:
    def test_exactly_this_name(self) -> None:
        tags = [tag("v1.1.0", 1), tag("tags/v1.1.0", 2), tag("HEAD", 3)]
        assert [find(tags, name).commit[:2] for name in ("v1.1.0", "tags/v1.1.0", "HEAD")] == ["01", "02", "03"]

    def test_a_slip_is_answered_with_what_is_near_and_what_is_new(self) -> None:
        tags = [tag("v1.1.0", 1), tag("v1.2.0", 2), tag("steps", 9)]
        with pytest.raises(RefusedError) as error:
            find(tags, "1.1.0")
        assert str(error.value).startswith("There is no tag 1.1.0 in this clone. Did you mean v1.1.0")
        assert error.value.refusals[0].text.endswith("The newest are steps, v1.2.0, v1.1.0.")
        assert "`git fetch --tags`" in error.value.refusals[0].fix

    def test_a_tag_on_something_else_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="Tag v1 is on a blob, not on a commit"):
            find([tag("v1", 1, kind="blob")], "v1")


@pytest.mark.parametrize("name", ["v1.4.0-año", "v1;touch", "v1.4.0+a3", "release/1.4.0", "HEAD", "@"])
def test_names_that_git_allows(name: str) -> None:
    check_name(name)


BAD = ["", "-v1", "--upload-pack=touch /tmp/x", "v1\n", "v1 x", "v1\x00", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b"]
MORE_BAD = ["a\\b", "a.lock", "a.lock/b", "a/", "/a", "a//b", ".a", "a/.b", "a.", "a@{1}", "a\x7f", "a\udcf1"]


@pytest.mark.parametrize("name", BAD + MORE_BAD)
def test_names_that_cannot_be_tags(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a tag"):
        check_name(name)


def test_versions_for_display() -> None:
    shown = ["v1.10.0", "v1.9.0", "v1.9.0-rc.10", "v1.9.0-rc.2", "helm-chart-1.8", "0.0.12", "0.0.2-patch", "steps"]
    assert sorted(shown, key=version_key) == shown[::-1]
    assert version_key("v1.2.3-k3s1.23")[0] == (1, 2, 3)
    assert version_key("prod-2025.12.02-a2a3e89")[0] == (2025, 12, 2)
    version_key("v" + "9" * 5000)
