"""Pointing mutable tags at the restored images, so that the team's next ordinary deploy brings those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollback_lib.core.images.reference import repository_of
from rollback_lib.core.plan.model import PlannedTag
from rollback_lib.core.plan.text import tag_line
from rollback_lib.core.record import Record
from rollback_lib.core.redact import visible
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.run.changes import PointTag
from rollback_lib.core.run.journal import TAGS, Ending
from rollback_lib.core.wording import counted, some, wrapped


class TagMoves(Record, frozen=True, kw_only=True):
    """What `rollback retag` will move. ``source``: whose images the tags get; ``left``: what is not moved, and why."""

    application: str
    environment: str
    source: str
    tags: tuple[PlannedTag, ...] = ()
    left: tuple[str, ...] = ()


def planned(
    restored: Iterable[tuple[str, str]], mutable: Iterable[MutableTag]
) -> tuple[tuple[PlannedTag, ...], tuple[str, ...]]:
    """(the tags to move, why others are left). ``restored``: image and digest of each of the team's containers."""
    known = [(repository_of(image), digest) for image, digest in restored if digest]
    moves, left = [], []
    for tag in mutable:
        digests = {digest for repository, digest in known if repository == repository_of(tag.reference)}
        if len(digests) == 1:
            moves.append(
                PlannedTag(reference=tag.reference, from_=tag.digest, release=tag.release, to=digests.pop())
            )  # fmt: skip
        else:
            left.append(f"{tag.reference} is not moved: its repository has {len(digests)} images of this release.")
    return tuple(moves), tuple(left)


def change(tag: PlannedTag) -> PointTag:
    """The journalled write of one tag."""
    return PointTag(
        key=TAGS + tag.reference, kind="ImageTag", name=tag.reference, api_version="", before=tag.from_, after=tag.to
    )  # fmt: skip


def text(moves: TagMoves) -> str:
    """What would be moved, for a person."""
    return visible("\n".join(_lines(moves))) + "\n"


def _lines(moves: TagMoves) -> Iterator[str]:
    yield f"{moves.application} {moves.environment}: {moves.source}"
    for tag in moves.tags:
        yield from _wrapped(tag_line(tag), "  ")
    for said in moves.left:
        yield from _wrapped(said, "  ! ")
    if not moves.tags:
        yield "Nothing to do: no mutable tag has to be moved."


def ended(moves: TagMoves, ending: Ending, *, looked: bool) -> str:
    """The last line."""
    if not moves.tags:
        return "Nothing to do. No tag was moved."
    if looked:
        return f"Only looked: {counted(len(moves.tags), 'tag', 'tags')} to move. Nothing was changed."
    done = counted(len(ending.moved_tags), "tag was", "tags were")
    rest = [t.reference for t in moves.tags if t.reference not in ending.moved_tags]
    said = f"{done} moved." if not rest else f"{done} moved, and not {some(rest)} ({ending.code})."
    return f"{said} The cluster was not changed."


def _wrapped(said: str, start: str) -> list[str]:
    return wrapped(said, start, " " * len(start) + "  ")
