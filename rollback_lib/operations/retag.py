"""`rollback retag`: the environment's mutable tags point at what runs, or at a release's proven images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rollback_lib.collectors import approval
from rollback_lib.core.errors import EXIT_USAGE, NotApprovedError, Refusal, RefusedError, UsageError, code_and_text
from rollback_lib.core.images.ladder import ImageSettings, Wanted, is_own, ladder_settings, same_image
from rollback_lib.core.images.reference import digest_of, repository_of, tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.plan import retag
from rollback_lib.core.plan.model import PlannedTag
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import current
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.live import Live, LiveContainer
from rollback_lib.core.run.journal import Ending
from rollback_lib.core.run.records import Request
from rollback_lib.operations import run as operation
from rollback_lib.pipeline import loop
from rollback_lib.ports import Ports, RunStore, Session
from rollback_lib.releases import proving, reading, resolving, what_runs

_NAMED: Final = 5  # releases whose own tags are asked for what runs


def look(known: Session, to: str, services: Sequence[str] = ()) -> TagMoves:
    """What would be moved; changes nothing. ``to``: a release; empty: what the pods run now. ``services``: these only.

    Raises RefusedError where an image, or where a tag points, is not proven.
    """
    if to:
        source, tags, left = _of_release(known, to, services)
    else:
        source, tags, left = _of_pods(known, services)
    return TagMoves(
        application=known.settings.application, environment=known.environment, source=source, tags=tags, left=left
    )  # fmt: skip


def approved(request: Request, moves: TagMoves, ports: Ports) -> None:
    """A yes, from the command line or a person. Raises NotApprovedError without one."""
    approval.sure_of_cluster(request, ports.cluster.identity(), ports)
    if request.yes:
        return
    answer = ports.approver.ask(f"Move {len(moves.tags)} tags as shown?")
    if answer is None:
        raise NotApprovedError("this needs a yes and there is no terminal: use --yes.")
    if not answer:
        raise NotApprovedError("not approved.")


def move(run: RunStore, ports: Ports, moves: TagMoves) -> Ending:
    """Move them, in a journal of their own. A tag that somebody moved since is left (7, or 4 after others moved)."""
    run.put(moves)
    return loop.advance(run, ports, only="retag")


_Found = tuple[str, tuple[PlannedTag, ...], tuple[str, ...]]


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Whatever keeps a release from being looked at is a refusal; a wrong request stays one."""
    try:
        yield
    except Exception as error:
        code, text = code_and_text(error)
        raise (UsageError if code == EXIT_USAGE else RefusedError)(redact(text)) from error


def _of_release(known: Session, to: str, services: Sequence[str]) -> _Found:
    request = operation.new_request(known, {"to": to, "service": services}, dry_run=True)
    with _refused():
        resolution, now = resolving.resolve(request, known.ports)
        found = proving.prove(request, resolution, now.live, known.ports)
    target = resolution.target
    if target.is_proposal:
        raise RefusedError(Refusal(f"{target.release} is only a proposal by date.", fix="Name the release with --to."))
    tags, left = retag.planned([(i.to, i.digest) for i in found.images if i.own], found.mutable_tags)
    return f"mutable tags get the images of {target.release}", tags, left


class _Container(NamedTuple):
    """One of the team's containers: which tags are its own, and what its pods run."""

    wanted: Wanted
    tags: tuple[str, ...]
    pinned: str  # the digest that the live template names; empty where it names none
    ids: frozenset[str]


def _of_pods(known: Session, services: Sequence[str]) -> _Found:
    """By what the newest pods report: which containers there are is known from the newest release's manifests."""
    ports, settings = known.ports, known.settings
    tags = ports.git.tags()
    names = [t.name for t in release.releases(tags, settings.releases.tag)]
    if not names:
        raise RefusedError(release.no_releases(tags, settings.releases.tag))
    request = operation.new_request(known, {"to": names[0], "service": services}, dry_run=True)
    with _refused():
        resolution, now = resolving.resolve(request, ports)
    ladder = ladder_settings(request.settings, [name for name, _ in resolution.services])
    wanted = [w for w in reading.containers_of(request, ports, resolution) if is_own(w, ladder)]
    containers, left = _containers(wanted, ladder, now.live)
    asked = {c.wanted.ref: _candidates(c, names, ladder) for c in containers}
    answers = ports.registry.look_up(
        sorted({r for c in containers for r in (*c.tags, *asked[c.wanted.ref])}),
        platforms=what_runs.node_platforms(ports), configs=any("@" not in i for c in containers for i in c.ids),
    )  # fmt: skip
    return "mutable tags get what runs now", *_moves(containers, asked, answers, left)


def _containers(
    wanted: Sequence[Wanted], ladder: ImageSettings, now: Live
) -> tuple[list[_Container], list[str]]:  # fmt: skip
    if now.no_pods:
        raise RefusedError(Refusal(f"{now.no_pods}.", fix="Allow `list` on pods in the Role."))
    there, found = now.by_ref, list[_Container]()
    left: list[str] = []
    refused: list[Refusal] = []
    for w in wanted:
        live = there.get(w.ref) or LiveContainer(name=w.ref.name)
        named = (w.image, live.image)
        tags = tuple(dict.fromkeys(r for r in named if r and tag_of(r) in ladder.mutable_tags))
        pods = [r for r in live.running if r.newest]
        if not tags:
            continue
        if not pods:
            why = f"{w.ref}: no pod says which image it is" if w.ref.volume else f"{w.ref.workload} runs no pod"
            left.append(f"{why}, so its tags are left.")
        elif not all(r.ready and r.image_id for r in pods):
            refused.append(
                Refusal(
                    f"{w.ref.workload} is not Ready, so what its pods run proves nothing.",
                    fix="Name a release with --to, or leave it out with --service.",
                )
            )
        else:
            found.append(_Container(w, tags, digest_of(live.image), frozenset(r.image_id for r in pods)))
    if refused:
        raise RefusedError(*dict.fromkeys(refused))
    return found, left


def _candidates(one: _Container, names: Sequence[str], ladder: ImageSettings) -> tuple[str, ...]:
    """Where what runs may stand in the tags' own repositories, an index before a part of one."""
    found: list[str] = []
    for repository in dict.fromkeys(repository_of(t) for t in one.tags):
        named = current.TeamContainer(one.wanted.service, repository)
        found += [f"{repository}@{one.pinned}"] if one.pinned else []
        found += [t for name in names[:_NAMED] for t in current.tags(named, name, ladder)]
        found += [f"{repository}@{d}" for i in sorted(one.ids) if (d := digest_of(i))]
    return tuple(dict.fromkeys(found))


def _moves(
    containers: Sequence[_Container],
    asked: Mapping[ContainerRef, Sequence[str]],
    answers: Mapping[str, Answer],
    left: list[str],
) -> tuple[tuple[PlannedTag, ...], tuple[str, ...]]:
    goals: dict[str, set[str]] = {}
    refused: list[Refusal] = []
    for one in containers:
        for tag in one.tags:
            now, mine = answers[tag], [r for r in asked[one.wanted.ref] if repository_of(r) == repository_of(tag)]
            if now.state == "unknown":
                refused.append(Refusal(f"where {tag} points is not known: {now.text}."))
            elif not now.digest:
                left.append(f"{tag} does not exist; it is not made.")
            elif _is(now, one.ids):
                goals.setdefault(tag, set()).add(now.digest)
            elif proven := [a.digest for r in mine if (a := answers[r]).state == "present" and _is(a, one.ids)]:
                goals.setdefault(tag, set()).add(proven[0])
            else:
                ids = ", ".join(sorted(one.ids))
                refused.append(
                    Refusal(
                        f"{repository_of(tag)} has no image that is known to be what {one.wanted.ref.workload} runs "
                        f"({ids}).",
                        fix="Name a release with --to.",
                    )
                )
    if refused:
        raise RefusedError(*dict.fromkeys(refused))
    moves = []
    for tag, digests in sorted(goals.items()):
        if len(digests) > 1:
            left.append(f"{tag} is left: containers of its repository run {len(digests)} different images.")
        elif (goal := next(iter(digests))) != (was := answers[tag].digest):
            moves.append(PlannedTag(reference=tag, from_=was, to=goal, release=_release(tag, was, asked, answers)))
    return tuple(moves), tuple(dict.fromkeys(left))


def _is(answer: Answer, ids: frozenset[str]) -> bool:
    return all(same_image((answer.digest, *answer.digests), i) for i in ids)


def _release(tag: str, digest: str, asked: Mapping[ContainerRef, Sequence[str]], answers: Mapping[str, Answer]) -> str:
    """The release tag that names this digest in the repository; empty where none is known to."""
    references = [r for found in asked.values() for r in found if repository_of(r) == repository_of(tag)]
    return next((tag_of(r) for r in references if tag_of(r) and answers[r].digest == digest), "")
