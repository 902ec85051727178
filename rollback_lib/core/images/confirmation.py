"""Whether the files explain what runs: the rung that explains what runs explains what ran (design §6).

A manifest says what was meant. Where a job runs `kubectl set image` after `kubectl apply`, or rewrites the file before
it, the manifest names something that never served; where a tag of git is not the number of its images, the registry's
tag of that name is another image. Neither shows in the target's own files: it shows in what came after them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from rollback_lib.core.images.reference import ImageReference, parsed

# A revision that another one followed so soon only lay between `apply` and `set image` of one deploy: it never served.
BETWEEN: Final = timedelta(seconds=60)


class Confirmation(enum.StrEnum):
    """What the cluster says of a rung, for one container."""

    CONFIRMED = "confirmed"  # it names what was there, and not the same at every release
    SAME = "same"  # it names what is there; but it names that at the other release as well, so it tells neither apart
    UNTOLD = "untold"
    CONTRADICTED = "contradicted"  # what was there stands in no release's file, and something set it after the apply


class Revision(msgspec.Struct, frozen=True):
    """An image that an older ReplicaSet or ControllerRevision has for the container; ``created`` is RFC 3339."""

    image: str
    created: str
    name: str = ""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What one container had, as the cluster shows it.

    ``live`` is the image in the live template; ``applied`` the one in last-applied, empty without that annotation;
    ``ours`` says that a rollback put both there. ``revisions`` are the older ones, oldest first. ``digests`` are those
    that pods of the newest template run, and ``since`` is when it was made.
    """

    live: str = ""
    applied: str = ""
    ours: bool = False
    revisions: tuple[Revision, ...] = ()
    digests: tuple[str, ...] = ()
    since: str = ""

    @property
    def lasting(self) -> tuple[Revision, ...]:
        """The older revisions that another one did not follow at once."""
        return tuple(before for before, after in pairwise(self.all) if not _between(before, after))

    def served(self, in_files: Names) -> tuple[Revision, ...]:
        """The older revisions that were more than the step of a deploy between its `apply` and its `set image`."""
        return tuple(r for r in self.revisions if r in self.lasting or r.image not in in_files)

    @property
    def all(self) -> tuple[Revision, ...]:
        """The older revisions, and the newest."""
        return (*self.revisions, Revision(self.live, self.since))


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for and against the rungs of one container.

    ``tags`` are the registry's tags of other releases, by release: that one of them is what runs speaks for the
    target's. ``proposed`` is the older revision that is the likeliest to be the target, where one is.
    """

    manifests: Confirmation = Confirmation.UNTOLD
    past: Past = Past()
    tags: Mapping[str, str] = {}
    proposed: Revision | None = None


def of_manifests(past: Past, named: Mapping[str, str], target: str, other: str) -> Confirmation:
    """What speaks for the images that the releases' manifests name.

    ``named``: the container's image in the manifests of each release that was read, ``target`` among them. ``other`` is
    the release that runs, or the likeliest one where that is not known: what both name alike tells them not apart.
    """
    mine = named.get(target, "")
    varies = not same_name(named.get(other, ""), mine)
    explaining = {r for r, image in named.items() if same_name(image, past.live)}
    if any(not same_name(named[r], mine) for r in explaining):
        return Confirmation.CONFIRMED
    if explaining:
        return Confirmation.CONFIRMED if varies else Confirmation.SAME
    in_files = Names(named.values())
    if varies and any(r.image in in_files for r in past.lasting):
        return Confirmation.CONFIRMED
    return Confirmation.CONTRADICTED if _set_after_apply(past, in_files) else Confirmation.UNTOLD


def of_tags(past: Past, names: Iterable[str], known: Iterable[Iterable[str]] = ()) -> Confirmation:
    """What speaks for the registry's tags of the releases' names.

    ``names``: these tags, in full; ``known``: the digest set of each, as far as the registry was asked.
    """
    seen = Names(names)
    if any(image in seen for image in (past.live, *(r.image for r in past.lasting))):
        return Confirmation.CONFIRMED
    runs = bool(past.digests) and any(set(digests).issuperset(past.digests) for digests in known)
    return Confirmation.CONFIRMED if runs else Confirmation.UNTOLD


def _set_after_apply(past: Past, in_files: Names) -> bool:
    """Whether something else than the files said which image is there."""
    if not past.live or past.ours:
        return False
    if past.applied:
        if _apart(past.applied, past.live):
            return True
    elif any(before.image in in_files for before, after in pairwise(past.all) if _between(before, after)):
        return True
    there = {r.image for r in past.all if _tag_of(r.image)}
    return len(there) > 1 and not any(image in in_files for image in there)


def _between(revision: Revision, after: Revision) -> bool:
    began, ended = _moment(revision.created), _moment(after.created)
    return began is not None and ended is not None and timedelta() <= ended - began < BETWEEN


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


class Names:
    """Image references, to ask whether one means one of them."""

    def __init__(self, images: Iterable[str]) -> None:
        self._images = [r for r in map(parsed, dict.fromkeys(images)) if r]

    def __contains__(self, image: str) -> bool:
        asked = parsed(image)
        return asked is not None and any(_same(asked, one) for one in self._images)


def same_name(one: str, other: str) -> bool:
    """Whether two references mean the same image as far as the texts tell: spelling aside, and a digest decides."""
    a, b = parsed(one), parsed(other)
    return (one == other and bool(one)) if a is None or b is None else _same(a, b)


def _apart(one: str, other: str) -> bool:
    """Whether they are known to be two images: a tag and a digest do not tell."""
    a, b = parsed(one), parsed(other)
    if a is None or b is None or not ((a.digest and b.digest) or (_tag(a) and _tag(b))):
        return False
    return not _same(a, b)


def _same(a: ImageReference, b: ImageReference) -> bool:
    """A mirror that an admission policy puts before the name is no other image: the last part of the name counts."""
    if a.digest and b.digest:
        return a.digest == b.digest
    return bool(_tag(a)) and _tag(a) == _tag(b) and a.path.rpartition("/")[2] == b.path.rpartition("/")[2]


def _tag(reference: ImageReference) -> str:
    return reference.tag or ("" if reference.digest else "latest")


def _tag_of(image: str) -> str:
    found = parsed(image)
    return _tag(found) if found else ""
