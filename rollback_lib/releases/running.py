"""Which release runs, where the ledger does not tell: every release that something speaks for is asked.

Files are asked about all releases at once (`releases.naming`). A registry is asked one question a release and
container, so first which tags it has, and then about the likeliest. What pods never started by has no digest: there
what `kubectl apply` was last given is held against the releases' manifests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.images.reference import parsed, repository_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import SERVICE, ImageSettings, Wanted, repository_named
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.releases import current, live
from rollback_lib.core.releases.current import TeamContainer
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import APPLIED, MARKS, UNKNOWN, ReleaseRef, moment
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports
from rollback_lib.releases import reading

_AT_ONCE: Final = 8  # releases in one round of questions
_LISTED: Final = 64  # releases that the registry has tags of, and is asked about at most: a HEAD costs no quota
_UNLISTED: Final = 16  # where it does not list its tags
_READ: Final = 40  # releases whose manifests are read


class Asker:
    """Asks the registry about each reference once. ``answers``: all that it said."""

    def __init__(self, ports: Ports, platforms: Sequence[str], answers: dict[str, Answer], *, configs: bool) -> None:
        self._registry, self._platforms, self._configs = ports.registry, platforms, configs
        self._heads: dict[str, Answer] = {}
        self._closely: set[str] = set()
        self.answers = answers

    def ask(self, references: Iterable[str]) -> None:
        new = sorted(set(references) - set(self.answers))
        if new:
            self.answers |= self._registry.look_up(new, platforms=self._platforms, configs=self._configs)

    def ask_closely(self, references: Iterable[str]) -> bool:
        """Ask again for which platform these plain images are; False where there is none that was not asked so."""
        new = sorted(set(references) - self._closely - {""})
        self._closely |= set(new)
        if new and not self._configs:
            self.answers |= self._registry.look_up(new, platforms=self._platforms, configs=True)
        return bool(new)

    def heads(self, references: Iterable[str]) -> Mapping[str, Answer]:
        """What each names, of an index without its platforms: a question that no registry counts."""
        wanted = set(references)
        new = sorted(wanted - set(self.answers) - set(self._heads))
        if new:
            self._heads |= self._registry.look_up(new, platforms=())
        known = self._heads | self.answers
        return {r: known[r] for r in wanted}

    def tags(self, repository: str) -> frozenset[str] | None:
        """Every reference by a tag that the repository has; None where it does not list them."""
        found = self._registry.list_tags(repository)
        return None if found is None else frozenset(f"{repository}:{tag}" for tag in found)


def seen(team: Sequence[Wanted], now: Live, settings: ImageSettings) -> list[TeamContainer]:
    """The team's containers of which pods tell what they run."""
    there = now.by_ref

    def repository(one: Wanted) -> str:
        named = repository_named(one.image) or parsed(settings.repository.replace(SERVICE, one.service))
        return named.repository if named else repository_of(there[one.ref].image)

    return [TeamContainer(w.service, repository(w), c.newest) for w in team if (c := there.get(w.ref)) and c.newest]


def tell(
    request: Request, resolution: Resolution, now: Live, ports: Ports, team: Sequence[Wanted],
    settings: ImageSettings, asker: Asker,
) -> ReleaseRef:  # fmt: skip
    """By digests, by what a rollback left on the objects, by what was applied: the first that tells."""
    mine = {w.ref.workload for w in team}
    pods = seen(team, now, settings)
    every = likeliest((resolution.target, *resolution.releases), now, mine)
    # what the ledger has of a release did not match: a registry tag that says otherwise has moved
    told = [r for r in every if r.release not in resolution.in_ledger]
    found = _by_digests(pods, told, settings, asker)
    if found == UNKNOWN:
        found = _by_mark(now, mine, resolution.releases)
    elif _was_applied(request, found, now, mine, ports):
        return found
    if found.chosen_how != MARKS:
        # no pod tells, or one with the images of an earlier release: it may have brought no image of its own
        silent = any(not c.newest for ref, c in now.by_ref.items() if ref.workload in mine)
        by = _by_applied(request, every if silent else told, now, mine, ports)
        asker.ask(t for one in pods for t in current.tags(one, by.release, settings))
        if by != UNKNOWN and not current.contradicts(pods, by.release, settings, asker.answers):
            found = by
    return found


def likeliest(releases: Iterable[ReleaseRef], now: Live, mine: Iterable[ObjectRef]) -> list[ReleaseRef]:
    """Each release once, newest first; after them those that are younger than the newest template that runs."""
    since = max((moment(w.since) for w in now.workloads if w.ref in set(mine)), default=float("-inf"))
    each = {r.release: r for r in releases}.values()
    return sorted(each, key=lambda r: (moment(r.date) > since, -moment(r.date)))


def _by_digests(
    pods: Sequence[TeamContainer], releases: Sequence[ReleaseRef], settings: ImageSettings, asker: Asker
) -> ReleaseRef:
    """The release whose registry tags are what the pods run."""
    found = current.release_of(pods, releases, settings, asker.answers)
    if found != UNKNOWN or not pods:
        return found
    listed = asker.tags(pods[0].repository)

    def tags(one: TeamContainer, release: ReleaseRef) -> tuple[str, ...]:
        return current.tags(one, release.release, settings)

    there = [r for r in releases if (listed is None and tags(pods[0], r)) or (listed and listed & {*tags(pods[0], r)})]
    there = there[: _UNLISTED if listed is None else _LISTED]
    for some in _rounds(there):
        answers = asker.heads(t for r in some for t in tags(pods[0], r))
        for release in some:
            if _runs_whole(pods, release.release, settings, asker):
                asker.ask(t for one in pods for t in tags(one, release))
                return current.release_of(pods, [release], settings, asker.answers)
        if answers and all(a.state == "unknown" for a in answers.values()):
            return UNKNOWN
    # a node may name an image by its platform's manifest, which only the index tells
    for release in there[:_AT_ONCE]:
        for one in pods:
            asker.ask(tags(one, release))
            if not current.runs(one, release.release, settings, asker.answers):
                break
    return current.release_of(pods, there[:_AT_ONCE], settings, asker.answers)


def _rounds(releases: Sequence[ReleaseRef]) -> Iterator[Sequence[ReleaseRef]]:
    for begin in range(0, len(releases), _AT_ONCE):
        yield releases[begin : begin + _AT_ONCE]


def _runs_whole(pods: Sequence[TeamContainer], release: str, settings: ImageSettings, asker: Asker) -> bool:
    return all(
        current.runs(one, release, settings, asker.heads(current.tags(one, release, settings))) for one in pods
    )  # each is asked about only where those before it run the release


def _by_mark(now: Live, mine: Iterable[ObjectRef], releases: Sequence[ReleaseRef]) -> ReleaseRef:
    """The release that our own marks name, where every workload of the team has one that still holds."""
    marks = {w.mark for w in now.workloads if w.ref in set(mine)}
    found = next((r for r in releases if marks == {r.release}), None)
    if found is None:
        return UNKNOWN
    return msgspec.structs.replace(found, chosen_by="a rollback to it, unchanged since", chosen_how=MARKS)


def _by_applied(
    request: Request, releases: Sequence[ReleaseRef], now: Live, mine: Iterable[ObjectRef], ports: Ports
) -> ReleaseRef:
    """The one release whose manifests are what `kubectl apply` was last given for every workload of the team."""
    found = [r for r in releases[:_READ] if _was_applied(request, r, now, mine, ports)]
    if len({r.commit for r in found}) != 1:
        return UNKNOWN
    how = "what runs: its manifests are what was last applied"
    return msgspec.structs.replace(found[0], chosen_by=how, chosen_how=APPLIED)


def _was_applied(request: Request, release: ReleaseRef, now: Live, mine: Iterable[ObjectRef], ports: Ports) -> bool:
    """Whether its manifests are what `kubectl apply` was last given for every workload of the team."""
    applied = {w.ref: w.applied for w in now.workloads}
    ours = set(mine) & set(applied)
    if not ours or not all(applied[ref] for ref in ours):
        return False
    home = request.target_environment.namespace
    try:
        bodies = reading.contents(ports, request.settings, home, release.commit).bodies()
    except RefusedError:
        return False
    return ours <= set(bodies) and all(
        applied[ref] == live.applied_shape(bodies[ref]) for ref in set(bodies) & set(applied)
    )
