"""Which tags get which image."""

from __future__ import annotations

from rollback_lib.core.plan import retag
from rollback_lib.core.plan.model import PlannedTag
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.run.journal import Ending

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def tag(reference: str) -> MutableTag:
    return MutableTag(reference=reference, digest=C, release="v2")


def test_each_tag_gets_its_repositorys_image() -> None:
    restored = [(f"team/a:v1@{A}", A), (f"r.example:5000/team/b@{B}", B)]
    moves, left = retag.planned(restored, [tag("team/a:prod"), tag("team/a:latest"), tag("r.example:5000/team/b:prod")])
    assert [(m.reference, m.from_, m.to) for m in moves] == [
        ("team/a:prod", C, A), ("team/a:latest", C, A), ("r.example:5000/team/b:prod", C, B),
    ]  # fmt: skip
    assert left == ()


def test_of_two_images_in_one_repository_none_is_guessed() -> None:
    moves, left = retag.planned([(f"team/a@{A}", A), (f"team/a@{B}", B)], [tag("team/a:prod")])
    assert moves == ()
    assert left == ("team/a:prod is not moved: its repository has 2 images of this release.",)


def test_what_has_no_digest_moves_nothing() -> None:
    assert retag.planned([("team/a:v1", "")], [tag("team/a:prod")])[0] == ()


def moves(*tags: str) -> TagMoves:
    found = tuple(PlannedTag(reference=t, from_=C, to=A, release="v2") for t in tags)
    return TagMoves(application="shop", environment="prod", source="mutable tags get what runs now", tags=found)


def test_the_text_fits_and_the_last_line_says_what_was_not_moved() -> None:
    long = "registry.example.com/an/organization/with/a/long/name/service:prod"
    assert max(map(len, retag.text(moves(long)).splitlines())) <= 80
    some = moves("team/a:prod", "team/b:prod")
    ended = Ending(code=4, traffic="open", moved_tags=("team/a:prod",))
    said = "1 tag was moved, and not team/b:prod (4). The cluster was not changed."
    assert retag.ended(some, ended, looked=False) == said
    assert retag.ended(some, ended, looked=True).startswith("Only looked: 2 tags to move.")
    assert retag.ended(moves(), ended, looked=True).startswith("Nothing to do.")
