"""What is asked of git: a listing a tree, once, and a release that a shallow clone lacks costs only its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from rollback_lib.collectors.migrations import Schema
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.settings import model
from tests.fakes import FakeGit
from tests.pipeline.test_loop import SETTINGS

ONE, TWO = {"db/V1__a.sql": b"1"}, {"db/V1__a.sql": b"1", "db/V2__b.sql": b"2"}


class CountingGit(FakeGit):
    """``lacks``: releases whose objects are not in this clone."""

    def __init__(self, releases: dict[str, Mapping[str, bytes]]) -> None:
        super().__init__(releases)
        self.listed: list[str] = []
        self.read: list[str] = []
        self.lacks: set[str] = set()

    def blobs(self, commit: str) -> Mapping[str, str]:
        self.listed.append(commit)
        if any(self.commit(name) == commit for name in self.lacks):
            raise RefusedError("This clone lacks objects.")
        return super().blobs(commit)

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        self.read += blobs
        return super().contents(blobs)


@pytest.fixture
def git() -> CountingGit:
    return CountingGit({"v1": ONE, "v2": TWO, "v3": TWO, "v4": TWO})


def refs(git: FakeGit) -> dict[str, ReleaseRef]:
    return {name: ReleaseRef(release=name, commit=git.commit(name)) for name in reversed(git.releases)}


def schema(git: FakeGit) -> Schema:
    return Schema(git, model.load(SETTINGS), tuple(refs(git).values()))


def test_each_tree_is_listed_once_and_a_name_that_tells_all_is_not_read(git: CountingGit) -> None:
    known, made = refs(git), schema(git)
    for target in ("v1", "v2", "v1"):
        found = made.between(known["v4"], known[target], {"cart"})
    assert [(m.name, m.release) for m in found] == [("V2__b", "v2")]
    assert sorted(git.listed) == sorted({r.commit for r in known.values()})
    assert git.read == []


def test_without_a_difference_no_other_release_is_listed(git: CountingGit) -> None:
    known = refs(git)
    assert schema(git).between(known["v4"], known["v2"], {"cart"}) == ()
    assert git.listed == [known["v4"].commit, known["v2"].commit]


def test_a_release_that_the_clone_lacks_only_costs_its_name(git: CountingGit) -> None:
    git.lacks = {"v2"}
    known = refs(git)
    assert [m.release for m in schema(git).between(known["v4"], known["v1"], {"cart"})] == ["v3"]


def test_a_target_that_the_clone_lacks_is_refused(git: CountingGit) -> None:
    git.lacks = {"v1"}
    known = refs(git)
    with pytest.raises(RefusedError):
        schema(git).between(known["v4"], known["v1"], {"cart"})


def test_a_commit_without_a_tag_can_be_current(git: CountingGit) -> None:
    known = refs(git)
    current = ReleaseRef(release="untagged", commit=known["v4"].commit)
    made = Schema(git, model.load(SETTINGS), (known["v1"],))
    assert [m.release for m in made.between(current, known["v1"], {"cart"})] == ["untagged"]
