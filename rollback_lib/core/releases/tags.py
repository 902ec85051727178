"""Releases: which git tags there are, which of them are releases, and which one probably came before.

Tags do not tell the order of releases. In 18 real repositories `git describe`, version sort and name order each name
a wrong "newest" somewhere, and the creation date puts a tag that was added late for an old commit on top. So the order
here is the committer date of the tagged commit, and what comes out of it is only ever a *proposal*.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from rollback_lib.core.errors import Problem, Refusal, RefusedError, UsageError
from rollback_lib.core.reasons import Reason


class RepositoryIdentity(msgspec.Struct, frozen=True):
    """Which repository this is. ``root`` is its working tree, or its git folder if it is bare.

    ``remote`` and ``url`` are the remote that would be fetched from; "" if there is none. The URL holds no
    user, password or query. ``bare``: there is no working tree, so no place for a file.
    """

    root: str = ""
    remote: str = ""
    url: str = ""
    bare: bool = False


class ReleaseRef(msgspec.Struct, frozen=True, kw_only=True):
    """A release and how it was arrived at. ``release`` is ``unknown`` where nothing tells; ``date`` is its commit's.

    ``chosen_how`` is the code for that, and ``chosen_by`` says it in words; both are empty where nobody chose.
    """

    release: str
    commit: str = ""
    date: str = ""
    chosen_by: str = ""
    chosen_how: str = ""

    @property
    def is_proposal(self) -> bool:
        """Whether only its date speaks for it. A record of before these codes has the words of its time."""
        return self.chosen_how == PROPOSED or (not self.chosen_how and self.chosen_by == _PROPOSED_BEFORE)


# How a target was chosen.
NAMED: Final = "named"
BY_LEDGER: Final = "ledger"  # the newest that proved good
AGAIN: Final = "again"  # the last rollback went there, and it is what runs
PROPOSED: Final = "proposed"  # the one before, by commit date
UNDONE: Final = "undo"  # what ran before the run that is undone
# How what runs was told; the ledger's is above.
LAST_RUN: Final = "last-run"  # the digests of the last rollback
SERVICES: Final = "services"  # each service runs a release, and not all the same
REGISTRY_TAGS: Final = "registry-tags"  # the digests of its tags
MANIFESTS: Final = "manifests"  # its files name every image of it, and no other release's do
APPLIED: Final = "applied"  # its manifests are what was last applied, and no other release's are
MARKS: Final = "marks"  # what a rollback left on the objects, unchanged since
_PROPOSED_BEFORE: Final = "proposal by commit date"


UNKNOWN: Final = ReleaseRef(release="unknown")


ObjectType = Literal["commit", "tag", "tree", "blob"]

_NEWEST_SHOWN: Final = 5
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")
_NUMBERS: Final = re.compile(r"(?:^|[-_./]|v)([0-9]{1,18}(?:\.[0-9]{1,18}){0,3})(.*)$", re.DOTALL)
_PIECES: Final = re.compile(r"([0-9]{1,18})")


class Tag(msgspec.Struct, frozen=True):
    """One tag below ``refs/tags/``.

    ``name`` is what follows ``refs/tags/``. ``commit`` is the full hash of what the tag stands for in the end, peeled
    through any number of annotated tags; ``object`` is its type. Only where that is ``commit`` can the tag be a
    release. ``date`` is the committer date of that commit (ISO 8601 with offset; "" where it is no commit).
    ``tagged`` is when an annotated tag was made; "" for a lightweight one.
    """

    name: str
    commit: str
    object: ObjectType
    date: str
    tagged: str = ""
    annotated: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """The release that by date came before: a guess, which a person or ``--accept unproven-target`` has to confirm.

    ``tie`` names the other releases on the same commit: nothing orders those. ``after`` is the release (or the commit,
    where it has no release tag) that was taken as the current one; ``assumed`` says that nobody knew what runs, and
    the newest release was taken for it.
    """

    tag: Tag
    tie: tuple[str, ...] = ()
    by: Literal["commit date"] = "commit date"
    after: str = ""
    assumed: bool = False


def differ_at(repository: RepositoryIdentity, ours: Iterable[ReleaseRef], there: Mapping[str, str]) -> Iterable[str]:
    """What the remote has of these tags where it is not what this clone has. ``there``: their commits at the remote."""
    where = f"{repository.remote} ({repository.url})"
    for ref in ours:
        commit = there.get(ref.release, "")
        if not commit:
            yield f"Tag {ref.release} is not at {where}: deleted there, or never pushed. This clone's is used."
        elif commit != ref.commit:
            yield (
                f"Tag {ref.release} is another commit at {where}: {commit[:12]} there, {ref.commit[:12]} here, which "
                f"is used. `git fetch --force {repository.remote} tag {ref.release}` takes the one there."
            )


def check_name(text: str) -> None:
    """Raise UsageError, with every reason at once, if ``text`` cannot be a tag's name.

    The rules are those of ``git check-ref-format`` for ``refs/tags/<text>``, and that it does not begin with "-", so
    that it can never be taken for an option. Accents are fine, as they are for git.
    """
    problems = [reason for broken, reason in _name_rules(text) if broken]
    if problems:
        raise UsageError(Problem(f"{text!r} cannot be the name of a tag: {'; '.join(problems)}"))


def _name_rules(text: str) -> Iterable[tuple[bool, str]]:
    parts = text.split("/")
    yield not text, "it is empty"
    yield text.startswith("-"), "it begins with '-'"
    yield bool(_FORBIDDEN.search(text)), "blanks, control characters and ~ ^ : ? * [ \\ are not allowed"
    yield ".." in text, "'..' is not allowed"
    yield "@{" in text, "'@{' is not allowed"
    yield bool(text) and not all(parts), "it begins or ends with '/', or has '//'"
    yield any(part.startswith(".") for part in parts), "a part begins with '.'"
    yield text.endswith("."), "it ends with '.'"
    yield any(part.endswith(".lock") for part in parts), "a part ends with '.lock'"
    yield any("\ud800" <= sign <= "\udfff" for sign in text), "it is not valid UTF-8"


def matches(pattern: str, name: str) -> bool:
    """Whether a tag called ``name`` is a release. ``*`` also spans ``/``, ``?`` is one character, case counts."""
    return fnmatchcase(name, pattern)


def version_key(name: str) -> tuple[tuple[int, ...], bool, tuple[tuple[int, int, str], ...]]:
    """Sort key of the version in a tag's name, for display and for tags of one commit; never to choose a release.

    A name with a rest (``-rc.1``, but also ``-patch``) comes before the one without; no number at all comes first.
    """
    found = _NUMBERS.search(name)
    if found is None:
        return (), False, _natural(name)
    rest = found[2]
    return tuple(int(number) for number in found[1].split(".")), not rest, _natural(rest)


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    pieces = [piece for piece in _PIECES.split(text) if piece]
    return tuple((0, int(piece), "") if _PIECES.fullmatch(piece) else (1, 0, piece) for piece in pieces)


def releases(tags: Iterable[Tag], pattern: str) -> tuple[Tag, ...]:
    """The tags that are releases, by commit date, newest first. A tag on a tree or a blob is none.

    Where dates are equal (the same commit, or two commits in one second) the version in the name decides, so that
    the answer does not depend on how git lists tags.
    """
    chosen = [tag for tag in tags if tag.object == "commit" and matches(pattern, tag.name)]
    return tuple(sorted(chosen, key=lambda tag: (moment(tag.date), version_key(tag.name), tag.name), reverse=True))


def moment(date: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, UTC where it names no zone; before all others where it is none."""
    try:
        found = datetime.fromisoformat(date)
    except ValueError:  # git can hold dates that no calendar has; such a commit is never the newest
        return float("-inf")
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def propose_previous(tags: Sequence[Tag], pattern: str, current: str | None) -> Proposal:
    """The release before ``current``, the commit that runs now, by commit date.

    Never a tag of the current commit, and never a newer one. A current commit that no release is on was deployed
    without a tag: then the newest release is proposed. Without ``current`` the newest release is taken for it.
    Raises RefusedError if there is no release, or none before.
    """
    ordered = releases(tags, pattern)
    if not ordered:
        raise RefusedError(no_releases(tags, pattern))
    running = current or ordered[0].commit
    place = next((index for index, tag in enumerate(ordered) if tag.commit == running), -1)
    after = ordered[place].name if place >= 0 else running
    earlier = [tag for tag in ordered[place + 1 :] if tag.commit != running]
    if not earlier:
        raise RefusedError(
            Refusal(
                f"No release is older than {after}.", fix="Name the one to go back to with --to.",
                reason=Reason.NO_OLDER_RELEASE, subject=after,
            )
        )  # fmt: skip
    tag = earlier[0]
    tie = tuple(other.name for other in ordered if other.commit == tag.commit and other.name != tag.name)
    return Proposal(tag=tag, tie=tie, after=after, assumed=not current)


def no_releases(tags: Sequence[Tag], pattern: str) -> Refusal:
    """Why there is nothing to choose from: tags exist, but none that the release pattern matches."""
    some = ", ".join(tag.name for tag in releases(tags, "*")[:_NEWEST_SHOWN])
    there = f"; the newest tags are {some}" if some else ""
    return Refusal(
        f"No tag matches the release pattern {pattern!r}{there}.", fix="Set releases.tag in rollback.yaml.",
        reason=Reason.NO_RELEASE, subject=pattern,
    )  # fmt: skip


def dated(ref: ReleaseRef, tags: Iterable[Tag]) -> ReleaseRef:
    """With the date of its commit, where a tag tells it: when it was recorded, or gone back to, is no date of it."""
    date = next((t.date for t in tags if ref.commit and t.commit == ref.commit), "")
    return msgspec.structs.replace(ref, date=date)


def find(tags: Sequence[Tag], name: str) -> Tag:
    """The tag called exactly ``name``.

    Raises UsageError if that cannot be a tag's name, and RefusedError if there is none (with those that look like
    it and the newest few) or if it does not stand for a commit.
    """
    check_name(name)
    for tag in tags:
        if tag.name == name:
            if tag.object != "commit":
                raise RefusedError(f"Tag {name} is on a {tag.object}, not on a commit: it holds no release.")
            return tag
    near = difflib.get_close_matches(name, [tag.name for tag in tags], n=3, cutoff=0.6)
    newest = [tag.name for tag in releases(tags, "*")[:_NEWEST_SHOWN]]
    said = [f"There is no tag {name} in this clone."]
    if near:
        said.append(f"Did you mean {' or '.join(near)}?")
    if newest:
        said.append(f"The newest are {', '.join(newest)}.")
    fix = "If the remote has it, `git fetch --tags` brings it: a clone may lack tags, a shallow one most."
    raise RefusedError(Refusal(" ".join(said), fix=fix, reason=Reason.NO_RELEASE, subject=name))
