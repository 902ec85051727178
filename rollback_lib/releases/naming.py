"""Which releases' files name what the team's containers have and had: the evidence for the ladder, and for what runs.

All releases are asked by one question to git; the few that name something are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.images.confirmation import Evidence, Names, Past, Revision, of_manifests, same_name
from rollback_lib.core.images.ladder import ImageSettings, Wanted
from rollback_lib.core.images.reference import digest_of, repository_of, tag_of
from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.kube.objects import named_images
from rollback_lib.core.manifests import services
from rollback_lib.core.releases import current, live
from rollback_lib.core.releases.current import TeamContainer
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import MANIFESTS, UNKNOWN, ReleaseRef, moment
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports
from rollback_lib.releases import reading

_READ: Final = 12  # releases whose files are read, beside the target's; which those are, all of them are asked
_TAGS: Final = 3  # releases whose registry tags speak for the target's


class Named(NamedTuple):
    """What speaks for the rungs of each container, and the release whose files name all that runs, if there is one."""

    evidence: Mapping[ContainerRef, Evidence]
    current: ReleaseRef = UNKNOWN


def look(
    request: Request, resolution: Resolution, now: Live, ports: Ports, own: Sequence[Wanted], settings: ImageSettings
) -> Named:
    """The evidence for these containers of the target. Asks git only; a release that does not read is none.

    Nothing for an undo: what it puts back is what was there, whatever files say.
    """
    pasts = live.pasts(now)
    there = {w.ref: pasts[w.ref] for w in own if w.ref in pasts}
    if request.undo or not there:
        return Named({})
    target = resolution.target
    others = [r for r in resolution.releases if r.release != target.release]
    other = resolution.current if resolution.current.commit else next(iter(others), UNKNOWN)
    needles = {ref: _needles(past, settings) for ref, past in there.items()}
    roots = services.roots(request.settings.manifests.paths, request.settings.manifests.shared)
    texts = sorted({n for found in needles.values() for n in found.values()})
    try:
        hits = ports.git.naming(texts, list(dict.fromkeys(r.commit for r in (target, *others))), roots)
    except RefusedError:
        hits = {}
    named = {w.ref: {target.release: w.image} for w in own}
    read = {target.release: {w.ref: w.image for w in own}}
    for release in _to_read(other, others, there, needles, hits, read):
        read[release.release] = _images(request, ports, release)
        for ref, image in read[release.release].items():
            if ref in named:
                named[ref][release.release] = image
    evidence = {}
    for w in own:
        past = there.get(w.ref, Past())
        team = TeamContainer(w.service, repository_of(past.live or w.image))
        tags = {r.release: t for r in others[:_TAGS] for t in current.tags(team, r.release, settings)[:1]}
        evidence[w.ref] = Evidence(
            manifests=of_manifests(past, named[w.ref], target.release, other.release), past=past, tags=tags,
            proposed=_proposed(past, Names(named[w.ref].values()), target, others, settings),
        )  # fmt: skip
    return Named(evidence, _current((target, *others), there, needles, hits, read))


def _needles(past: Past, settings: ImageSettings) -> dict[str, str]:
    """image → what to look for in files: its name without the registry and folders, which files may leave out."""
    images = dict.fromkeys((past.live, *(r.image for r in past.revisions)))
    return {image: text for image in images if (text := _needle(image, settings))}


def _needle(image: str, settings: ImageSettings) -> str:
    tag = tag_of(image.partition("@")[0])
    if image.partition("@")[0] != repository_of(image) and tag not in settings.mutable_tags:
        return f"{repository_of(image).rpartition('/')[2]}:{tag}"
    return digest_of(image)


def _to_read(
    other: ReleaseRef, others: Sequence[ReleaseRef], there: Mapping[ContainerRef, Past],
    needles: Mapping[ContainerRef, Mapping[str, str]], hits: Mapping[str, set[str]],
    read: Mapping[str, Mapping[ContainerRef, str]],
) -> Iterator[ReleaseRef]:  # fmt: skip
    """The releases worth reading, newest first: what they name is known to the caller before the next one is asked.

    The other release always; then any that seems to name what a container has, or had, and that none names so far.
    """
    if other.commit:
        yield other
    for release in others:
        if release.release in read or len(read) > _READ:
            continue
        found = hits.get(release.commit, set())
        if any(
            text in found and not any(same_name(known.get(ref, ""), image) for known in read.values())
            for ref, mine in needles.items()
            if not any(same_name(known.get(ref, ""), there[ref].live) for known in read.values())
            for image, text in mine.items()
        ):
            yield release


def _images(request: Request, ports: Ports, release: ReleaseRef) -> dict[ContainerRef, str]:
    try:
        home = request.target_environment.namespace
        held = reading.contents(ports, request.settings, home, release.commit)
    except RefusedError:
        return {}
    return {
        ref: image.text
        for named, body in held.bodies().items()
        for ref, image in named_images(body)
        if not named.namespace
    }


def _current(
    releases: Iterable[ReleaseRef], there: Mapping[ContainerRef, Past],
    needles: Mapping[ContainerRef, Mapping[str, str]], hits: Mapping[str, set[str]],
    read: Mapping[str, Mapping[ContainerRef, str]],
) -> ReleaseRef:  # fmt: skip
    """The one release whose files name all that runs; unknown where several may, or none does."""
    lives = [needles[ref].get(past.live, "") for ref, past in there.items()]
    if not all(lives):
        return UNKNOWN
    maybe = [r for r in releases if hits.get(r.commit, set()).issuperset(lives)]
    sure = [
        r
        for r in maybe
        if r.release not in read
        or all(same_name(read[r.release].get(ref, ""), past.live) for ref, past in there.items())
    ]
    if len(sure) != 1 or sure[0].release not in read:
        return UNKNOWN
    how = "what runs: its manifests name every image of it"
    return msgspec.structs.replace(sure[0], chosen_by=how, chosen_how=MANIFESTS)


def _proposed(
    past: Past, in_files: Names, target: ReleaseRef, others: Sequence[ReleaseRef], settings: ImageSettings
) -> Revision | None:
    """The older revision that by its time is the target: the last that began before the next release was made.

    Only one that served and that its name tells from what runs. A tag that each deploy overwrites tells nothing.
    """
    later = [r.date for r in others if moment(r.date) > moment(target.date)]
    until = min(map(moment, later), default=float("inf"))
    usable = [
        r
        for r in past.served(in_files)
        if _needle(r.image, settings) and not same_name(r.image, past.live)
    ]  # fmt: skip
    inside = [r for r in usable if moment(target.date) <= moment(r.created) < until]
    likely = inside or usable
    return likely[-1] if likely else None
