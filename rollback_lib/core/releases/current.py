"""Which release runs now, worked out from what runs, and which mutable tags would bring another one back.

`core.releases.matching` asks the ledger first. Without it the evidence is the registry: the release whose own tags are
the digests that every newest pod runs. An annotation is never evidence (an ordinary deploy leaves ours in place).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rollback_lib.core.images.reference import is_registry_tag, repository_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage, ImageSettings, same_image
from rollback_lib.core.releases.tags import REGISTRY_TAGS, UNKNOWN, ReleaseRef


class MutableTag(msgspec.Struct, frozen=True, kw_only=True):
    """A mutable tag that names another image than the restored one. ``release`` is empty where nothing tells."""

    reference: str
    digest: str
    release: str = ""


__all__ = ["UNKNOWN", "TeamContainer", "contradicts", "release_of", "runs", "still_failed", "tags", "tells"]


class TeamContainer(msgspec.Struct, frozen=True):
    """One of the team's containers: where its images are, and what its newest pods run."""

    service: str
    repository: str
    image_ids: tuple[str, ...] = ()


def tags(one: TeamContainer, release: str, settings: ImageSettings) -> tuple[str, ...]:
    """The registry tags that would be this container's image at a release."""
    found = (t.replace("{release}", release).replace("{service}", one.service) for t in settings.release_tags)
    return tuple(f"{one.repository}:{t}" for t in found if is_registry_tag(t) and t not in settings.mutable_tags)


def runs(one: TeamContainer, release: str, settings: ImageSettings, answers: Mapping[str, Answer]) -> bool:
    """Whether all the newest pods of the container run the image that the release's tag names."""
    known = [a for t in tags(one, release, settings) if (a := answers.get(t)) and a.digest]
    return any(all(same_image((a.digest, *a.digests), i) for i in one.image_ids) for a in known)


def tells(
    one: TeamContainer, release: str, settings: ImageSettings, answers: Mapping[str, Answer], mutable: Iterable[str]
) -> bool:
    """Whether it is worth asking about this release for every container: one runs it, or a mutable tag names it."""
    moved = {a.digest for m in mutable if (a := answers.get(m)) and a.digest}
    named = any((a := answers.get(t)) and a.digest in moved for t in tags(one, release, settings))
    return named or runs(one, release, settings, answers)


def release_of(
    seen: Sequence[TeamContainer],
    releases: Iterable[ReleaseRef],
    settings: ImageSettings,
    answers: Mapping[str, Answer],
) -> ReleaseRef:
    """The release that every container runs; ``unknown`` where none is, or nothing runs."""
    for release in releases:
        if seen and all(runs(one, release.release, settings, answers) for one in seen):
            how = "what runs: the digests of its registry tags"
            return msgspec.structs.replace(release, chosen_by=how, chosen_how=REGISTRY_TAGS)
    return UNKNOWN


def contradicts(
    seen: Sequence[TeamContainer], release: str, settings: ImageSettings, answers: Mapping[str, Answer]
) -> bool:
    """Whether the registry has another image for the release than pods of one of the containers run."""
    known = {one: any((a := answers.get(t)) and a.digest for t in tags(one, release, settings)) for one in seen}
    return any(known[one] and not runs(one, release, settings, answers) for one in seen)


def still_failed(
    images: Sequence[ContainerImage],
    references: Iterable[str],
    releases: Iterable[str],
    settings: ImageSettings,
    answers: Mapping[str, Answer],
) -> tuple[MutableTag, ...]:
    """Mutable tags that name another image than the restored one, with the release that this is, where known."""
    named = list(releases)
    found = []
    for reference in sorted(references):
        answer = answers.get(reference)
        repository = repository_of(reference)
        theirs = [i for i in images if i.own and i.digest and repository_of(i.to) == repository]
        if answer is None or not answer.digest or not theirs or any(answer.digest in i.digests for i in theirs):
            continue
        one = TeamContainer(theirs[0].service, repository)
        release = next(
            (
                r
                for r in named
                for t in tags(one, r, settings)
                if (known := answers.get(t)) and known.digest == answer.digest
            ),
            "",
        )
        found.append(MutableTag(reference=reference, digest=answer.digest, release=release))
    return tuple(found)
